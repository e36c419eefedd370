"""Passkeys in a real Chromium with an authenticator: added, then used to sign in, unlock and prove again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.records.clock import Clock
from tests.service.browser import Watch, add_passkey, arrived, authenticator, axe, opened, overflow, serving
from tests.service.kit import make_context, served, sign_in
from tetkik.records.people import after_restore, passkeys, users
from tetkik.records.people.users import Profile
from tetkik.service.kit.context import AppContext
from tetkik.values import SYSTEM, Role

GOOD = "dört küçük mavi kuş"

REFUSED = """() => {
    const get = navigator.credentials.get.bind(navigator.credentials);
    navigator.credentials.get = (...asked) =>
        get(...asked).catch((fault) => { window.refused = fault.name; throw fault; });
}"""
"""Keeps why the authenticator said no."""


@pytest.fixture
def app_context(tmp_path):
    made = make_context(tmp_path, language="en")
    with made.records.write(SYSTEM) as tx:
        users.create(tx, "irem", Profile("İrem Işık", frozenset({Role.ADMINISTRATOR})), password=GOOD)
    yield made
    made.records.close()


@pytest.fixture
def page(app_context, browser) -> Iterator[Page]:
    """A page of a browser with an authenticator, at the sign-in of a served hospital."""
    with browser_at(app_context, browser) as made:
        yield made


@contextmanager
def browser_at(app_context: AppContext, browser: Browser) -> Iterator[Page]:
    """A page with an authenticator, at the sign-in of any hospital."""
    # A passkey belongs to a name; an address of numbers has none.
    with (
        serving(app_context) as address,
        opened(browser, address.replace("127.0.0.1", "localhost")) as context,
    ):
        made = context.new_page()
        made.authenticator = authenticator(made)  # type: ignore[attr-defined]
        made.goto("/login")
        yield made


def with_password(page: Page) -> None:
    page.fill("#login", "İREM")
    page.fill("#password", GOOD)
    page.click('form[action="/login"] [type=submit]')
    arrived(page, "/admin")


def with_passkey_added(page: Page) -> None:
    with_password(page)
    add_passkey(page, "Desk 3", GOOD)


def fetched(page: Page, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """What the hospital answers to a request that the page itself sends."""
    answer = page.evaluate(
        """async ([path, body]) => {
            const token = document.querySelector('meta[name="csrf-token"]').content;
            const headers = {"Content-Type": "application/json", "X-CSRF-Token": token};
            const answer = await fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
            return [answer.status, await answer.json()];
        }""",
        [path, body],
    )
    return answer[0], answer[1]


def proof(page: Page) -> dict[str, Any]:
    made: dict[str, Any] = page.evaluate("import('/static/js/passkeys.js').then((module) => module.proof())")
    return made


def test_a_passkey_signs_in_and_opens_the_locked_screen(page, app_context):
    watch = Watch()
    watch.over(page)
    with_passkey_added(page)
    page.click('form[action="/lock"] button')
    page.wait_for_url("**/lock?next=/account")
    page.click("[data-passkey=unlock]")
    arrived(page, "/account")
    page.click("details.menu summary")
    page.click('form[action="/logout"] button')
    arrived(page, "/login")
    page.click("[data-passkey=sign-in]")
    arrived(page, "/admin")
    with app_context.records.read() as tx:
        (known,) = passkeys.of_user(tx, users.find_user(tx, "irem").id)
        assert known.used_at is not None and known.sign_count >= 2
    assert [said for said in watch.complaints if "Clear-Site-Data" not in said] == []


def test_a_passkey_proves_the_person_again_once(page, app_context, clock: Clock):
    with_passkey_added(page)
    clock.go(minutes=6)
    token = {"name": "x", "scopes": ["users"]}
    assert fetched(page, "/api/v1/account/tokens", token)[0] == 403
    assertion = proof(page)
    new = token | {"proof": {"assertion": assertion}}
    assert fetched(page, "/api/v1/account/tokens", new)[0] == 201
    assert fetched(page, "/api/v1/account/tokens", new)[0] == 403


def test_an_answer_for_one_purpose_serves_no_other(page):
    with_passkey_added(page)
    credential = proof(page)
    assert fetched(page, "/api/v1/passkeys/sign-in", {"credential": credential})[0] == 403


def test_an_altered_answer_opens_nothing(page):
    with_passkey_added(page)
    for part in ("signature", "authenticatorData"):
        assertion = proof(page)
        told = assertion["response"][part]
        assertion["response"][part] = told[:-3] + ("AAA" if not told.endswith("AAA") else "BBB")
        body = {"name": "x", "scopes": [], "proof": {"assertion": assertion}}
        assert fetched(page, "/api/v1/account/tokens", body)[0] == 403


def test_a_stranger_before_the_authenticator_is_refused(page):
    with_passkey_added(page)
    page.click("details.menu summary")
    page.click('form[action="/logout"] button')
    arrived(page, "/login")
    session, id_ = page.authenticator
    session.send("WebAuthn.setUserVerified", {"authenticatorId": id_, "isUserVerified": False})
    page.evaluate(REFUSED)
    page.click("[data-passkey=sign-in]")
    page.wait_for_function("() => window.refused === 'NotAllowedError'")
    assert page.url.endswith("/login")


def test_a_removed_passkey_opens_nothing(page, app_context):
    with_passkey_added(page)
    page.get_by_role("button", name="Kaldır: Desk 3").click()
    page.locator("dialog[open] [name=current]").fill(GOOD)
    page.locator("dialog[open] [type=submit]").click()
    page.get_by_role("button", name="Kaldır: Desk 3").wait_for(state="detached")
    page.goto("/account")
    page.click("details.menu summary")
    page.click('form[action="/logout"] button')
    arrived(page, "/login")
    page.click("[data-passkey=sign-in]")
    page.locator("[data-passkey-fault]").wait_for()
    assert "açmıyor" in page.inner_text("[data-passkey-fault]")


def test_locking_one_tab_hides_the_others(page):
    with_password(page)
    other = page.context.new_page()
    other.goto("/account")
    page.click('form[action="/lock"] button')
    arrived(page, "/lock")
    other.wait_for_url("**/lock?next=/account")
    page.go_back()
    arrived(page, "/lock")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"rawId": 1, "response": {}},
        {"rawId": "AA", "response": {"clientDataJSON": "AA"}},
        {"rawId": "AA", "response": {"clientDataJSON": "e30"}},
        {"rawId": "AA", "response": []},
        {"rawId": "!", "response": {"clientDataJSON": "eyJjaGFsbGVuZ2UiOiJBQSJ9"}},
        {"rawId": "AA", "response": {"clientDataJSON": "W1tbW1tbW1s"}},
    ],
)
def test_what_is_no_answer_is_refused(tmp_path, answer):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR)
        assert client.post("/api/v1/passkeys/sign-in", json={"credential": answer}).status_code == 403
        added = client.post("/api/v1/account/passkeys", json={"credential": answer, "name": "x"})
        assert added.status_code == 403


def test_without_a_passkey_nothing_is_asked(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR)
        assert client.post("/api/v1/account/passkeys/question").status_code == 403


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_of_access_are_open_to_everybody(app_context, browser, theme):
    """axe finds nothing, nothing is wider than the window, in both themes, at a desk and on a phone."""
    faults = []
    with serving(app_context) as address:
        for width in (1440, 390):
            with opened(browser, address, width=width, theme=theme) as context:
                page = context.new_page()
                watch = Watch()
                watch.over(page)
                for path in ("/login", "/account", "/account/password", "/admin/users", "/lock"):
                    if path == "/account":
                        page.fill("#login", "irem")
                        page.fill("#password", GOOD)
                        page.click('form[action="/login"] [type=submit]')
                        arrived(page, "/admin")
                    if path == "/lock":
                        page.locator('form[action="/lock"]').evaluate("(form) => form.requestSubmit()")
                        arrived(page, "/lock")
                    else:
                        page.goto(path)
                    faults += [f"{path} {width}: {fault}" for fault in (*axe(page), *watch.complaints)]
                    if overflow(page) > 0:
                        faults.append(f"{path} {width}: wider than the window")
    assert not faults, "\n".join(faults)


def test_a_role_that_needs_a_passkey_adds_one_and_goes_on_with_it(browser, tmp_path):
    strict = make_context(tmp_path, language="en", passkey_roles="administrator")
    with strict.records.write(SYSTEM) as tx:
        users.create(tx, "irem", Profile("İrem Işık", frozenset({Role.ADMINISTRATOR})), password=GOOD)
    with browser_at(strict, browser) as page:
        page.fill("#login", "irem")
        page.fill("#password", GOOD)
        page.click('form[action="/login"] [type=submit]')
        page.wait_for_url("**/account/passkey?next=/")
        page.fill("#passkey-name", "Desk 3")
        page.get_by_role("button", name="Geçiş anahtarı ekle").click()
        page.get_by_role("button", name="Geçiş anahtarıyla oturum aç").click()
        arrived(page, "/admin")
    strict.records.close()


def test_a_passkey_that_came_back_with_a_backup_opens_nothing_before_it_is_confirmed(page, app_context):
    with_passkey_added(page)
    with app_context.records.write(SYSTEM) as tx:
        after_restore.suspend_restored_access(tx, "2026-01-01T00:00:00+00:00")
    page.goto("/login")
    page.click("[data-passkey=sign-in]")
    page.locator("[data-passkey-fault]", has_text="yedekle geri geldi").wait_for()
    with app_context.records.write(SYSTEM) as tx:
        after_restore.confirm_keys(tx, users.find_user(tx, "irem").id)
    page.click("[data-passkey=sign-in]")
    arrived(page, "/admin")
