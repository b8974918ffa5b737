"""Bills of materials in CycloneDX's format, from the locks alone: nothing has to be installed or asked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from deploy.supply.inventory import ROOT, UNKNOWN, licence_of

DIRECTORY: Final = ROOT / "build" / "sbom"
_FIRST_NPM: Final = 10


class OldNpmError(Exception):
    """The npm at hand can't write bills of materials."""


def python_bill() -> dict[str, Any]:
    """The services' packages, each with its hashes and, if it is installed here, its licence."""
    program = Path(sys.executable).with_name("cyclonedx-py")
    bill = _json(
        [str(program), "requirements", str(ROOT / "requirements.lock"), "--output-reproducible", "--of", "JSON"]
    )
    for component in bill["components"]:
        # The tool repeats the line of the lock here, all hashes included.
        component.pop("description", None)
        licence = licence_of(component["name"])
        if licence != UNKNOWN:
            component["licenses"] = [{"expression": licence}]
    return bill


def page_bill() -> dict[str, Any]:
    """The page's packages.

    Raises:
        OldNpmError: the npm at hand writes none.
    """
    if not npm_writes_bills():
        raise OldNpmError("npm 10 or newer is needed for the page's bill of materials")
    return _json(
        ["npm", "sbom", "--package-lock-only", "--omit=dev", "--sbom-format=cyclonedx", "--sbom-type=application"],
        cwd=ROOT / "static",
    )


def npm_writes_bills() -> bool:
    """True from npm 10 on; Debian's is older."""
    version = subprocess.run(["npm", "--version"], capture_output=True, check=True, text=True).stdout
    return int(version.partition(".")[0]) >= _FIRST_NPM


def write(directory: Path = DIRECTORY) -> list[Path]:
    """Write both; where they are."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, bill in (("python", python_bill()), ("page", page_bill())):
        path = directory / f"{name}.cdx.json"
        path.write_text(json.dumps(bill, indent=1) + "\n")
        paths.append(path)
    return paths


def _json(command: list[str], cwd: Path = ROOT) -> dict[str, Any]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, check=True)
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill
