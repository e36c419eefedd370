"""Whose data it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


def create() -> None:
    """Create the tables."""
    op.create_table(
        "patients",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("identity", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erase_after", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patients")),
    )
    op.create_table(
        "patient_index",
        sa.Column("patient_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_patient_index_patient_id")),
        sa.PrimaryKeyConstraint("patient_id", "kind", "digest", name=op.f("pk_patient_index")),
    )
    op.create_index(op.f("ix_patient_index_kind_digest"), "patient_index", ["kind", "digest"], unique=False)
    op.create_table(
        "patient_links",
        sa.Column("patient_id", sa.String(length=26), nullable=False),
        sa.Column("survivor_id", sa.String(length=26), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_patient_links_created_by")),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_patient_links_patient_id")),
        sa.ForeignKeyConstraint(["survivor_id"], ["patients.id"], name=op.f("fk_patient_links_survivor_id")),
        sa.PrimaryKeyConstraint("patient_id", name=op.f("pk_patient_links")),
    )
    op.create_index(op.f("ix_patient_links_survivor_id"), "patient_links", ["survivor_id"], unique=False)


def drop() -> None:
    """Remove them."""
    op.drop_table("patient_links")
    op.drop_table("patient_index")
    op.drop_table("patients")
