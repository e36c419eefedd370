"""Urgency that could not be assessed, the rules that gave it, and the level that a person set instead.

Complaints that are there keep their level; which rules gave it stands in their sealed answers alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_LEVEL = sa.String(32)


def upgrade() -> None:
    """Add the columns; on SQLite the table is copied, since it cannot alter a column."""
    with op.batch_alter_table("complaints") as table:
        table.alter_column("urgency", existing_type=_LEVEL, nullable=True)
        table.add_column(sa.Column("urgency_rules", sa.Text))
        table.add_column(sa.Column("urgency_chosen", _LEVEL))
        table.add_column(sa.Column("urgency_reason", sa.String(32)))
        table.add_column(sa.Column("urgency_chosen_by", sa.String(26)))
        table.add_column(sa.Column("urgency_chosen_at", sa.DateTime(timezone=True)))
        table.create_foreign_key("fk_complaints_urgency_chosen_by", "users", ["urgency_chosen_by"], ["id"])


def downgrade() -> None:
    """Drop them; what could not be assessed becomes green, as it was called before."""
    op.execute("UPDATE complaints SET urgency = 'yesil' WHERE urgency IS NULL")
    with op.batch_alter_table("complaints") as table:
        table.drop_constraint("fk_complaints_urgency_chosen_by", type_="foreignkey")
        for column in ("rules", "chosen", "reason", "chosen_by", "chosen_at"):
            table.drop_column(f"urgency_{column}")
        table.alter_column("urgency", existing_type=_LEVEL, nullable=False)
