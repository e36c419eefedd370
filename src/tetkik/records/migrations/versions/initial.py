"""The tables of 0.1.0, and the triggers that hold what never changes; the SQL beside this file is frozen.

- `audit`: rows are never removed, and changed only by erasure, which empties `content` and `salt`.
- `report_versions`, `signatures`, `withdrawals`: never changed. They are removed only where the patient's key
  has already been destroyed: without it nobody can read them, so nothing is lost that was not erased on
  purpose.
- `patients.key`: not destroyed while a signed report is kept by law, that is before `erase_after`.

No flag switches the rules off: the end of legal retention destroys the key first. On SQLite moments are
compared as text, in the form that the driver writes. PostgreSQL's TRUNCATE fires no row trigger, so that it
has triggers of its own.
"""

from __future__ import annotations

from importlib import resources

from alembic import op

revision = "0101"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    file = resources.files("tetkik.records.migrations.versions") / f"0101.{op.get_bind().dialect.name}.sql"
    for statement in file.read_text("utf-8").rstrip(";\n").split(";\n\n"):
        op.execute(statement)
