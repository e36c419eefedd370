"""When the hospital's system last said who a patient is: messages come in any order.

Wrong passwords are counted from here on for logins that only the hospital's directory may know.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column; of patients who are there nothing was told. Attempts need no account any more."""
    op.add_column("patients", sa.Column("told_at", sa.DateTime(timezone=True)))
    with op.batch_alter_table("sign_in_failures") as table:
        table.alter_column("user_id", existing_type=sa.String(26), nullable=True)


def downgrade() -> None:
    """Drop it; messages are then taken in the order in which they come."""
    op.drop_column("patients", "told_at")
    op.execute("DELETE FROM sign_in_failures WHERE user_id IS NULL")
    with op.batch_alter_table("sign_in_failures") as table:
        table.alter_column("user_id", existing_type=sa.String(26), nullable=False)
