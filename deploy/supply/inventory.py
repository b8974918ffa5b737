"""Everything that is shipped besides our own code, read from the locks and from what is installed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
UNKNOWN: Final = "unknown"

_LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_CLASSIFIER: Final = re.compile(r"^License :: OSI Approved :: (.+)$")
# Where metadata say it in words, or not at all; each was read in the package itself.
_IN_WORDS: Final = {
    "mit license": "MIT",
    "mit": "MIT",
    "bsd license": "BSD",
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "isc license (iscl)": "ISC",
    "python software foundation license": "PSF-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "bsd, public domain": "BSD-2-Clause AND Public Domain",
}
# Locked for other systems only, so that its metadata may not be here.
_ELSEWHERE: Final = {"colorama": "BSD-3-Clause", "uvloop": "MIT OR Apache-2.0"}


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A package of a lock; `licence` an SPDX expression where its metadata have one."""

    name: str
    version: str
    licence: str


def python_packages(lock: Path = ROOT / "requirements.lock") -> list[Package]:
    """What the services run on."""
    return sorted(Package(name, version, licence_of(name)) for name, version in _LOCKED.findall(lock.read_text()))


def page_packages(lock: Path = ROOT / "static" / "package-lock.json") -> list[Package]:
    """What is bundled into the page, or bundles it; esbuild's programs for other machines are esbuild's."""
    return sorted(set(_npm(lock)))


def _npm(lock: Path) -> Iterator[Package]:
    for path, entry in json.loads(lock.read_text())["packages"].items():
        if path and not entry.get("dev") and not entry.get("optional"):
            name = path.rpartition("node_modules/")[2]
            yield Package(name, entry["version"], entry.get("license", UNKNOWN))


def licence_of(name: str) -> str:
    """The licence of an installed Python package, in SPDX's words if it can be."""
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return _ELSEWHERE.get(name, UNKNOWN)
    if "License-Expression" in found:
        return found["License-Expression"]
    classifiers = [match[1] for line in found.get_all("Classifier", []) if (match := _CLASSIFIER.match(line))]
    stated = found["License"].strip() if "License" in found else ""
    for text in (stated, *classifiers):
        spdx = _IN_WORDS.get(text.lower())
        if spdx:
            return spdx
    # Some put the whole text there; its first line is its name.
    words = stated or (classifiers[0] if classifiers else UNKNOWN)
    return words.splitlines()[0][:60]
