"""Uploads in parts are remembered by their id: not every store can list them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Extend `uploads`."""
    op.add_column("uploads", sa.Column("upload_id", sa.Text))
