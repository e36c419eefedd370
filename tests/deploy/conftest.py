"""A PostgreSQL server, as the tests of the records have it."""

from tests.records.fixtures import postgres

__all__ = ["postgres"]
