"""Tokens for programs, the administrator's users, the emergency: pages and API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Page
from sqlalchemy import select

from tests.records.clock import Clock
from tests.records.kit import id_of, made_case, made_user
from tests.service.browser import opened, serving
from tests.service.kit import make_context, opened_session, served, sign_in
from tests.service.moving import moved
from tetkik.records.cases import cases
from tetkik.records.people import access, passkeys, sessions, tokens, users
from tetkik.records.schema.people import ApiToken, BrokenGlass
from tetkik.records.schema.trail import AuditRow
from tetkik.values.access import SYSTEM, Method, Role

GOOD = "dört küçük mavi kuş"


@pytest.fixture
def app_context(tmp_path):
    made = make_context(tmp_path, language="en")
    yield made
    made.records.close()


@pytest.fixture
def client(application, app_context):
    return moved(application, app_context)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def found(pattern: str, page: str) -> str:
    match = re.search(pattern, page)
    assert match is not None
    return match[0]


def program(client):
    """A client without the browser's cookie and token."""
    client.cookies.clear()
    client.headers.pop("X-CSRF-Token", None)
    return client


# Tokens


def test_a_token_does_what_its_scopes_say_until_it_ends(client, app_context, clock: Clock):
    owner = sign_in(client, app_context, Role.ADMINISTRATOR)
    made = client.post("/api/v1/account/tokens", json={"name": "HIS", "scopes": ["users"], "days": 7}).json()
    assert made["secret"].startswith(tokens.PREFIX)
    caller = program(client)
    assert caller.get("/api/v1/users", headers=bearer(made["secret"])).status_code == 200
    assert caller.get("/api/v1/account", headers=bearer(made["secret"])).status_code == 403
    assert caller.get("/admin/users", headers=bearer(made["secret"])).status_code == 303
    assert caller.get("/api/v1/users", headers=bearer(made["secret"] + "x")).status_code == 401
    assert caller.get("/api/v1/users", headers={"authorization": "Basic eDp5"}).status_code == 401
    with app_context.records.read(owner) as tx:
        assert tokens.list_tokens(tx)[0].used_at == clock.now
        assert made["secret"] not in tx.session.scalars(select(ApiToken.digest)).one()
    clock.go(days=7)
    assert caller.get("/api/v1/users", headers=bearer(made["secret"])).status_code == 401


def test_a_token_needs_no_csrf_and_a_cookie_beside_it_gives_nothing(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    secret = client.post("/api/v1/account/tokens", json={"name": "HIS", "scopes": ["system"]}).json()[
        "secret"
    ]
    del client.headers["X-CSRF-Token"]
    body = {"login": "irem", "name": "İrem", "roles": ["radiologist"]}
    assert client.post("/api/v1/users", json=body, headers=bearer(secret)).status_code == 403
    assert client.post("/api/v1/users", json=body).status_code == 403


@pytest.mark.attack
def test_a_token_of_the_administrator_is_no_account(client, app_context):
    """With the scope `users` it granted itself roles, and reset the owner to sign in as them."""
    owner = sign_in(client, app_context, Role.ADMINISTRATOR)
    other = made_user(app_context.records, Role.CLINICIAN, departments=("Nöroloji",))
    made = {"name": "HR", "scopes": ["users"]}
    secret = client.post("/api/v1/account/tokens", json=made).json()["secret"]
    program(client)

    def call(method: str, path: str, body: object = None):
        return client.request(method, f"/api/v1/users{path}", json=body, headers=bearer(secret))

    roles = ["administrator", "radiologist"]
    own, theirs = f"/{owner.user_id}", f"/{other.user_id}"
    refused = [
        call("PUT", own, {"name": "A", "roles": roles}),
        call("PUT", theirs, {"name": "B", "roles": ["clinician"], "departments": ["*"]}),
        call("POST", "", {"login": "eve", "name": "Eve", "roles": roles}),
    ]
    for act in ("reset", "enable", "unlock", "confirm-keys"):
        refused += [call("POST", f"{at}/{act}") for at in (own, theirs)]
    assert {answer.status_code for answer in refused} == {403}
    with app_context.records.read() as tx:
        assert {user.profile.roles for user in users.list_users(tx)} == {owner.roles, other.roles}
    # What takes rights away, and names.
    named = call("PUT", theirs, {"name": "B", "roles": ["clinician"], "departments": ["Nöroloji"]})
    assert named.status_code == 200 and named.json()["name"] == "B"
    assert call("POST", f"{theirs}/disable").json()["disabled"] is True


@pytest.mark.attack
def test_removing_a_passkey_asks_for_proof(client, app_context, clock: Clock):
    actor = made_user(app_context.records, Role.RADIOLOGIST)
    with app_context.records.write(actor) as tx:
        users.set_password(tx, id_of(actor), GOOD)
        one, two = (passkeys.add(tx, name, name.encode(), b"key", 0) for name in ("Desk", "Phone"))
    cookie, client.headers["X-CSRF-Token"] = opened_session(app_context, actor)
    client.cookies.set("tetkik", cookie)
    assert client.post(f"/account/passkeys/{one}/remove").status_code == 303  # signed in just now
    clock.go(minutes=6)
    assert client.post(f"/account/passkeys/{two}/remove").status_code == 403
    assert client.post(f"/account/passkeys/{two}/remove", data={"current": "x"}).status_code == 403
    with app_context.records.read() as tx:
        assert [known.name for known in passkeys.of_user(tx, id_of(actor))] == ["Phone"]
    assert client.post(f"/account/passkeys/{two}/remove", data={"current": GOOD}).status_code == 303
    with app_context.records.read() as tx:
        assert passkeys.of_user(tx, id_of(actor)) == []


@pytest.mark.parametrize(("scope", "status"), [("own_account", 403), ("report.sign", 403), ("nonsense", 422)])
def test_a_token_never_has_more_than_its_owner(client, app_context, scope, status):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    assert client.post("/api/v1/account/tokens", json={"name": "x", "scopes": [scope]}).status_code == status


def test_a_token_loses_what_its_owner_loses(client, app_context):
    owner = sign_in(client, app_context, Role.ADMINISTRATOR, Role.ENGINEER)
    made_user(app_context.records, Role.ADMINISTRATOR)
    scopes = ["users", "models.read"]
    secret = client.post("/api/v1/account/tokens", json={"name": "x", "scopes": scopes}).json()["secret"]
    with app_context.records.write(SYSTEM) as tx:
        profile = users.Profile("E", frozenset({Role.ENGINEER}))
        users.change(tx, id_of(owner), profile)
    assert program(client).get("/api/v1/users", headers=bearer(secret)).status_code == 403
    with app_context.records.write(SYSTEM) as tx:
        users.disable(tx, id_of(owner))
    assert client.get("/api/v1/users", headers=bearer(secret)).status_code == 401


def test_a_revoked_token_is_shut_out_at_once(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    made = client.post("/api/v1/account/tokens", json={"name": "x", "scopes": ["users"]}).json()
    assert [one["name"] for one in client.get("/api/v1/account/tokens").json()["items"]] == ["x"]
    assert client.delete(f"/api/v1/account/tokens/{made['id']}").status_code == 204
    assert client.delete("/api/v1/account/tokens/nothing").status_code == 404
    assert program(client).get("/api/v1/users", headers=bearer(made["secret"])).status_code == 401


def test_nobody_revokes_the_tokens_of_others(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    made = client.post("/api/v1/account/tokens", json={"name": "x", "scopes": ["users"]}).json()
    sign_in(client, app_context, Role.ADMINISTRATOR)
    assert client.delete(f"/api/v1/account/tokens/{made['id']}").status_code == 404


def test_the_page_shows_a_token_once_and_asks_for_the_password(client, app_context, clock: Clock):
    actor = made_user(app_context.records, Role.ENGINEER)
    with app_context.records.write(actor) as tx:
        users.set_password(tx, id_of(actor), GOOD)
    cookie, client.headers["X-CSRF-Token"] = opened_session(app_context, actor)
    client.cookies.set("tetkik", cookie)
    clock.go(minutes=6)
    form = {"name": "Metrics", "scope": ["models.read"], "days": "30"}
    assert client.post("/account/tokens", data=form).status_code == 403
    assert client.post("/account/tokens", data=form | {"current": "x"}).status_code == 403
    page = client.post("/account/tokens", data=form | {"current": GOOD}).text
    secret = found(rf"{tokens.PREFIX}[\w-]+", page)
    assert secret not in client.get("/account").text
    assert client.get("/api/v1/models", headers=bearer(secret)).status_code == 200


def test_the_same_key_makes_one_token(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    body, key = {"name": "x", "scopes": ["users"]}, {"Idempotency-Key": "one"}
    first = client.post("/api/v1/account/tokens", json=body, headers=key)
    again = client.post("/api/v1/account/tokens", json=body, headers=key)
    assert first.json() == again.json() and again.headers["idempotency-replayed"] == "true"
    assert len(client.get("/api/v1/account/tokens").json()["items"]) == 1


# Users


def test_the_administrator_invites_somebody_who_then_works(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    form = {"login": "İrem", "name": "İrem Işık", "title": "Uzm. Dr.", "role": ["radiologist"]}
    page = client.post("/admin/users", data=form).text
    link = found(r"/setup/[\w-]+", page)
    assert link not in client.get("/admin/users").text
    guest = program(client)
    assert "İrem Işık" in guest.get(link).text
    assert guest.post(link, data={"password": GOOD, "repeated": GOOD}).headers["location"] == "/"
    account = guest.get("/api/v1/account").json()
    assert (account["login"], account["roles"]) == ("irem", ["radiologist"])


def test_wrong_fields_say_so_and_make_nobody(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    assert "at least one role" in client.post("/admin/users", data={"login": "irem", "name": "İrem"}).text
    assert (
        client.post("/admin/users", data={"login": "irem", "name": "İ", "role": ["king"]}).status_code == 422
    )
    with app_context.records.read() as tx:
        assert len(users.list_users(tx)) == 1


def test_reset_disable_enable_unlock(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    actor = made_user(app_context.records, Role.CLINICIAN)
    with app_context.records.write(SYSTEM) as tx:
        users.set_password(tx, id_of(actor), GOOD)
        login = users.load_user(tx, id_of(actor)).login
    at = f"/admin/users/{actor.user_id}"

    assert client.post(f"{at}/disable").status_code == 303
    with app_context.records.read() as tx:
        assert users.load_user(tx, id_of(actor)).disabled_at is not None
    assert client.post(f"{at}/enable").status_code == 303
    assert client.post(f"{at}/unlock").status_code == 303
    assert "/setup/" in client.post(f"{at}/reset").text
    knocked = program(client).post("/login", data={"login": login, "password": GOOD})
    assert knocked.status_code == 401


def test_a_new_password_is_asked_for_and_the_present_one_is_none(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    actor = made_user(app_context.records, Role.RADIOLOGIST)
    at = f"/admin/users/{actor.user_id}"
    assert "demand-change" not in client.get(at).text
    assert client.post(f"{at}/demand-change").status_code == 409
    with app_context.records.write(SYSTEM) as tx:
        users.set_password(tx, id_of(actor), GOOD)
        login = users.load_user(tx, id_of(actor)).login
    assert "demand-change" in client.get(at).text
    assert client.post(f"{at}/demand-change").status_code == 303
    assert "password to be changed" in client.get("/admin/users").text
    assert "demand-change" not in client.get(at).text

    theirs = TestClient(client.app, follow_redirects=False)
    theirs.post("/login", data={"login": login, "password": GOOD})
    assert theirs.get("/worklist").headers["location"].startswith("/account/password")
    page = theirs.get("/account/password").text
    assert "An administrator asks for a new password" in page
    theirs.headers["X-CSRF-Token"] = found(r'(?<=name="csrf" value=")[^"]+', page)
    same = theirs.post("/account/password", data={"password": GOOD, "repeated": GOOD})
    assert same.status_code == 422 and "another one is asked for" in same.text
    new = {"password": "beş büyük sarı fil", "repeated": "beş büyük sarı fil"}
    assert theirs.post("/account/password", data=new).status_code == 303
    assert theirs.get("/worklist").status_code == 200
    assert "password to be changed" not in client.get("/admin/users").text


def test_the_last_administrator_stays(client, app_context):
    actor = sign_in(client, app_context, Role.ADMINISTRATOR)
    at = f"/admin/users/{actor.user_id}"
    assert client.post(f"{at}/disable").status_code == 409
    assert client.post(at, data={"name": "A", "role": ["auditor"]}).status_code == 409
    body = {"name": "A", "roles": ["auditor"]}
    assert client.put(f"/api/v1/users/{actor.user_id}", json=body).status_code == 409
    assert client.get("/admin/users").status_code == 200


def test_users_over_the_api(client, app_context):
    sign_in(client, app_context, Role.ADMINISTRATOR)
    body = {"login": "irem", "name": "İrem", "roles": ["clinician"], "departments": ["Nöroloji"]}
    made = client.post("/api/v1/users", json=body)
    assert made.status_code == 201 and "/setup/" in made.json()["link"]
    assert client.post("/api/v1/users", json=body).status_code == 409
    user_id = made.json()["id"]
    changed = client.put(
        f"/api/v1/users/{user_id}", json={"name": "İrem Ay", "roles": ["clinician", "auditor"]}
    )
    assert changed.json()["roles"] == ["auditor", "clinician"]
    assert client.post(f"/api/v1/users/{user_id}/disable").json()["disabled"] is True
    assert client.post(f"/api/v1/users/{user_id}/enable").json()["disabled"] is False
    assert client.post(f"/api/v1/users/{user_id}/unlock").json()["paused"] is False
    assert client.post(f"/api/v1/users/{user_id}/demand-change").status_code == 409
    with app_context.records.write(SYSTEM) as tx:
        users.set_password(tx, user_id, GOOD)
    assert client.get(f"/api/v1/users/{user_id}").json()["must_change"] is False
    assert client.post(f"/api/v1/users/{user_id}/demand-change").json()["must_change"] is True
    assert "/setup/" in client.post(f"/api/v1/users/{user_id}/reset").json()["link"]
    first = client.get("/api/v1/users", params={"limit": 1}).json()
    second = client.get("/api/v1/users", params={"limit": 1, "cursor": first["next"]}).json()
    assert [first["items"][0]["login"], second["next"]] == ["irem", None]
    assert client.get("/api/v1/users/nobody").status_code == 404


# The emergency


def restricted(app_context) -> str:
    return made_case(app_context.records, made_user(app_context.records, Role.RECEPTION), restricted=True)


def test_a_reason_opens_a_closed_case_for_an_hour(client, app_context, clock: Clock):
    case_id = restricted(app_context)
    actor = sign_in(client, app_context, Role.CLINICIAN)
    assert client.get(f"/cases/{case_id}").status_code == 403
    answer = client.post(f"/cases/{case_id}/break-glass", data={"reason": "Acilde, nabız alınamıyor"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{case_id}")
    assert client.get(f"/cases/{case_id}").status_code == 200
    with app_context.records.read(actor) as tx:
        assert access.open_until(tx, case_id) == clock.now + timedelta(hours=1)
    for _ in range(2):
        clock.go(minutes=29)
        assert client.get(f"/cases/{case_id}").status_code == 200
    clock.go(minutes=2)
    assert client.get(f"/cases/{case_id}").status_code == 403


def test_the_reason_is_sealed_and_the_deed_is_recorded(client, app_context):
    case_id = restricted(app_context)
    actor = sign_in(client, app_context, Role.CLINICIAN)
    client.post(f"/cases/{case_id}/break-glass", data={"reason": "Acilde, nabız alınamıyor"})
    with app_context.records.read(actor) as tx:
        row = tx.session.scalars(select(BrokenGlass)).one()
        assert "nabız".encode() not in row.reason
        patient_id = cases.load_case(tx, case_id, audit=False).patient_id
        assert tx.open(patient_id, "break_glass.reason", row.id, row.reason).decode().startswith("Acilde")
        recorded = tx.session.scalars(select(AuditRow).where(AuditRow.action == "break_glass")).one()
        assert (recorded.user_id, recorded.case_id) == (actor.user_id, case_id)
        assert "nabız" not in recorded.content


@pytest.mark.parametrize("reason", ["", "acil", "a    b    c    d"])
def test_without_a_reason_worth_the_name_it_stays_closed(client, app_context, reason):
    case_id = restricted(app_context)
    sign_in(client, app_context, Role.CLINICIAN)
    assert client.post(f"/cases/{case_id}/break-glass", data={"reason": reason}).status_code == 422
    assert client.get(f"/cases/{case_id}").status_code == 403


def test_it_opens_for_one_person_and_one_case(client, app_context):
    case_id, other = restricted(app_context), restricted(app_context)
    sign_in(client, app_context, Role.CLINICIAN)
    opened = client.post(f"/api/v1/cases/{case_id}/break-glass", json={"reason": "Acilde, nabız alınamıyor"})
    assert opened.status_code == 201 and opened.json()["case_id"] == case_id
    assert client.get(f"/cases/{other}").status_code == 403
    sign_in(client, app_context, Role.CLINICIAN)
    assert client.get(f"/cases/{case_id}").status_code == 403


def test_whose_role_it_is_not_breaks_no_glass(client, app_context):
    case_id = restricted(app_context)
    for role in (Role.TECHNICIAN, Role.AUDITOR, Role.ENGINEER, Role.ADMINISTRATOR):
        sign_in(client, app_context, role)
        answer = client.post(f"/cases/{case_id}/break-glass", data={"reason": "Acilde, nabız alınamıyor"})
        assert answer.status_code == 403
    with app_context.records.read() as tx:
        assert tx.session.scalars(select(BrokenGlass)).all() == []


def test_an_open_case_needs_no_hammer(client, app_context):
    case_id = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    sign_in(client, app_context, Role.CLINICIAN)
    answer = client.post(f"/api/v1/cases/{case_id}/break-glass", json={"reason": "Acilde, nabız alınamıyor"})
    assert answer.status_code == 403


# Language and theme are kept in the browser and with the person, and lead nowhere else.


def test_before_signing_in_the_browser_keeps_them(tmp_path):
    with served(make_context(tmp_path)) as client:
        answer = client.post("/preferences", data={"language": "en", "theme": "dark", "next": "/nowhere"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/nowhere")
        page = client.get("/nowhere").text
        assert '<html lang="en" data-theme="dark">' in page
        client.post("/preferences", data={"language": "tr", "theme": "system"})
        assert '<html lang="tr">' in client.get("/nowhere").text


def test_a_person_takes_them_to_another_browser(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        actor = sign_in(client, app_context, Role.ENGINEER)
        client.post("/account/preferences", data={"language": "en", "theme": "light"})
        client.cookies.clear()
        client.cookies.set("tetkik", opened_session_again(app_context, actor))
        assert '<html lang="en" data-theme="light">' in client.get("/engineer").text


def opened_session_again(app_context, actor):
    with app_context.records.write(actor) as tx:
        return sessions.begin_session(tx, actor.user_id, Method.PASSWORD)


@pytest.mark.parametrize(
    "target", ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", ""]
)
def test_they_lead_to_no_other_hospital(tmp_path, target):
    with served(make_context(tmp_path)) as client:
        answer = client.post("/preferences", data={"theme": "dark", "next": target})
        assert answer.headers["location"] == "/"


def test_what_is_no_choice_is_refused(tmp_path):
    with served(make_context(tmp_path)) as client:
        assert client.post("/preferences", data={"theme": "pink"}).status_code == 422


def test_a_form_of_another_site_changes_nothing(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.ENGINEER)
        del client.headers["X-CSRF-Token"]
        assert client.post("/account/preferences", data={"theme": "dark"}).status_code == 403


# A password can be pasted, filled by a manager, and looked at (OWASP ASVS 2.1.11 and 2.1.12).


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
