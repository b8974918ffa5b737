"""Copies the gateway's SQLite database while it is in use.

    docker exec api python /app/deploy/docker/backup_db.py /data/backup.db

The copy is one consistent file, whatever is written meanwhile, and is checked before it gets its name.  PostgreSQL has
pg_dump for it.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from services.common.settings import load_or_exit
from services.gateway.settings import GatewaySettings
from services.gateway.store.engine import is_sqlite


def copy(source: Path, target: Path) -> str | None:
    """Copy the database at `source` to `target`, which is replaced; what is wrong, None if nothing is."""
    if not source.exists():
        return f"There is no database at {source}."
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as live,
            closing(sqlite3.connect(part)) as copied,
        ):
            live.backup(copied)
            # One file, without the two beside it that a database in use has.
            copied.execute("PRAGMA journal_mode = DELETE")
            ((answer,),) = copied.execute("PRAGMA quick_check(1)")
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        return f"The copy could not be made: {error}."
    if answer != "ok":
        return f"The database is damaged ({answer}); the copy of it is {part}."
    part.replace(target)
    return None


def main(arguments: list[str]) -> int:
    """0 if the copy is there, 1 if it could not be made, 2 if that was not the thing to ask."""
    url = load_or_exit(GatewaySettings).database
    if len(arguments) != 1:
        sys.stderr.write("Say where the copy is to go: backup_db.py FILE\n")
        return 2
    if not is_sqlite(url):
        sys.stderr.write("The database is PostgreSQL: use pg_dump.\n")
        return 2
    target = Path(arguments[0])
    fault = copy(Path(make_url(url).database or ""), target)
    if fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    sys.stdout.write(f"{target}: {target.stat().st_size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
