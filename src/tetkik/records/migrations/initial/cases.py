"""A visit with its complaint, its studies and their images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


def create() -> None:
    """Create the tables."""
    op.create_table(
        "cases",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("patient_id", sa.String(length=26), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("priority_chosen", sa.SmallInteger(), nullable=True),
        sa.Column("urgency", sa.String(length=32), nullable=True),
        sa.Column("department", sa.String(length=60), nullable=True),
        sa.Column("restricted", sa.Boolean(), nullable=False),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=26), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("question", sa.LargeBinary(), nullable=True),
        sa.Column("emptied_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_cases_created_by")),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_cases_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint(
            "id", "state", "priority", "waiting_since", name=op.f("uq_cases_id_state_priority_waiting_since")
        ),
        sa.UniqueConstraint("number", name=op.f("uq_cases_number")),
    )
    op.create_index(
        "ix_cases_department",
        "cases",
        ["department", "state", "priority", "waiting_since", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_cases_patient_id"), "cases", ["patient_id"], unique=False)
    op.create_index("ix_cases_state", "cases", ["state", "priority", "waiting_since", "id"], unique=False)
    op.create_index("ix_cases_updated", "cases", ["updated_at", "id"], unique=False)
    op.create_table(
        "case_marks",
        sa.Column("case_id", sa.String(length=26), nullable=False),
        sa.Column("mark", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id", "state", "priority", "waiting_since"],
            ["cases.id", "cases.state", "cases.priority", "cases.waiting_since"],
            name=op.f("fk_case_marks_case_id_state_priority_waiting_since"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("case_id", "mark", name=op.f("pk_case_marks")),
    )
    op.create_index(
        "ix_case_marks_worklist",
        "case_marks",
        ["mark", "state", "priority", "waiting_since", "case_id"],
        unique=False,
    )
    op.create_table(
        "case_moves",
        sa.Column("case_id", sa.String(length=26), nullable=False),
        sa.Column("moved_to", sa.String(length=26), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_moves_case_id")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_case_moves_created_by")),
        sa.ForeignKeyConstraint(["moved_to"], ["cases.id"], name=op.f("fk_case_moves_moved_to")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case_moves")),
        sa.UniqueConstraint("moved_to", name=op.f("uq_case_moves_moved_to")),
    )
    op.create_table(
        "claims",
        sa.Column("case_id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_claims_case_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_claims_user_id")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_claims")),
    )
    op.create_table(
        "complaints",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("case_id", sa.String(length=26), nullable=False),
        sa.Column("patient_id", sa.String(length=26), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("bundle", sa.String(length=120), nullable=False),
        sa.Column("bundle_sha256", sa.String(length=64), nullable=False),
        sa.Column("urgency", sa.String(length=32), nullable=False),
        sa.Column("department_model", sa.String(length=60), nullable=True),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("abstained", sa.Boolean(), nullable=False),
        sa.Column("department_chosen", sa.String(length=60), nullable=True),
        sa.Column("chosen_by", sa.String(length=26), nullable=True),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_complaints_case_id")),
        sa.ForeignKeyConstraint(["chosen_by"], ["users.id"], name=op.f("fk_complaints_chosen_by")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_complaints_created_by")),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_complaints_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaints")),
    )
    op.create_index(op.f("ix_complaints_case_id"), "complaints", ["case_id"], unique=False)
    op.create_index(op.f("ix_complaints_created_at"), "complaints", ["created_at"], unique=False)
    op.create_table(
        "studies",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("case_id", sa.String(length=26), nullable=False),
        sa.Column("patient_id", sa.String(length=26), nullable=False),
        sa.Column("uid_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("accession_digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("tags", sa.LargeBinary(), nullable=True),
        sa.Column("modality", sa.String(length=16), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_studies_case_id")),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_studies_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("case_id", "uid_digest", name=op.f("uq_studies_case_id_uid_digest")),
    )
    op.create_index(op.f("ix_studies_accession_digest"), "studies", ["accession_digest"], unique=False)
    op.create_index(op.f("ix_studies_case_id"), "studies", ["case_id"], unique=False)
    op.create_index(op.f("ix_studies_patient_id"), "studies", ["patient_id"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("study_id", sa.String(length=26), nullable=False),
        sa.Column("case_id", sa.String(length=26), nullable=False),
        sa.Column("patient_id", sa.String(length=26), nullable=False),
        sa.Column("file", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("file_format", sa.String(length=16), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("spacing", sa.String(length=40), nullable=True),
        sa.Column("view", sa.String(length=16), nullable=True),
        sa.Column("tags", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=26), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_images_case_id")),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_images_created_by")),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_images_patient_id")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_images_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("case_id", "file", name=op.f("uq_images_case_id_file")),
    )
    op.create_index(op.f("ix_images_case_id"), "images", ["case_id"], unique=False)
    op.create_index(
        op.f("ix_images_created_by_created_at"), "images", ["created_by", "created_at"], unique=False
    )
    op.create_index(op.f("ix_images_patient_id"), "images", ["patient_id"], unique=False)
    op.create_index(op.f("ix_images_study_id"), "images", ["study_id"], unique=False)
    op.create_table(
        "blobs",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("patient_id", sa.String(length=26), nullable=False),
        sa.Column("image_id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=60), nullable=False),
        sa.Column("file", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_blobs_image_id")),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name=op.f("fk_blobs_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blobs")),
        sa.UniqueConstraint("image_id", "kind", "label", name=op.f("uq_blobs_image_id_kind_label")),
    )
    op.create_index(op.f("ix_blobs_image_id"), "blobs", ["image_id"], unique=False)
    op.create_index(op.f("ix_blobs_patient_id"), "blobs", ["patient_id"], unique=False)
    op.create_table(
        "break_glass",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("user_id", sa.String(length=26), nullable=False),
        sa.Column("case_id", sa.String(length=26), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_break_glass_case_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_break_glass_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_break_glass")),
    )
    op.create_index(
        op.f("ix_break_glass_user_id_case_id_expires_at"),
        "break_glass",
        ["user_id", "case_id", "expires_at"],
        unique=False,
    )


def drop() -> None:
    """Remove them."""
    op.drop_table("break_glass")
    op.drop_table("blobs")
    op.drop_table("images")
    op.drop_table("studies")
    op.drop_table("complaints")
    op.drop_table("claims")
    op.drop_table("case_moves")
    op.drop_table("case_marks")
    op.drop_table("cases")
