"""Records for the tests of HL7, and the system that sends to them."""

from __future__ import annotations

from tests.integrations.hl7.messages import hbys
from tests.records.fixtures import both_records, make_url, postgres
from tests.records.readers import records

__all__ = ["both_records", "hbys", "make_url", "postgres", "records"]
