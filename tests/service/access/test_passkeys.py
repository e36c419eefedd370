"""Passkeys in a real Chromium with an authenticator: added, then used to sign in, unlock and prove again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.records.clock import Clock
from tests.records.kit import id_of, made_user
from tests.service.browser import Watch, add_passkey, arrived, authenticator, axe, opened, overflow, serving
from tests.service.kit import make_context, opened_session, served, sign_in
from tests.service.moving import moved
from tetkik.errors import SettingError
from tetkik.records.people import invites, notices, passkeys, passwords, repair, sessions, tokens, users
from tetkik.records.people.users import Profile
from tetkik.records.schema.people import BrowserSession
from tetkik.service.kit.context import AppContext
from tetkik.values.access import SYSTEM, AccountChange, Actor, Method, Permission, Role

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
        repair.suspend_restored_access(tx, "2026-01-01T00:00:00+00:00")
    page.goto("/login")
    page.click("[data-passkey=sign-in]")
    page.locator("[data-passkey-fault]", has_text="yedekle geri geldi").wait_for()
    with app_context.records.write(SYSTEM) as tx:
        repair.confirm_keys(tx, users.find_user(tx, "irem").id)
    page.click("[data-passkey=sign-in]")
    arrived(page, "/admin")


# Roles that need more than a password, and what an account tells its person: over real requests.

ENROL = "/account/passkey"


@pytest.fixture
def strict(tmp_path):
    """A hospital whose administrators need a passkey."""
    made = make_context(tmp_path, language="en", passkey_roles="administrator, auditor")
    yield made
    made.records.close()


@pytest.fixture
def app_context_of_required_passkey(tmp_path):
    made = make_context(tmp_path, language="en")
    yield made
    made.records.close()


def session_by(client, app_context_of_required_passkey, actor, method: Method) -> None:
    """Sign a client in as somebody who proved themselves in a certain way."""
    cookie, client.headers["X-CSRF-Token"] = opened_session(app_context_of_required_passkey, actor)
    with app_context_of_required_passkey.records.write(SYSTEM) as tx:
        for row in tx.session.query(BrowserSession).filter_by(user_id=actor.user_id):
            row.method = method
    client.cookies.set("tetkik", cookie)


def with_passkey(app_context_of_required_passkey, actor) -> None:
    with app_context_of_required_passkey.records.write(actor) as tx:
        passkeys.add(tx, "Desk", b"credential", b"key", 0)


def demand(app_context_of_required_passkey, actor) -> None:
    """A password of long ago, which has to be changed; the session goes on."""
    with app_context_of_required_passkey.records.write(SYSTEM) as tx:
        users.user_row(tx, id_of(actor)).password_hash = passwords.hashed("beş büyük sarı fil")
        users.require_password_change(tx, id_of(actor))


# More than a password


def test_with_a_password_alone_such_a_role_can_only_add_a_passkey(application, strict):
    client = moved(application, strict)
    actor = sign_in(client, strict, Role.ADMINISTRATOR)
    for path in ("/admin", "/admin/users", "/account", "/account/password"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{ENROL}?next={path}"), path
    assert client.get("/api/v1/users").status_code == 401
    assert client.post("/account/tokens", data={"name": "x"}).headers["location"].startswith(ENROL)
    assert 'data-passkey="add"' in client.get(ENROL).text
    assert client.post("/api/v1/account/passkeys/new", json={}).status_code == 200
    assert client.post("/logout").status_code == 303
    session_by(client, strict, actor, Method.PASSKEY)
    assert client.get("/admin").status_code == 200
    assert client.get(f"{ENROL}?next=/admin").headers["location"] == "/admin"


def test_a_password_adds_no_second_passkey(application, strict):
    """Otherwise a stolen password would add the thief's."""
    client = moved(application, strict)
    actor = sign_in(client, strict, Role.ADMINISTRATOR)
    with_passkey(strict, actor)
    page = client.get(f"{ENROL}?next=/admin/users").text
    assert 'data-next="/admin/users"' in page
    assert 'data-passkey="sign-in"' in page and 'data-passkey="add"' not in page
    assert client.post("/api/v1/account/passkeys/new", json={}).status_code == 403
    body = {"credential": {}, "name": "Mine"}
    assert client.post("/api/v1/account/passkeys", json=body).status_code == 403
    with strict.records.write(SYSTEM) as tx:
        repair.suspend_restored_access(tx, "2026-01-01T00:00:00+00:00")
    session_by(client, strict, actor, Method.PASSWORD)
    assert client.post("/api/v1/account/passkeys/new", json={}).status_code == 403
    assert "ask the administrator to confirm" in client.get(ENROL).text


@pytest.mark.parametrize(
    ("role", "method", "status"),
    [
        (Role.AUDITOR, Method.PASSWORD, 303),
        (Role.AUDITOR, Method.PASSKEY, 200),
        (Role.AUDITOR, Method.OIDC, 200),
        (Role.RADIOLOGIST, Method.PASSWORD, 200),
    ],
)
def test_it_is_asked_of_the_named_roles_and_single_sign_on_will_do(application, strict, role, method, status):
    client = moved(application, strict)
    session_by(client, strict, made_user(strict.records, role), method)
    assert client.get("/account").status_code == status


def test_the_last_administrator_gets_in_again_by_the_machine(application, strict):
    client = moved(application, strict)
    actor = made_user(strict.records, Role.ADMINISTRATOR)
    with_passkey(strict, actor)
    with strict.records.write(SYSTEM) as tx:
        users.reset_access(tx, id_of(actor))
        link = invites.invite(tx, id_of(actor))
    answer = client.post(f"/setup/{link}", data={"password": GOOD, "repeated": GOOD})
    assert answer.status_code == 303
    assert client.get("/").headers["location"].startswith(ENROL)
    assert 'data-passkey="add"' in client.get(ENROL).text


def test_a_password_that_has_to_be_changed_comes_first(application, strict):
    client = moved(application, strict)
    actor = sign_in(client, strict, Role.ADMINISTRATOR)
    demand(strict, actor)
    assert client.get("/admin").headers["location"].startswith("/account/password")
    form = {"password": GOOD, "repeated": GOOD}
    assert client.post("/account/password", data=form).status_code == 303
    assert client.get("/admin").headers["location"].startswith(ENROL)


def test_a_password_that_has_to_be_changed_removes_no_passkey(application, strict):
    client = moved(application, strict)
    actor = sign_in(client, strict, Role.ADMINISTRATOR)
    with_passkey(strict, actor)
    demand(strict, actor)
    assert 'name="keys"' not in client.get("/account/password").text
    form = {"password": GOOD, "repeated": GOOD, "keys": "1"}
    assert client.post("/account/password", data=form).status_code == 403
    with strict.records.read() as tx:
        assert passkeys.of_user(tx, id_of(actor)) and users.load_user(tx, id_of(actor)).must_change


def test_a_role_that_there_is_not_is_told_at_the_start(tmp_path):
    app_context_of_required_passkey = make_context(tmp_path, passkey_roles="king")
    with (
        pytest.raises(SettingError, match="passkey_roles"),
        served(app_context_of_required_passkey, anew=True),
    ):
        pass


def test_the_overview_recommends_it_until_it_is_set(application, app_context_of_required_passkey, tmp_path):
    client = moved(application, app_context_of_required_passkey)
    session_by(
        client,
        app_context_of_required_passkey,
        made_user(app_context_of_required_passkey.records, Role.ADMINISTRATOR),
        Method.PASSKEY,
    )
    assert "Recommended" in client.get("/admin").text
    folder = tmp_path / "strict"
    folder.mkdir()
    strict = make_context(folder, language="en", passkey_roles="administrator")
    client = moved(application, strict)
    session_by(client, strict, made_user(strict.records, Role.ADMINISTRATOR), Method.PASSKEY)
    assert "Recommended" not in client.get("/admin").text
    strict.records.close()


# A new password


def test_a_new_password_ends_the_cookie_that_was_there_and_with_a_tick_the_keys(
    application, app_context_of_required_passkey
):
    client = moved(application, app_context_of_required_passkey)
    actor = sign_in(client, app_context_of_required_passkey, Role.ENGINEER)
    with_passkey(app_context_of_required_passkey, actor)
    with app_context_of_required_passkey.records.write(actor) as tx:
        elsewhere = sessions.begin_session(tx, id_of(actor), Method.PASSWORD)
        tokens.create(tx, "HIS", [Permission.MODELS_READ], tokens.LONGEST)
    before = client.cookies["tetkik"]
    assert 'name="keys"' in client.get("/account/password").text
    form = {"password": GOOD, "repeated": GOOD, "keys": "1"}
    answer = client.post("/account/password", data=form)
    assert answer.status_code == 303
    client.cookies.clear()
    fresh = answer.headers["set-cookie"].partition(";")[0]
    assert client.get("/account", headers={"cookie": fresh}).status_code == 200  # this browser goes on
    with app_context_of_required_passkey.records.read(actor) as tx:
        assert not passkeys.of_user(tx, id_of(actor)) and not tokens.list_tokens(tx)
        assert tx.session.query(BrowserSession).filter_by(user_id=actor.user_id).count() == 1
    for stolen in (before, elsewhere):
        assert client.get("/account", headers={"cookie": f"tetkik={stolen}"}).status_code == 303


def test_the_administrators_reset_says_what_ended(application, app_context_of_required_passkey):
    client = moved(application, app_context_of_required_passkey)
    sign_in(client, app_context_of_required_passkey, Role.ADMINISTRATOR)
    for keep, sentence in (({}, "1 passkey, 0 tokens"), ({"keep": "1"}, "0 passkeys, 0 tokens")):
        actor = made_user(app_context_of_required_passkey.records, Role.ENGINEER)
        with app_context_of_required_passkey.records.write(actor) as tx:
            passkeys.add(tx, "Desk", id_of(actor).encode(), b"key", 0)
        page = client.post(f"/admin/users/{actor.user_id}/reset", data=keep).text
        assert "/setup/" in page and sentence in page
        answer = client.post(f"/api/v1/users/{actor.user_id}/reset", json={"keep_keys": False})
        assert answer.json()["passkeys_removed"] == (1 if keep else 0)


def test_the_meter_answers_while_somebody_types_and_keeps_nothing(
    application, app_context_of_required_passkey, capsys
):
    client = moved(application, app_context_of_required_passkey)
    with app_context_of_required_passkey.records.write(SYSTEM) as tx:
        user_id = users.create(tx, "irem", Profile("İrem Işık", frozenset({Role.ENGINEER})))
        link = invites.invite(tx, user_id)
    asks = f"/setup/{link}/strength"
    assert f'hx-post="{asks}"' in client.get(f"/setup/{link}").text
    words = {"kısa": "8 more", "irem işık irem": "Easily guessed", GOOD: "Good", "x1y2z3" * 22: "128"}
    for password, said in words.items():
        answer = client.post(asks, data={"password": password})
        assert said in answer.text and password not in answer.text
        assert answer.headers["cache-control"] == "no-store"
    used = client.post("/setup/used/strength", data={"password": "ada ada ada ada", "name": "Ada"})
    assert "Easily guessed" in used.text  # the answer to a form that was sent a moment before
    assert "küçük" not in capsys.readouterr().out
    sign_in(client, app_context_of_required_passkey, Role.ENGINEER)
    assert "Good" in client.post("/account/password/strength", data={"password": GOOD}).text
    for _ in range(200):
        status = client.post("/account/password/strength", data={"password": "x"}).status_code
        if status == 429:
            break
    assert status == 429


# What one is told


def test_a_change_shows_in_the_bar_until_it_is_acknowledged(application, app_context_of_required_passkey):
    client = moved(application, app_context_of_required_passkey)
    actor = sign_in(client, app_context_of_required_passkey, Role.ENGINEER)
    assert "Changes in your account" not in client.get("/engineer").text
    with app_context_of_required_passkey.records.write(SYSTEM) as tx:
        notices.notify(tx, id_of(actor), AccountChange.PASSKEY_ADDED, "<b>Desk</b>")
    assert "Changes in your account: 1" in client.get("/engineer").text
    page = client.get("/account").text
    assert "The passkey &lt;b&gt;Desk&lt;/b&gt; was added." in page
    upto = re.search(r'name="upto" value="(\w+)"', page)
    assert upto is not None
    answer = client.post("/account/notices", data={"upto": upto[1]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert "Changes in your account" not in client.get("/engineer").text
    assert "&lt;b&gt;Desk" in client.get("/account").text  # still listed


def test_a_sign_in_with_another_browser_is_told_with_its_address(
    application, app_context_of_required_passkey, clock: Clock
):
    client = moved(application, app_context_of_required_passkey)
    with app_context_of_required_passkey.records.write(SYSTEM) as tx:
        users.create(tx, "irem", Profile("İrem Işık", frozenset({Role.ENGINEER})), password=GOOD)
    form = {"login": "irem", "password": GOOD}
    client.post("/login", data=form)
    assert "Changes in your account" not in client.get("/engineer").text  # the first one is no news
    kept = client.cookies["tetkik-browser"]
    clock.go(minutes=1)
    client.cookies.clear()
    client.post("/login", data=form, headers={"user-agent": "Mozilla/5.0 (Windows) Firefox/1"})
    page = client.get("/account").text
    assert "Signed in with a new browser." in page
    assert "Firefox · Windows · testclient" in page
    client.cookies.clear()
    client.cookies.set("tetkik-browser", kept)
    client.post("/login", data=form)
    with app_context_of_required_passkey.records.read() as tx:
        user_id = users.find_user(tx, "irem").id
    with app_context_of_required_passkey.records.read(Actor(user_id, "")) as tx:
        assert notices.count_unseen(tx) == 1
    client.cookies.clear()
    answer = client.post("/login", data=form, headers={"cookie": "tetkik-browser=made-up"})
    assert "tetkik-browser=made-up" not in answer.headers["set-cookie"]


# After a restore


def test_an_administrator_confirms_what_came_back(application, app_context_of_required_passkey):
    client = moved(application, app_context_of_required_passkey)
    sign_in(client, app_context_of_required_passkey, Role.ADMINISTRATOR)
    actor = made_user(app_context_of_required_passkey.records, Role.ENGINEER)
    with app_context_of_required_passkey.records.write(actor) as tx:
        secret, _ = tokens.create(tx, "HIS", [Permission.MODELS_READ], tokens.LONGEST)
    with app_context_of_required_passkey.records.write(SYSTEM) as tx:
        repair.suspend_restored_access(tx, "2026-01-01T00:00:00+00:00")
    sign_in(client, app_context_of_required_passkey, Role.ADMINISTRATOR)
    header = {"authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/models", headers=header).status_code == 401
    assert "0 passkeys and 1 token wait" in client.get("/admin/users").text
    assert client.get(f"/api/v1/users/{actor.user_id}").json()["keys_held"] is True
    assert client.post(f"/admin/users/{actor.user_id}/confirm-keys").status_code == 303
    assert client.get("/api/v1/models", headers=header).status_code == 200
    assert client.post(f"/api/v1/users/{actor.user_id}/confirm-keys").json()["keys_held"] is False
    assert "1 token wait" not in client.get("/admin/users").text


def test_answers_of_the_api_are_files_to_a_browser(application, app_context_of_required_passkey):
    client = moved(application, app_context_of_required_passkey)
    sign_in(client, app_context_of_required_passkey, Role.ENGINEER)
    for path in ("/api/v1/account", "/api/v1/users", "/api/v1/nothing"):
        assert client.get(path).headers["content-disposition"] == 'attachment; filename="api.json"'
    assert "content-disposition" not in client.get("/account").headers
