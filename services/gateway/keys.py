"""`python -m services.gateway.keys make|list|revoke`: the API keys of `AUTH=api_key`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection, RowMapping

from services.common.logs import configure
from services.common.settings import load_or_exit
from services.gateway.auth import TENANT, new_key
from services.gateway.settings import GatewaySettings
from services.gateway.store.schema import api_keys
from services.gateway.store.store import Store
from services.gateway.store.writer import Transaction


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be kept, by its hash."""

    key_id: str
    tenant: str
    name: str
    secret_hash: str


def keep(tx: Transaction, items: Sequence[NewKey]) -> list[Exception | None]:
    """Keep new keys."""
    rows = [
        {
            "key_id": item.key_id,
            "tenant": item.tenant,
            "name": item.name,
            "secret_hash": item.secret_hash,
            "created_at": tx.now,
        }
        for item in items
    ]
    tx.conn.execute(insert(api_keys), rows)
    return [None] * len(items)


def revoke(tx: Transaction, items: Sequence[str]) -> list[bool | Exception]:
    """Revoke keys by their id; False for one that is not there, or revoked already."""
    return [
        tx.conn.execute(
            update(api_keys)
            .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=tx.now)
        ).rowcount
        == 1
        for key_id in items
    ]


def all_keys(conn: Connection) -> Sequence[RowMapping]:
    """Every key, the oldest first."""
    return conn.execute(select(api_keys).order_by(api_keys.c.created_at)).mappings().all()


async def make_key(store: Store, tenant: str, name: str) -> str:
    """A new key, which is told here and never again."""
    key_id, secret_hash, key = new_key()
    await store.write(keep, NewKey(key_id, tenant, name, secret_hash))
    return key


def _tenant(text: str) -> str:
    if not TENANT.match(text):
        raise argparse.ArgumentTypeError("use a-z, 0-9, - and _, beginning with a letter or digit")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.gateway.keys", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="make a key and print it, once")
    make.add_argument("tenant", type=_tenant, help="whose jobs and objects it opens")
    make.add_argument("--name", default="", help="what it is for")
    commands.add_parser("list", help="list the keys, without their secrets")
    revoking = commands.add_parser("revoke", help="make a key useless")
    revoking.add_argument("key_id", help="as `list` shows it")
    return parser


async def _run(settings: GatewaySettings, arguments: argparse.Namespace) -> int:
    async with Store(settings.database) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store.run)
        status = await _command(store, arguments)
        tasks.cancel_scope.cancel()
    return status


async def _command(store: Store, arguments: argparse.Namespace) -> int:
    if arguments.command == "make":
        sys.stdout.write(await make_key(store, arguments.tenant, arguments.name) + "\n")
    elif arguments.command == "list":
        for row in await store.read(all_keys):
            sys.stdout.write(_line(row) + "\n")
    elif not await store.write(revoke, arguments.key_id):
        sys.stderr.write("There is no such key, or it has been revoked already.\n")
        return 1
    return 0


def _line(row: Any) -> str:
    state = f"revoked {row['revoked_at']}" if row["revoked_at"] else "good"
    return f"{row['key_id']}  {row['tenant']}  {row['created_at']}  {state}  {row['name']}".rstrip()


def main() -> None:
    """Run the command."""
    arguments = _parser().parse_args()
    configure("gateway-keys", level="warning")
    raise SystemExit(anyio.run(_run, load_or_exit(GatewaySettings), arguments))


if __name__ == "__main__":
    main()
