"""What goes out to other systems, and how each of them answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_ID = sa.String(26)
_MOMENT = sa.DateTime(timezone=True)
_SENDING = sa.text("state = 'sending'")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "outbox",
        sa.Column("id", _ID, nullable=False),
        sa.Column("report_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("withdrawal", sa.Boolean, nullable=False),
        sa.Column("destination", sa.String(40), nullable=False),
        sa.Column("form", sa.String(16), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", _MOMENT),
        sa.Column("status", sa.LargeBinary),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("settled_at", _MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint(
            "report_id",
            "number",
            "withdrawal",
            "destination",
            "form",
            name="uq_outbox_report_id_number_withdrawal_destination_form",
        ),
        *(
            sa.ForeignKeyConstraint([f"{name}_id"], [f"{name}s.id"], name=f"fk_outbox_{name}_id")
            for name in ("report", "case", "patient")
        ),
    )
    for columns in (["case_id"], ["patient_id"], ["state", "next_at"]):
        op.create_index(f"ix_outbox_{'_'.join(columns)}", "outbox", columns)
    op.create_index(
        "uq_outbox_sending",
        "outbox",
        ["destination"],
        unique=True,
        sqlite_where=_SENDING,
        postgresql_where=_SENDING,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("outbox")
