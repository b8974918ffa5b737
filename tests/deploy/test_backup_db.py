"""A copy of the database in use that can be put in its place."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from deploy.docker.backup_db import copy

ROOT = Path(__file__).resolve().parents[2]


def rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as conn:
        return [text for (text,) in conn.execute("SELECT text FROM notes ORDER BY rowid")]


def test_a_database_in_use_is_copied_whole(tmp_path: Path):
    source, target = tmp_path / "jobs.db", tmp_path / "backup.db"
    with closing(sqlite3.connect(source, isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode = WAL")
        live.execute("CREATE TABLE notes (text)")
        live.execute("INSERT INTO notes VALUES ('committed, and only in the log beside the file')")
        live.execute("BEGIN IMMEDIATE")
        live.execute("INSERT INTO notes VALUES ('not committed')")
        assert copy(source, target) is None
        live.execute("COMMIT")
    assert rows(target) == ["committed, and only in the log beside the file"]
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup.db"]


def test_an_older_copy_survives_a_failure(tmp_path: Path):
    target = tmp_path / "backup.db"
    target.write_text("the last one")
    (tmp_path / "jobs.db").write_text("no database" * 100)
    assert "could not be made" in str(copy(tmp_path / "jobs.db", target))
    assert target.read_text() == "the last one"
    assert "no database at" in str(copy(tmp_path / "missing.db", target))


def test_the_script(tmp_path: Path):
    source = tmp_path / "jobs.db"
    with closing(sqlite3.connect(source)) as conn:
        conn.execute("CREATE TABLE notes (text)")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "deploy/docker/backup_db.py")]

    def run(*arguments: str, **more: str) -> int:
        return subprocess.run([*command, *arguments], env=env | more, check=False, capture_output=True).returncode

    assert run(str(tmp_path / "copy.db")) == 0
    assert rows(tmp_path / "copy.db") == []
    assert run() == 2
    assert run(str(tmp_path / "copy.db"), DATABASE_URL="postgresql://u:p@h/d") == 2
