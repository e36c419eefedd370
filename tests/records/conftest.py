"""Records on both databases for every test of this folder."""

from tests.records.clock import clock
from tests.records.fixtures import both_records, make_url, object_storage, postgres
from tests.records.readers import radiologist, reader, records

__all__ = [
    "both_records",
    "clock",
    "make_url",
    "object_storage",
    "postgres",
    "radiologist",
    "reader",
    "records",
]
