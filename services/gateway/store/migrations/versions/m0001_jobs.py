"""Jobs and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.String(24)
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("stage", sa.String(16)),
        sa.Column("progress", sa.Text, nullable=False, server_default="{}"),
        sa.Column("filename", sa.Text),
        sa.Column("input_path", sa.Text, nullable=False),
        sa.Column("output_format", sa.String(8), nullable=False),
        sa.Column("output_path", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False, server_default="{}"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
        sa.Column("retries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("seq", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("error", sa.Text),
        sa.Column("warnings", sa.Text, nullable=False, server_default="[]"),
        sa.Column("plan", sa.Text),
        sa.Column("outputs", sa.Text, nullable=False, server_default="[]"),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("queued_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.Column("updated_at", _TIME, nullable=False),
    )
    op.create_index("jobs_by_tenant", "jobs", ["tenant", "created_at", "job_id"])
    op.create_index("jobs_by_status", "jobs", ["tenant", "status", "created_at", "job_id"])
    live = sa.text("status IN ('QUEUED', 'PROCESSING')")
    op.create_index("jobs_live", "jobs", ["status", "queued_at"], sqlite_where=live, postgresql_where=live)
    op.create_table(
        "outbox",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("exchange", sa.String(64), nullable=False),
        sa.Column("routing_key", sa.String(255), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table("claims", sa.Column("name", sa.String(32), primary_key=True))
    op.bulk_insert(sa.table("claims", sa.column("name")), [{"name": "relay"}, {"name": "sweep"}])
