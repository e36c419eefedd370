"""What the tests of the service share: records on both databases, a hospital, browsers, decoders."""

from tests.records.clock import clock
from tests.records.fixtures import both_records, make_url, postgres
from tests.service.browser import browser
from tests.service.decoders import lasting_decoders
from tests.service.fixtures import app_context, case, client, there
from tests.service.moving import application

__all__ = [
    "app_context",
    "application",
    "both_records",
    "browser",
    "case",
    "client",
    "clock",
    "lasting_decoders",
    "make_url",
    "postgres",
    "there",
]
