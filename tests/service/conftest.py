"""Records on both databases for every test of the service."""

from tests.records.clock import clock
from tests.records.fixtures import both_records, make_url, postgres
from tests.service.browser import browser
from tests.service.decoders import lasting, same_decoders
from tests.service.moving import application

__all__ = [
    "application",
    "both_records",
    "browser",
    "clock",
    "lasting",
    "make_url",
    "postgres",
    "same_decoders",
]
