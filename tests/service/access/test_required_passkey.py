"""Roles that need more than a password, and what an account tells its person: over real requests."""

from __future__ import annotations

import re

import pytest

from tests.records.clock import Clock
from tests.records.kit import id_of, made_user
from tests.service.kit import make_context, opened_session, served, sign_in
from tests.service.moving import moved
from tetkik.errors import SettingError
from tetkik.records.people import (
    after_restore,
    invites,
    notices,
    passkeys,
    passwords,
    sessions,
    tokens,
    users,
)
from tetkik.records.people.users import Profile
from tetkik.records.schema import BrowserSession
from tetkik.values import SYSTEM, AccountChange, Actor, Method, Permission, Role

GOOD = "dört küçük mavi kuş"
ENROL = "/account/passkey"


@pytest.fixture
def strict(tmp_path):
    """A hospital whose administrators need a passkey."""
    made = make_context(tmp_path, language="en", passkey_roles="administrator, auditor")
    yield made
    made.records.close()


@pytest.fixture
def app_context(tmp_path):
    made = make_context(tmp_path, language="en")
    yield made
    made.records.close()


def session_by(client, app_context, actor, method: Method) -> None:
    """Sign a client in as somebody who proved themselves in a certain way."""
    cookie, client.headers["X-CSRF-Token"] = opened_session(app_context, actor)
    with app_context.records.write(SYSTEM) as tx:
        for row in tx.session.query(BrowserSession).filter_by(user_id=actor.user_id):
            row.method = method
    client.cookies.set("tetkik", cookie)


def with_passkey(app_context, actor) -> None:
    with app_context.records.write(actor) as tx:
        passkeys.add(tx, "Desk", b"credential", b"key", 0)


def demand(app_context, actor) -> None:
    """A password of long ago, which has to be changed; the session goes on."""
    with app_context.records.write(SYSTEM) as tx:
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
        after_restore.suspend_restored_access(tx, "2026-01-01T00:00:00+00:00")
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
    app_context = make_context(tmp_path, passkey_roles="king")
    with pytest.raises(SettingError, match="passkey_roles"), served(app_context, anew=True):
        pass


def test_the_overview_recommends_it_until_it_is_set(application, app_context, tmp_path):
    client = moved(application, app_context)
    session_by(client, app_context, made_user(app_context.records, Role.ADMINISTRATOR), Method.PASSKEY)
    assert "Recommended" in client.get("/admin").text
    folder = tmp_path / "strict"
    folder.mkdir()
    strict = make_context(folder, language="en", passkey_roles="administrator")
    client = moved(application, strict)
    session_by(client, strict, made_user(strict.records, Role.ADMINISTRATOR), Method.PASSKEY)
    assert "Recommended" not in client.get("/admin").text
    strict.records.close()


# A new password


def test_a_new_password_ends_the_cookie_that_was_there_and_with_a_tick_the_keys(application, app_context):
    client = moved(application, app_context)
    actor = sign_in(client, app_context, Role.ENGINEER)
    with_passkey(app_context, actor)
    with app_context.records.write(actor) as tx:
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
    with app_context.records.read(actor) as tx:
        assert not passkeys.of_user(tx, id_of(actor)) and not tokens.list_tokens(tx)
        assert tx.session.query(BrowserSession).filter_by(user_id=actor.user_id).count() == 1
    for stolen in (before, elsewhere):
        assert client.get("/account", headers={"cookie": f"tetkik={stolen}"}).status_code == 303


def test_the_administrators_reset_says_what_ended(application, app_context):
    client = moved(application, app_context)
    sign_in(client, app_context, Role.ADMINISTRATOR)
    for keep, sentence in (({}, "1 passkey, 0 tokens"), ({"keep": "1"}, "0 passkeys, 0 tokens")):
        actor = made_user(app_context.records, Role.ENGINEER)
        with app_context.records.write(actor) as tx:
            passkeys.add(tx, "Desk", id_of(actor).encode(), b"key", 0)
        page = client.post(f"/admin/users/{actor.user_id}/reset", data=keep).text
        assert "/setup/" in page and sentence in page
        answer = client.post(f"/api/v1/users/{actor.user_id}/reset", json={"keep_keys": False})
        assert answer.json()["passkeys_removed"] == (1 if keep else 0)


def test_the_meter_answers_while_somebody_types_and_keeps_nothing(application, app_context, capsys):
    client = moved(application, app_context)
    with app_context.records.write(SYSTEM) as tx:
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
    sign_in(client, app_context, Role.ENGINEER)
    assert "Good" in client.post("/account/password/strength", data={"password": GOOD}).text
    for _ in range(200):
        status = client.post("/account/password/strength", data={"password": "x"}).status_code
        if status == 429:
            break
    assert status == 429


# What one is told


def test_a_change_shows_in_the_bar_until_it_is_acknowledged(application, app_context):
    client = moved(application, app_context)
    actor = sign_in(client, app_context, Role.ENGINEER)
    assert "Changes in your account" not in client.get("/engineer").text
    with app_context.records.write(SYSTEM) as tx:
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


def test_a_sign_in_with_another_browser_is_told_with_its_address(application, app_context, clock: Clock):
    client = moved(application, app_context)
    with app_context.records.write(SYSTEM) as tx:
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
    with app_context.records.read() as tx:
        user_id = users.find_user(tx, "irem").id
    with app_context.records.read(Actor(user_id, "")) as tx:
        assert notices.count_unseen(tx) == 1
    client.cookies.clear()
    answer = client.post("/login", data=form, headers={"cookie": "tetkik-browser=made-up"})
    assert "tetkik-browser=made-up" not in answer.headers["set-cookie"]


# After a restore


def test_an_administrator_confirms_what_came_back(application, app_context):
    client = moved(application, app_context)
    sign_in(client, app_context, Role.ADMINISTRATOR)
    actor = made_user(app_context.records, Role.ENGINEER)
    with app_context.records.write(actor) as tx:
        secret, _ = tokens.create(tx, "HIS", [Permission.MODELS_READ], tokens.LONGEST)
    with app_context.records.write(SYSTEM) as tx:
        after_restore.suspend_restored_access(tx, "2026-01-01T00:00:00+00:00")
    sign_in(client, app_context, Role.ADMINISTRATOR)
    header = {"authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/models", headers=header).status_code == 401
    assert "0 passkeys and 1 token wait" in client.get("/admin/users").text
    assert client.get(f"/api/v1/users/{actor.user_id}").json()["keys_held"] is True
    assert client.post(f"/admin/users/{actor.user_id}/confirm-keys").status_code == 303
    assert client.get("/api/v1/models", headers=header).status_code == 200
    assert client.post(f"/api/v1/users/{actor.user_id}/confirm-keys").json()["keys_held"] is False
    assert "1 token wait" not in client.get("/admin/users").text


def test_answers_of_the_api_are_files_to_a_browser(application, app_context):
    client = moved(application, app_context)
    sign_in(client, app_context, Role.ENGINEER)
    for path in ("/api/v1/account", "/api/v1/users", "/api/v1/nothing"):
        assert client.get(path).headers["content-disposition"] == 'attachment; filename="api.json"'
    assert "content-disposition" not in client.get("/account").headers
