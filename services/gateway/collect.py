"""`python -m services.gateway.collect [--dry-run]`: remove what is too old now, or only say what that would be."""

import argparse
import sys

import anyio

from services.common.logs import configure
from services.common.settings import load_or_exit
from services.common.storage import Storage
from services.gateway.retention import Collection, collect, find_old
from services.gateway.settings import GatewaySettings
from services.gateway.store.store import Store


async def _collect(settings: GatewaySettings, *, dry_run: bool) -> Collection:
    async with Store(settings.database) as store, Storage(settings) as storage:
        if dry_run:
            return await find_old(settings, store, storage)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.run)
            found = await collect(settings, store, storage)
            tasks.cancel_scope.cancel()
        return found


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m services.gateway.collect", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, only list")
    arguments = parser.parse_args()
    configure("gateway-collect", level="warning")
    found = anyio.run(lambda: _collect(load_or_exit(GatewaySettings), dry_run=arguments.dry_run))
    verb = "would remove" if arguments.dry_run else "removed"
    for key in found.objects:
        sys.stdout.write(f"{verb} {key}\n")
    for key, _ in found.multiparts:
        sys.stdout.write(f"{verb} the unfinished upload of {key}\n")
    count = len(found.objects) + len(found.multiparts)
    sys.stdout.write(f"{verb} {count} uploads, {found.bytes} bytes\n")


if __name__ == "__main__":
    main()
