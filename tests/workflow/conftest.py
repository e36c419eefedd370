"""Records on both databases for every test of this folder."""

from tests.records.clock import clock
from tests.records.fixtures import both_records, make_url, postgres
from tests.records.readers import radiologist, reader, records

__all__ = ["both_records", "clock", "make_url", "postgres", "radiologist", "reader", "records"]
