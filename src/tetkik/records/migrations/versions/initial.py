"""The first tables, and the triggers that hold what never changes."""

from __future__ import annotations

from tetkik.records.migrations.initial import cases, keys, models, patients, people, reports, trail, triggers

revision = "0001"
down_revision = None
_THEMES = (keys, people, patients, cases, models, reports, trail)
"""Each stands on those before it."""


def upgrade() -> None:
    """Create everything."""
    for theme in _THEMES:
        theme.create()
    triggers.create()


def downgrade() -> None:
    """Remove everything, with all that is in it."""
    triggers.drop()
    for theme in reversed(_THEMES):
        theme.drop()
