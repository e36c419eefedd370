"""Indexes that hold what the figures of a department read: without them every sealed draft is passed over."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"

_NEW = {
    "ix_reports_of_period": ("reports", ["created_at", "study_id", "id"]),
    "ix_report_versions_of_period": (
        "report_versions",
        ["created_at", "report_id", "number", "replaces", "corrected", "id"],
    ),
}
_OLD = ("reports", "report_versions")


def upgrade() -> None:
    """Create them in place of those by time alone."""
    for name, (table, columns) in _NEW.items():
        op.create_index(name, table, columns)
    for table in _OLD:
        op.drop_index(f"ix_{table}_created_at", table)


def downgrade() -> None:
    """Bring the old ones back."""
    for table in _OLD:
        op.create_index(f"ix_{table}_created_at", table, ["created_at"])
    for name, (table, _) in _NEW.items():
        op.drop_index(name, table)
