"""The request and the trace that a job belongs to go with it, and with its messages."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Extend `jobs` and `outbox`."""
    op.add_column("jobs", sa.Column("origin", sa.Text))
    op.add_column("outbox", sa.Column("origin", sa.Text))
