"""What people make of the worklist: pools of readers, assignments, saved views."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Made, Moment


class ReaderPool(Identified, Made, Base):
    """A group of readers to which cases are assigned, such as "Thorax"."""

    __tablename__ = "reader_pools"

    name: Mapped[str] = mapped_column(String(60), unique=True)


class PoolMember(Base):
    """A reader of a pool."""

    __tablename__ = "pool_members"

    pool_id: Mapped[str] = mapped_column(ForeignKey("reader_pools.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)


class Assignment(Base):
    """Who is to read an open case: one reader or one pool. It goes when the case is signed."""

    __tablename__ = "assignments"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), index=True)
    pool_id: Mapped[str | None] = mapped_column(ForeignKey("reader_pools.id", ondelete="CASCADE"), index=True)
    assigned_at: Mapped[datetime] = mapped_column(Moment)
    assigned_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))


class SavedView(Identified, Made, Base):
    """Filters, order and columns of the worklist under a name; of `created_by`, or everybody's."""

    __tablename__ = "worklist_views"

    name: Mapped[str] = mapped_column(String(60))
    query: Mapped[str] = mapped_column(Text)
    """As the address of the worklist has it after the `?`: codes alone, nothing of a patient."""
    shared: Mapped[bool]

    __table_args__ = (UniqueConstraint("created_by", "name"),)
