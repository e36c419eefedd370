"""A screen that is locked, or left, without a network stays closed when the network is back."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from tests.service.browser import arrived, signed_in
from tests.service.phone.kit import DESK, ready, taken
from tetkik.records.schema import BrowserSession
from tetkik.service.kit.context import AppContext
from tetkik.values import Actor, Role

pytestmark = pytest.mark.program("chromium")
MINUTE = 60_000
OFFLINE = "Ağ bağlantısı yok"


def sign_out(page: Page) -> None:
    page.click("details.menu summary")
    page.click("form[action='/logout'] button")


def sign_out_everywhere(page: Page) -> None:
    page.click("form[action='/account/sign-out-everywhere'] button")
    page.click("#confirm [data-yes]")


def press_lock(page: Page) -> None:
    page.click("form[action='/lock'] button")


def lie_still(page: Page) -> None:
    page.clock.fast_forward(11 * MINUTE)


def lie_still_without_a_page(page: Page) -> None:
    for one in page.context.pages:
        one.goto("/worklist")
        one.locator("[data-take]").wait_for()
    page.clock.fast_forward(11 * MINUTE)


def sessions_of(app_context: AppContext, actor: Actor) -> list[bool]:
    """Of the open ones whether each is locked."""
    with app_context.records.read() as tx:
        rows = tx.session.scalars(select(BrowserSession).where(BrowserSession.user_id == actor.user_id))
        return [row.locked for row in rows]


@pytest.mark.attack
@pytest.mark.parametrize(
    ("leaves", "path", "sessions"),
    [
        (press_lock, "/lock", [True]),
        (lie_still, "/lock", [True]),
        (lie_still_without_a_page, "/lock", [True]),
        (sign_out, "/login", []),
        (sign_out_everywhere, "/login", []),
    ],
)
def test_a_screen_that_was_left_without_a_network_stays_closed(phone, app_context, leaves, path, sessions):
    actor = signed_in(phone, app_context, Role.RADIOLOGIST, *DESK)
    page = phone.new_page()
    page.clock.install()
    ready(page, "/account")
    open_beside = ready(phone.new_page(), "/worklist")
    phone.set_offline(True)
    leaves(page)
    page.locator("[data-nobody]").wait_for()
    expect(page.locator("[data-not-left]")).to_be_visible()
    expect(open_beside.get_by_role("heading", level=1)).to_have_text(OFFLINE)
    for one in (page, open_beside):
        one.close()
    phone.set_offline(False)
    assert sessions_of(app_context, actor) == [False]  # the hospital has not heard of it
    again = phone.new_page()
    answer = again.goto("/worklist")
    assert answer is not None and urlsplit(answer.url).path == path
    assert sessions_of(app_context, actor) == sessions


def test_the_page_comes_back_locked_by_itself(phone, app_context):
    """No page of the hospital is shown between; and what stands for a form's answer sends no form again."""
    actor = signed_in(phone, app_context, Role.RADIOLOGIST, *DESK)
    page = ready(phone.new_page())
    taken(page, "Kilitli HASTA")
    phone.set_offline(True)
    page.click("details.menu summary")
    page.click("form[action='/account/preferences'] [value=en]")
    arrived(page, "/offline")
    expect(page.locator("[data-count]")).to_have_text("1")
    expect(page.locator("[data-not-left]")).to_be_hidden()
    phone.set_offline(False)
    page.locator("form[action='/lock']").wait_for(state="attached")  # of the first page that one may open
    phone.set_offline(True)
    press_lock(page)
    page.locator("[data-nobody]").wait_for()
    paths: list[str] = []
    page.on("framenavigated", lambda frame: paths.append(urlsplit(frame.url).path))
    phone.set_offline(False)
    arrived(page, "/lock")
    assert set(paths) == {"/lock"} and sessions_of(app_context, actor) == [True]


POST = """(csrf) => {
    const form = document.createElement('form');
    Object.assign(form, { method: 'post', action: '/lock' });
    const made = () => document.createElement('input');
    const field = (name, value) => form.append(Object.assign(made(), { name, value }));
    for (let at = 0; at < 1001; at++) field(`f${at}`, '');
    if (csrf) field('csrf', csrf);
    document.body.append(form);
    form.submit();
}"""


@pytest.mark.attack
def test_a_form_of_another_site_without_a_network_shuts_nobody_out(phone, app_context):
    """What the server refuses to read would be delivered before every page, and never be."""
    actor = signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    phone.set_offline(True)
    for csrf in ("", "made up"):
        page.evaluate("() => { window.before = true; }")
        page.evaluate(POST, csrf)
        page.wait_for_function("() => !window.before && document.querySelector('[data-offline-page]')")
    phone.set_offline(False)
    page.locator("form[action='/lock']").wait_for(state="attached")  # of a page of somebody signed in
    assert sessions_of(app_context, actor) == [False]


@pytest.mark.attack
def test_a_proxy_that_refuses_does_not_stand_for_the_hospital(phone, app_context):
    actor = signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page())
    (worker,) = phone.service_workers
    worker.evaluate(
        "() => { self.real = fetch; self.fetch = async () => new Response('', { status: 403 }); }"
    )
    press_lock(page)
    expect(page.locator("[data-not-left]")).to_be_visible()
    page.close()
    assert sessions_of(app_context, actor) == [False]
    worker.evaluate("() => { self.fetch = self.real; }")
    again = phone.new_page()
    again.goto("/worklist")
    arrived(again, "/lock")
    assert sessions_of(app_context, actor) == [True]


@pytest.mark.attack
def test_a_page_that_comes_past_the_worker_opens_nothing_that_was_locked(phone, app_context):
    """Loaded anew by force, a page comes from the hospital before that knows of the lock."""
    actor = signed_in(phone, app_context, *DESK)
    page = ready(phone.new_page(), "/account")
    phone.set_offline(True)
    press_lock(page)
    page.locator("[data-nobody]").wait_for()
    page.close()
    phone.set_offline(False)
    again = phone.new_page()
    force = phone.new_cdp_session(again)
    force.send("Network.enable")
    force.send("Network.setBypassServiceWorker", {"bypass": True})
    again.goto("/account", wait_until="commit")
    force.send("Network.setBypassServiceWorker", {"bypass": False})
    arrived(again, "/lock")
    assert sessions_of(app_context, actor) == [True]
