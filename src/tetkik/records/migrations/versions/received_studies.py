"""Studies that other systems sent, and the files of each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ID = sa.String(26)
_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "received_studies",
        sa.Column("id", _ID, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("peer", sa.String(64), nullable=False),
        sa.Column("uid_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("verdict", sa.String(16)),
        sa.Column("order_id", _ID),
        sa.Column("case_id", _ID),
        sa.Column("patient_id", _ID),
        sa.Column("prior_of", _ID),
        sa.Column("content", sa.LargeBinary),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("imported", sa.Integer, nullable=False),
        sa.Column("refused", sa.Integer, nullable=False),
        sa.Column("expected", sa.Integer),
        sa.Column("asked_at", _AT),
        sa.Column("first_at", _AT, nullable=False),
        sa.Column("last_at", _AT, nullable=False),
        sa.Column("fault", sa.Text),
        sa.Column("decided_by", _ID),
        sa.Column("decided_at", _AT),
        sa.PrimaryKeyConstraint("id", name="pk_received_studies"),
        sa.UniqueConstraint("uid_digest", name="uq_received_studies_uid_digest"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_received_studies_case_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_received_studies_patient_id"),
        sa.ForeignKeyConstraint(["prior_of"], ["patients.id"], name="fk_received_studies_prior_of"),
        sa.ForeignKeyConstraint(["decided_by"], ["users.id"], name="fk_received_studies_decided_by"),
    )
    op.create_index("ix_received_studies_state_last_at", "received_studies", ["state", "last_at"])
    for column in ("order_id", "case_id", "patient_id", "prior_of"):
        op.create_index(f"ix_received_studies_{column}", "received_studies", [column])
    op.create_table(
        "received_files",
        sa.Column("id", _ID, nullable=False),
        sa.Column("received_id", _ID, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("instance_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("image_id", _ID),
        sa.Column("fault", sa.Text),
        sa.Column("received_at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_received_files"),
        sa.UniqueConstraint("name", name="uq_received_files_name"),
        sa.ForeignKeyConstraint(
            ["received_id"], ["received_studies.id"], name="fk_received_files_received_id"
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_received_files_image_id"),
    )
    for column in ("received_id", "instance_digest", "image_id"):
        op.create_index(f"ix_received_files_{column}", "received_files", [column])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("received_files")
    op.drop_table("received_studies")
