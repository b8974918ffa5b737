"""Every command and every program that the documents show does what they say, on the real system.

docs/client.md has a test of its own, test_client_docs.py; how a page is read, tests/pages.py tells.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import BinaryIO

import pytest
import pytest_asyncio

from tests import pages
from tests.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# The addresses that the pages name are those of `make up`.
HOST = "//localhost:8080"
AMQP_URL = "amqp://video:$AMQP_PASSWORD@localhost:5672/"

PLAIN = ["api.md", "push.md", "formats.md", "broker.md", "operations/logs.md"]


def _node_options() -> str:
    """What gives Node a WebSocket; nothing before version 20."""
    options = "--experimental-websocket --no-warnings"
    test = ["node", *options.split(), "-e", ""]
    return options if subprocess.run(test, capture_output=True, check=False).returncode == 0 else ""


NODE_OPTIONS = _node_options()


@pytest_asyncio.fixture(loop_scope="session")
async def with_keys(full_stack: Stack) -> AsyncIterator[Stack]:
    """The system with `AUTH=api_key`."""
    services = ("gateway", "notifier")
    await full_stack.stop(*services)
    await full_stack.start(*services, env={"AUTH": "api_key"})
    yield full_stack
    await full_stack.stop(*services)
    await full_stack.start(*services, env={"AUTH": "none"})


@pytest.fixture
def directory(full_stack: Stack, tmp_path: Path) -> Path:
    """Where the commands run: a checkout as far as they can tell, with what `make up` leaves in it."""
    (tmp_path / ".data").symlink_to(full_stack.data_dir)
    (tmp_path / "static").symlink_to(ROOT / "static")
    (tmp_path / "bin").mkdir()
    _tool(tmp_path, "python", f'exec "{sys.executable}" "$@"')
    _tool(tmp_path, "cvc", f'exec "{sys.executable}" -m services.client "$@"')
    return tmp_path


def _tool(directory: Path, name: str, line: str) -> None:
    path = directory / "bin" / name
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _environment(stack: Stack, directory: Path) -> Mapping[str, str]:
    return {
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "DATA_DIR": str(stack.data_dir),
        "CVC_URL": stack.url,
        "NODE_OPTIONS": NODE_OPTIONS,
    }


def _here(text: str, stack: Stack) -> str:
    host = stack.url.removeprefix("http:")
    return text.replace(HOST, host).replace(AMQP_URL, stack.amqp_url)


async def _bash(script: str, cwd: Path, environment: Mapping[str, str], written: BinaryIO) -> int | None:
    """Exit status of `script`, which writes to `written`; whatever it left running is ended."""
    bash = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=cwd,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=written,
        stderr=written,
        start_new_session=True,
    )
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(bash.wait(), 300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(bash.pid, signal.SIGKILL)
        await bash.wait()
    return bash.returncode


async def follow(name: str, stack: Stack, directory: Path, *, cwd: Path | None = None) -> None:
    """Do all that the page shows, in `cwd` or `directory`, and compare what comes of it with what it shows."""
    page = pages.read(DOCS / name)
    if not NODE_OPTIONS:
        page.leave_out("new WebSocket(")
    for program, text in page.programs.items():
        (directory / program).write_text(_here(text, stack))
    with (directory / "written").open("w+b") as written:
        status = await _bash(_here(page.script, stack), cwd or directory, _environment(stack, directory), written)
        written.seek(0)
        outputs = pages.outputs(written.read().decode())
    last = page.commands[len(outputs) - 1].text
    assert status == 0, f"{name}: status {status} after\n{last}\n{outputs[-1]}"
    for commands, output in zip(page.commands, outputs, strict=True):
        for expected in commands.expected:
            piece = pages.missing(_here(expected, stack), output)
            assert piece is None, f"{name}: {piece!r} is missing in what this wrote:\n{commands.text}\n{output}"


@pytest.mark.parametrize("name", PLAIN)
async def test_a_page(full_stack: Stack, directory: Path, name: str) -> None:
    await follow(name, full_stack, directory)


async def test_the_page_for_developers(full_stack: Stack, directory: Path) -> None:
    await follow("development.md", full_stack, directory, cwd=ROOT)


async def test_the_page_about_keys(with_keys: Stack, directory: Path) -> None:
    await follow("access.md", with_keys, directory)


def test_no_page_is_left_out() -> None:
    with_commands = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if "```bash" in path.read_text()}
    assert with_commands == {*PLAIN, "development.md", "access.md"}
