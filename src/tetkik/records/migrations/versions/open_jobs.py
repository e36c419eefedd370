"""Indexes of the work that is open or failed: workers find the next piece without passing what is done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_OPEN, _FAILED = sa.text("state IN ('queued', 'running')"), sa.text("state = 'failed'")


def upgrade() -> None:
    """Create them in the place of one over all that was ever done."""
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index("ix_jobs_open", "jobs", ["priority", "id"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index("ix_jobs_failed", "jobs", ["created_at"], sqlite_where=_FAILED, postgresql_where=_FAILED)


def downgrade() -> None:
    """Drop them, and create that one again."""
    op.drop_index("ix_jobs_failed", "jobs")
    op.drop_index("ix_jobs_open", "jobs")
    op.create_index("ix_jobs_queue", "jobs", ["state", "priority", "id"])
