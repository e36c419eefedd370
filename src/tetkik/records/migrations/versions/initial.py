"""The first tables, and the triggers that hold what never changes; the SQL beside this file is frozen.

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

import re
from importlib import resources

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    for statement in _statements():
        op.execute(statement)


def downgrade() -> None:
    """Drop everything: triggers and functions first, then tables, dependent ones first."""
    for kind in ("TRIGGER", "FUNCTION", "TABLE"):
        for statement in reversed(_statements()):
            named = re.match(rf"CREATE {kind} (\w+)(?:.* ON (\w+))?", statement)
            if named is not None:
                of_table = f" ON {named[2]}" if kind == "TRIGGER" and _dialect() == "postgresql" else ""
                op.execute(f"DROP {kind} {named[1]}{of_table}")


def _dialect() -> str:
    return op.get_bind().dialect.name


def _statements() -> list[str]:
    file = resources.files("tetkik.records.migrations.versions") / f"0001.{_dialect()}.sql"
    return file.read_text("utf-8").rstrip(";\n").split(";\n\n")
