"""A password can be pasted, filled by a manager, and looked at (OWASP ASVS 2.1.11 and 2.1.12)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.service.browser import opened, serving
from tests.service.kit import make_context


@pytest.fixture
def page(tmp_path, browser) -> Iterator[Page]:
    with serving(make_context(tmp_path)) as address, opened(browser, address) as context:
        page = context.new_page()
        page.goto("/login")
        yield page


def test_a_password_can_be_looked_at(page):
    field = page.locator("#password")
    field.fill("dört sakin sözcük yeter")
    assert field.get_attribute("type") == "password"
    page.get_by_role("button", name="Yazılanı göster").click()
    assert field.get_attribute("type") == "text"
    assert field.input_value() == "dört sakin sözcük yeter"
    page.get_by_role("button", name="Yazılanı göster").click()
    assert field.get_attribute("type") == "password"


def test_a_password_can_be_pasted_and_is_named_for_managers(page):
    page.locator("#login").fill("dört sakin sözcük yeter")
    page.locator("#login").press("Control+a")
    page.locator("#login").press("Control+c")
    page.locator("#password").press("Control+v")
    assert page.locator("#password").input_value() == "dört sakin sözcük yeter"
    assert page.locator("#password").get_attribute("autocomplete") == "current-password"
    assert "username" in str(page.locator("#login").get_attribute("autocomplete"))
