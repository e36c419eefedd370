"""Macros and added words of each person; critical results, with who was told and who knows them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ID = sa.String(26)
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "macros",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("abbreviation", sa.String(16), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("hotkey", sa.Integer),
        sa.Column("text", sa.String(4000), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_macros"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_macros_user_id"),
        sa.UniqueConstraint(
            "user_id", "language", "abbreviation", name="uq_macros_user_id_language_abbreviation"
        ),
        sa.UniqueConstraint("user_id", "language", "hotkey", name="uq_macros_user_id_language_hotkey"),
    )
    op.create_table(
        "personal_words",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("word", sa.String(60), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "word", name="pk_personal_words"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_personal_words_user_id"),
    )
    op.create_table(
        "critical_results",
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("created_by", _ID),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("reference", sa.String(32), nullable=False),
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("words", sa.LargeBinary),
        sa.Column("notices", sa.Text, nullable=False),
        sa.Column("next_at", _MOMENT),
        sa.Column("acknowledged_at", _MOMENT),
        sa.Column("acknowledged_by", _ID),
        sa.Column("told_to", sa.LargeBinary),
        sa.Column("read_back", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_critical_results"),
        sa.UniqueConstraint("reference", name="uq_critical_results_reference"),
        *(
            sa.ForeignKeyConstraint([column], [target], name=f"fk_critical_results_{column}")
            for column, target in (
                ("created_by", "users.id"),
                ("case_id", "cases.id"),
                ("patient_id", "patients.id"),
                ("acknowledged_by", "users.id"),
            )
        ),
    )
    for columns in (["case_id"], ["patient_id"], ["acknowledged_at", "next_at"]):
        op.create_index(f"ix_critical_results_{'_'.join(columns)}", "critical_results", columns)


def downgrade() -> None:
    """Drop them."""
    for table in ("critical_results", "personal_words", "macros"):
        op.drop_table(table)
