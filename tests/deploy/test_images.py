"""The Dockerfile and what runs in the images, as far as no container engine is needed for it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from aiohttp import ClientError, ClientSession, web

from deploy.docker.healthcheck import alive
from deploy.embedded.ports import free_ports
from services.common.web import add_health
from tests.stack import eventually

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "deploy/docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def stage(name: str) -> str:
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


def copied(text: str) -> list[str]:
    lines = re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(hadolint), "--config", str(DOCKER / "hadolint.yaml"), str(DOCKER / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["services", "page"])
def test_images_run_as_nobody_special_under_tini_with_a_health_check(name: str):
    text = stage(name)
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["tini", "--"', text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", text, re.MULTILINE)


def test_ffmpeg_and_its_walls_are_inside():
    installed = stage("services").split()
    assert {"ffmpeg", "bubblewrap", "tini", "ca-certificates"} <= set(installed)


def test_packages_are_those_of_the_lock():
    assert "--require-hashes" in stage("packages")
    assert "npm ci" in stage("page-build")


def test_all_that_is_copied_exists_and_is_let_through_to_the_builder():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied(DOCKERFILE):
        assert list(ROOT.glob(source.rstrip("/"))), source
        assert any(source == rule or source.startswith(rule) for rule in allowed), f"{source} is ignored"


def test_compose_and_dockerfile_agree_on_the_health_check():
    assert "/app/deploy/docker/healthcheck.py" in stage("services")
    assert "COPY deploy/docker/*.py /app/deploy/docker/" in DOCKERFILE


@asynccontextmanager
async def service(status: int) -> AsyncIterator[int]:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    if status == 200:
        add_health(app, {})
    else:
        app.router.add_get("/healthz", healthz)
    (port,) = free_ports(1)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (500, 1)])
async def test_the_health_check_asks_the_service_that_listens(status: int, code: int):
    async with service(status) as port:
        silent = free_ports(2)
        env = {"GATEWAY_PORT": str(silent[0]), "NOTIFIER_PORT": str(port), "TRANSCODER_PORT": str(silent[1])}
        done = await anyio.run_process([sys.executable, str(DOCKER / "healthcheck.py")], env=env, check=False)
    assert done.returncode == code


def test_nothing_listening_is_not_alive():
    (port,) = free_ports(1)
    with pytest.raises(ConnectionRefusedError):
        alive(port)


NAMES = """#!/bin/sh
# Stands for the resolver: what `names` says, in an order that is not always the same.
grep -q . "{names}" && shuf "{names}"
"""


@contextmanager
def front_door(directory: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The entry point of the page's image, on this machine's nginx, with a resolver of our own."""
    programs = directory / "bin"
    programs.mkdir()
    (programs / "getent").write_text(NAMES.format(names=directory / "names"))
    (programs / "getent").chmod(0o755)
    config = (DOCKER / "nginx.conf").read_text().replace("/tmp/nginx/", f"{directory}/run/")
    prefix = "user root;\n" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(prefix + config)
    (directory / "page").mkdir()
    (directory / "page/index.html").write_text("<h1>the page</h1>")
    env = {
        "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin",
        "FRONT_DOOR_DIR": str(directory / "run"),
        "NGINX_CONFIG": str(directory / "nginx.conf"),
        "SITE_TEMPLATE": str(ROOT / "deploy/nginx/site.conf.template"),
        "LOOKUP_INTERVAL": "0.1",
        "STORE_RANGE": "$http_range",
        "STORE_ORIGIN": "https://s3.example.org",
        "S3_BUCKET": "videos",
        "PAGE_ROOT": str(directory / "page"),
        **environment,
    }
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(["sh", str(DOCKER / "front_door.sh")], env=env, stdout=log, stderr=log, text=True)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=30)


needs_nginx = pytest.mark.skipif(
    not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or not shutil.which("envsubst"),
    reason="nginx or envsubst is not installed",
)


@needs_nginx
async def test_the_front_door_waits_for_names_serves_and_follows_them(tmp_path: Path):
    names = tmp_path / "names"
    names.write_text("")
    http, upstream = free_ports(2)
    place = f"127.0.0.1:{upstream}"

    def said(what: str) -> bool:
        return what in (tmp_path / "log").read_text()

    async def page(session: ClientSession) -> str | None:
        try:
            async with session.get(f"http://127.0.0.1:{http}/") as response:
                assert "connect-src 'self' https://s3.example.org;" in response.headers["Content-Security-Policy"]
                return await response.text()
        except ClientError:
            return None

    async with ClientSession() as session:
        with front_door(
            tmp_path,
            HTTP_LISTEN=f"127.0.0.1:{http}",
            GATEWAY_UPSTREAM=place,
            NOTIFIER_UPSTREAM=place,
            STORE_UPSTREAM=place,
        ) as process:
            await eventually(lambda: said("waiting for the names"))
            assert await page(session) is None
            names.write_text("10.0.0.1 STREAM gateway\n10.0.0.2 STREAM gateway\n")
            assert await eventually(lambda: page(session)) == "<h1>the page</h1>"
            assert not said("addresses changed"), "the same addresses in another order are no change"
            names.write_text("10.0.0.3 STREAM gateway\n")
            await eventually(lambda: said("addresses changed"))
            names.write_text("")
            assert await page(session) == "<h1>the page</h1>", "names gone for a moment are no reason to stop"
            assert process.poll() is None
            async with session.get(f"http://127.0.0.1:{http}/api/jobs") as response:
                assert response.status == 503
    assert process.returncode == 0
