"""Bringing the database to this version, at every start."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import Connection

from services.common.logs import get_logger

log = get_logger(__name__)

_SCRIPTS: Final = Path(__file__).with_name("migrations")
# Any number that nothing else in the database locks; gateways that start together migrate one after the other.
_LOCK: Final = 0x76_69_64_65_6F


def upgrade(conn: Connection, revision: str = "head") -> None:
    """Migrate what `conn` is connected to up to `revision`, within the caller's transaction."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    before = MigrationContext.configure(conn).get_current_revision()
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, revision)
    after = MigrationContext.configure(conn).get_current_revision()
    if after != before:
        log.info("database_migrated", before=before, after=after)
