"""An index of the work that is open: workers find the next piece without passing what is done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0014"

_OPEN = sa.text("state IN ('queued', 'running')")


def upgrade() -> None:
    """Create it."""
    op.create_index("ix_jobs_open", "jobs", ["priority", "id"], sqlite_where=_OPEN, postgresql_where=_OPEN)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_jobs_open", "jobs")
