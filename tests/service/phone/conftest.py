"""What the tests of the phone's queue share: a hospital, its address, a phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.service.browser import opened, serving
from tests.service.kit import make_context
from tetkik.service.kit.context import AppContext


@pytest.fixture(scope="module")
def app_context(tmp_path_factory: pytest.TempPathFactory) -> AppContext:
    return make_context(tmp_path_factory.mktemp("hospital"), phone_queue_hours=2)


@pytest.fixture(scope="module")
def address(app_context: AppContext) -> Iterator[str]:
    with serving(app_context) as found:
        yield found


@pytest.fixture
def phone(browser, address) -> Iterator[BrowserContext]:
    with opened(browser, address, width=390, touch=True) as context:
        yield context
