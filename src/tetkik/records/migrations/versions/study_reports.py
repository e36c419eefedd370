"""A report about a study instead of one image, and images that were removed.

A report that is the only one of its study becomes the study's. Where a study has several, each stays about
its own image, as it was written or signed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ONLY_ONE = """
UPDATE reports SET study_id = (SELECT study_id FROM images WHERE images.id = reports.image_id)
WHERE (
  SELECT count(*) FROM reports AS others JOIN images ON images.id = others.image_id
  WHERE images.study_id = (SELECT study_id FROM images WHERE images.id = reports.image_id)
) = 1
"""
_NEW = {
    "images": ("moved_to", "removed_by", "removal_reason", "removed_at"),
    "reports": ("study_id",),
}


def upgrade() -> None:
    """Add the columns; none needs a table to be copied."""
    _add_reference("reports", "study_id", "studies")
    op.execute(_ONLY_ONE)
    op.create_index("ix_reports_study_id", "reports", ["study_id"], unique=True)
    op.add_column("images", sa.Column("removed_at", sa.DateTime(timezone=True)))
    op.add_column("images", sa.Column("removal_reason", sa.String(32)))
    _add_reference("images", "removed_by", "users")
    _add_reference("images", "moved_to", "images")


def downgrade() -> None:
    """Drop them; an image that was removed is there again."""
    op.drop_index("ix_reports_study_id", "reports")
    for table, columns in _NEW.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")


def _add_reference(table: str, column: str, to: str) -> None:
    # SQLite adds a column with its reference, but no constraint by itself.
    reference = f"CONSTRAINT fk_{table}_{column} REFERENCES {to} (id)"
    op.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR(26) {reference}")
