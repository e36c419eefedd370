"""Pools of readers, assignments, saved views of the worklist, what a person chose of it, and the body part.

Studies that are there have no body part; it comes with their next image file.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.String(26)
_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables and add the columns."""
    op.create_table(
        "reader_pools",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("created_by", _ID),
        sa.PrimaryKeyConstraint("id", name="pk_reader_pools"),
        sa.UniqueConstraint("name", name="uq_reader_pools_name"),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_reader_pools_created_by"),
    )
    op.create_table(
        "pool_members",
        sa.Column("pool_id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("pool_id", "user_id", name="pk_pool_members"),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["reader_pools.id"], name="fk_pool_members_pool_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_pool_members_user_id"),
    )
    op.create_index("ix_pool_members_user_id", "pool_members", ["user_id"])
    op.create_table(
        "assignments",
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("user_id", _ID),
        sa.Column("pool_id", _ID),
        sa.Column("assigned_at", _AT, nullable=False),
        sa.Column("assigned_by", _ID),
        sa.PrimaryKeyConstraint("case_id", name="pk_assignments"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_assignments_case_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_assignments_user_id"),
        sa.ForeignKeyConstraint(
            ["pool_id"], ["reader_pools.id"], name="fk_assignments_pool_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["assigned_by"], ["users.id"], name="fk_assignments_assigned_by"),
    )
    op.create_index("ix_assignments_user_id", "assignments", ["user_id"])
    op.create_index("ix_assignments_pool_id", "assignments", ["pool_id"])
    op.create_table(
        "worklist_views",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("created_by", _ID),
        sa.PrimaryKeyConstraint("id", name="pk_worklist_views"),
        sa.UniqueConstraint("created_by", "name", name="uq_worklist_views_created_by_name"),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name="fk_worklist_views_created_by"),
    )
    op.add_column("users", sa.Column("worklist", sa.Text))
    op.add_column("studies", sa.Column("body_part", sa.String(16)))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("studies", "body_part")
    op.drop_column("users", "worklist")
    for table in ("worklist_views", "assignments", "pool_members", "reader_pools"):
        op.drop_table(table)
