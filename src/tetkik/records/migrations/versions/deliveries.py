"""Who got which signed version as which document, and whether they were told of a change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_ID = sa.String(26)
_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "deliveries",
        sa.Column("id", _ID, nullable=False),
        sa.Column("report_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("form", sa.String(16), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("notified", sa.String(32)),
        sa.Column("notified_at", _AT),
        sa.Column("notice_id", _ID),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint(
            "report_id", "number", "form", "user_id", name="uq_deliveries_report_id_number_form_user_id"
        ),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_deliveries_report_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_deliveries_user_id"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("deliveries")
