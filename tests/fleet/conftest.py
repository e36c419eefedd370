"""Records on both databases, and a clock that a test moves."""

from tests.records.clock import clock
from tests.records.fixtures import both_records, make_url, object_storage, postgres

__all__ = ["both_records", "clock", "make_url", "object_storage", "postgres"]
