"""Idempotency keys, uploads, deletion, API keys and dead letters."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.String(24)
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables and extend `jobs`."""
    op.add_column("jobs", sa.Column("deleted_at", _TIME))
    op.create_index("jobs_by_input", "jobs", ["input_path"])
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(63), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, index=True),
    )
    op.create_table(
        "uploads",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("tenant", sa.String(63), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False, index=True),
    )
    op.create_table(
        "garbage",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(16), primary_key=True),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("revoked_at", _TIME),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("job_id", sa.String(64), index=True),
        sa.Column("tenant", sa.String(63), index=True),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("routing_key", sa.String(255), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("redriven_at", _TIME),
    )
    op.bulk_insert(sa.table("claims", sa.column("name")), [{"name": "retention"}])
