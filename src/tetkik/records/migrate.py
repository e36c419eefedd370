"""Bring a database to the tables of this version."""

from __future__ import annotations

from sqlalchemy import Engine

from tetkik.records.schema import Base


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest version."""
    Base.metadata.create_all(engine)
