"""Wrong passwords are counted by the place that they come from, no longer by the account alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table, and drop the counter of the account."""
    op.create_table(
        "sign_in_failures",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(26), nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("until", _AT),
        sa.Column("at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_sign_in_failures"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sign_in_failures_user_id"),
    )
    op.create_index("ix_sign_in_failures_user_id", "sign_in_failures", ["user_id"])
    op.drop_column("users", "failed")
    op.drop_column("users", "locked_until")


def downgrade() -> None:
    """Give the columns back, and drop the table."""
    op.add_column("users", sa.Column("locked_until", _AT))
    op.add_column("users", sa.Column("failed", sa.Integer, nullable=False, server_default="0"))
    op.drop_table("sign_in_failures")
