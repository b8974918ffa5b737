"""What the system is made of, and under which terms."""

from pathlib import Path

import pytest

from deploy.supply import licences, sbom
from deploy.supply.inventory import UNKNOWN, page_packages, python_packages

# Copyleft that would reach into our own code by being imported or bundled; MPL keeps to its files.
RECIPROCAL = ("GPL", "AGPL", "SSPL", "EUPL", "OSL")


def test_the_page_lists_all_that_is_locked():
    locked = {package.name for package in (*python_packages(), *page_packages())}
    assert licences.listed() == locked, "run: python -m deploy.supply"


@pytest.mark.parametrize("packages", [python_packages(), page_packages()], ids=["python", "page"])
def test_every_licence_is_known_and_fits(packages: list):
    assert packages
    for package in packages:
        assert package.licence != UNKNOWN, package.name
        assert not [word for word in RECIPROCAL if word in package.licence], package


def test_programs_in_the_images_are_listed():
    text = licences.PAGE.read_text()
    for program in (
        "ffmpeg",
        "bubblewrap",
        "tini",
        "nginx",
        "RabbitMQ",
        "MinIO",
        "PostgreSQL",
        "Prometheus",
        "Grafana",
    ):
        assert f"| {program}" in text or f", {program}" in text, program


def test_the_bill_of_materials_of_the_services_is_complete():
    python = sbom.python_bill()
    assert {c["name"] for c in python["components"]} == {package.name for package in python_packages()}
    for component in python["components"]:
        assert component["purl"].startswith("pkg:pypi/")
        assert component["licenses"]
        assert component["externalReferences"][0]["hashes"]
    assert python["bomFormat"] == "CycloneDX"


@pytest.mark.skipif(not sbom.npm_writes_bills(), reason="npm 10 or newer writes bills of materials")
def test_the_bill_of_materials_of_the_page_is_complete(tmp_path: Path):
    page = sbom.page_bill()
    names = {component["name"] for component in page["components"]}
    assert {package.name for package in page_packages()} <= names
    assert page["bomFormat"] == "CycloneDX"
    assert [path.name for path in sbom.write(tmp_path)] == ["python.cdx.json", "page.cdx.json"]


def test_dependencies_are_pinned_and_hashed():
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (sbom.ROOT / name).read_text().splitlines()
        requirements = [n for n, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
        assert requirements
        for number in requirements:
            assert "==" in lines[number]
            assert "--hash=sha256:" in lines[number + 1], lines[number]
