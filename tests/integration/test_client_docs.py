"""Every block of docs/client.md does what it is there to show."""

import asyncio
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from services.client import Client
from services.client.cli.profile import resolve
from tests.media_files import MediaFiles
from tests.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHELL = [text for language, text in BLOCKS if language == "sh"]
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture
def directory(media: MediaFiles, tmp_path: Path) -> Path:
    (tmp_path / "film.avi").write_bytes(media.avi(2).read_bytes())
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "clip.mkv").write_bytes(media.mp4().read_bytes())
    (tmp_path / "bin").mkdir()
    cvc = tmp_path / "bin" / "cvc"
    cvc.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m services.client "$@"\n')
    cvc.chmod(0o755)
    return tmp_path


async def run(stack: Stack, directory: Path, *argv: str) -> str:
    path = f"{directory / 'bin'}:{os.environ['PATH']}"
    environment = {**stack.env, "PATH": path, "HOME": str(directory), "CVC_URL": stack.url}
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=directory,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(300):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_the_commands(full_stack: Stack, directory: Path) -> None:
    assert len(SHELL) == 6
    for text in SHELL:
        await run(full_stack, directory, "bash", "-euo", "pipefail", "-c", text)
    for name in ("film.mp4", "out/film.mp4", "out/clip.mp4", "piece.webm", "mono.mkv", "film.mp3", "results/film.mp4"):
        assert (directory / name).stat().st_size, name


@pytest.mark.parametrize("number", range(len(PYTHON)))
async def test_the_programs(full_stack: Stack, directory: Path, number: int) -> None:
    text = PYTHON[number].replace("http://localhost:8080", full_stack.url)
    text = text.replace("Client(", f"Client({full_stack.url!r}, ", 1) if full_stack.url not in text else text
    script = directory / "program.py"
    script.write_text(text)
    out = await run(full_stack, directory, sys.executable, str(script))
    expected = ["job.completed", "job.completed", "uploads/", "There is no such job."]
    assert expected[number] in out
    assert len(PYTHON) == len(expected)


def test_the_configuration(tmp_path: Path) -> None:
    (text,) = [text for language, text in BLOCKS if language == "toml"]
    assert tomllib.loads(text)["profiles"].keys() == {"home", "work"}
    (tmp_path / "config.toml").write_text(text)
    assert resolve({"CVC_CONFIG": str(tmp_path / "config.toml")}, url=None, name=None).url == "http://localhost:8080"


def test_the_table_of_methods_names_them_all() -> None:
    rows = PAGE.partition("| method | does |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)\(|(?<=, )`(\w+)\(", rows))
    names = {first or second for first, second in named}
    public = {name for name in dir(Client) if not name.startswith("_")} - {"has_key", "allowed"}
    assert names == public
