"""Orders of studies, and encounters of patients, as the hospital's system tells of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_ID = sa.String(26)
_AT = sa.DateTime(timezone=True)
_DIGEST = sa.LargeBinary(32)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "orders",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("case_id", _ID),
        sa.Column("source", sa.String(60), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("accession_digest", _DIGEST),
        sa.Column("placer_digest", _DIGEST),
        sa.Column("filler_digest", _DIGEST),
        sa.Column("modality", sa.String(16)),
        sa.Column("body_part", sa.String(16)),
        sa.Column("department", sa.String(60)),
        sa.Column("station_ae", sa.String(16)),
        sa.Column("scheduled_at", _AT, nullable=False),
        sa.Column("told_at", _AT),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("changed_at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.UniqueConstraint("source", "placer_digest", name="uq_orders_source_placer_digest"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_orders_patient_id"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_orders_case_id"),
    )
    for column in ("patient_id", "case_id", "accession_digest", "filler_digest"):
        op.create_index(f"ix_orders_{column}", "orders", [column])
    op.create_index("ix_orders_scheduled", "orders", ["state", "scheduled_at"])
    op.create_table(
        "encounters",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("number_digest", _DIGEST, nullable=False),
        sa.Column("department", sa.String(60)),
        sa.Column("opened_at", _AT),
        sa.Column("closed_at", _AT),
        sa.Column("told_at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_encounters"),
        sa.UniqueConstraint("patient_id", "number_digest", name="uq_encounters_patient_id_number_digest"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_encounters_patient_id"),
    )
    op.create_index("ix_encounters_patient_id", "encounters", ["patient_id"])
    op.create_index("ix_encounters_open", "encounters", ["closed_at", "patient_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("encounters")
    op.drop_table("orders")
