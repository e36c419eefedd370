"""Digests of names go, changes of names get numbers, and rows that open an account their codes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_AUTHENTICATED = ("users", "passkeys", "sessions", "api_tokens", "invites")


def upgrade() -> None:
    """Nothing of the digests stays in the database's own files; the codes are made once it is open."""
    if op.get_bind().dialect.name == "postgresql":
        # A deleted row stays in the file of its table; an emptied table gets another file.
        op.execute(
            "CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM patient_index WHERE kind <> 'name'"
        )
        op.execute("TRUNCATE patient_index")
        op.execute("INSERT INTO patient_index SELECT * FROM kept")
    else:
        op.execute("DELETE FROM patient_index WHERE kind = 'name'")
    op.add_column("patients", sa.Column("name_revision", sa.BigInteger))
    op.execute("UPDATE patients SET name_revision = 1 WHERE identity IS NOT NULL")
    op.create_index("ix_patients_name_revision_id", "patients", ["name_revision", "id"])
    for table in _AUTHENTICATED:
        op.add_column(table, sa.Column("mac", sa.LargeBinary(32)))


def downgrade() -> None:
    """Take numbers and codes away; digests of names come back with each change of a name: they need a key."""
    for table in _AUTHENTICATED:
        op.drop_column(table, "mac")
    op.drop_index("ix_patients_name_revision_id", "patients")
    op.drop_column("patients", "name_revision")
