"""When the hospital's system last said who a patient is: messages come in any order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column; of patients who are there nothing was told."""
    op.add_column("patients", sa.Column("told_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """Drop it; messages are then taken in the order in which they come."""
    op.drop_column("patients", "told_at")
