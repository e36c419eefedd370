"""Indexes by time: the list of today, and the figures of a department over a period."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

_TABLES = ("cases", "studies", "reports")


def upgrade() -> None:
    """Create them."""
    for table in _TABLES:
        op.create_index(f"ix_{table}_created_at", table, ["created_at"])


def downgrade() -> None:
    """Drop them."""
    for table in _TABLES:
        op.drop_index(f"ix_{table}_created_at", table)
