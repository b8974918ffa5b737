"""Writes the bills of materials to build/sbom, and docs/licences.md."""

import sys

from deploy.supply import licences, sbom
from deploy.supply.inventory import ROOT


def main() -> None:
    """Do both and say where they are."""
    licences.PAGE.write_text(licences.text())
    try:
        bills = sbom.write()
    except sbom.OldNpmError as error:
        sys.exit(str(error))
    for path in (*bills, licences.PAGE):
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
