"""The name given for an upload is kept for the job made of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Extend `uploads`."""
    op.add_column("uploads", sa.Column("filename", sa.Text))
