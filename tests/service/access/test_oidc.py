"""Single sign-on against a certified provider, and against one that lies."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select

from tests.records.kit import made_case, made_user
from tests.service.identity import SECRET, provider, sign_on
from tests.service.kit import make_context, served
from tests.service.moving import moved
from tetkik.errors import SettingError
from tetkik.records.people import users
from tetkik.records.people.users import Profile
from tetkik.records.schema import AuditRow, BrowserSession, User
from tetkik.service.kit.access.identity_providers import oidc_departments, oidc_roles
from tetkik.settings import Settings
from tetkik.values import SYSTEM, Method, Role

ROLES = "radyoloji=radiologist, bilgi-islem=administrator"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider() as address:
        yield address


def hospital_with(folder, issuer: str, **more: Any):
    return make_context(folder, **settings_with(issuer) | more)


def settings_with(issuer: str) -> dict[str, Any]:
    return {
        "language": "en",
        "oidc_issuer": issuer,
        "oidc_client_id": "tetkik",
        "oidc_client_secret": SECRET,
        "oidc_roles": ROLES,
        "oidc_name": "Hospital",
    }


def arrive(client, person: str, back: str = "/account"):
    """The whole way: the button, the provider's pages, and back."""
    answer = client.get("/login/oidc", params={"next": back})
    assert answer.status_code == 303, answer.text
    target = sign_on(answer.headers["location"], person)
    return client.get(target.removeprefix("http://testserver"))


def test_a_person_of_a_group_with_a_role_signs_on(application, tmp_path, issuer):
    app_context = hospital_with(tmp_path, issuer)
    client = moved(application, app_context)
    assert "Sign in with Hospital" in client.get("/login").text
    answer = arrive(client, "irem")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    account = client.get("/api/v1/account").json()
    assert (account["login"], account["name"], account["roles"]) == ("irem", "İrem Işık", ["radiologist"])
    with app_context.records.read() as tx:
        assert tx.session.scalars(select(BrowserSession.method)).one() is Method.OIDC
        user = tx.session.scalars(select(User)).one()
        assert (user.oidc_issuer, user.oidc_subject, user.password_hash) == (issuer, "irem", None)


@pytest.mark.program("node", "npm")
def test_claims_within_the_id_token_will_do(application, tmp_path):
    with provider(in_token=True) as issuer:
        client = moved(application, hospital_with(tmp_path, issuer))
        assert arrive(client, "irem").headers["location"] == "/account"


def test_who_comes_again_is_the_same_and_follows_their_groups(application, tmp_path, issuer):
    app_context = hospital_with(tmp_path, issuer)
    client = moved(application, app_context)
    arrive(client, "irem")
    with app_context.records.write(SYSTEM) as tx:
        member = users.find_user(tx, "irem")
        users.change(tx, member.id, Profile("Dr. İrem", frozenset({Role.CLINICIAN}), "Dr."))
    arrive(client, "irem")
    with app_context.records.read() as tx:
        (member,) = users.list_users(tx)
        assert member.profile == Profile("Dr. İrem", frozenset({Role.RADIOLOGIST}), "Dr.")


CLINICIANS = {"oidc_roles": "radyoloji=clinician"}


def departments_of(app_context) -> tuple[str, ...]:
    with app_context.records.read() as tx:
        return users.find_user(tx, "irem").profile.departments


def test_a_newcomer_sees_no_department_until_somebody_says_which(application, tmp_path, issuer):
    app_context = make_context(tmp_path, **settings_with(issuer) | CLINICIANS)
    client = moved(application, app_context)
    case_id = made_case(
        app_context.records, made_user(app_context.records, Role.RECEPTION), department="Nöroloji"
    )
    arrive(client, "irem")
    assert client.get("/api/v1/account").json()["departments"] == []
    assert client.get(f"/api/v1/cases/{case_id}").status_code == 403
    with app_context.records.write(SYSTEM) as tx:
        member = users.find_user(tx, "irem")
        profile = replace(member.profile, departments=("Nöroloji",))
        users.change(tx, member.id, profile, departments=profile.departments)
    assert client.get(f"/api/v1/cases/{case_id}").status_code == 200
    arrive(client, "irem")  # what the administrator gave stays
    assert departments_of(app_context) == ("Nöroloji",)


def test_departments_follow_the_claim_where_it_is_mapped(application, tmp_path, issuer):
    mapped = CLINICIANS | {"oidc_departments": "radyoloji=Nöroloji, radyoloji=Üroloji, bashekimlik=*"}
    app_context = make_context(tmp_path, **settings_with(issuer) | mapped)
    client = moved(application, app_context)
    arrive(client, "irem")
    assert departments_of(app_context) == ("Nöroloji", "Üroloji")
    with app_context.records.write(SYSTEM) as tx:
        member = users.find_user(tx, "irem")
        users.change(tx, member.id, replace(member.profile, departments=("*",)))
    arrive(client, "irem")
    assert departments_of(app_context) == ("Nöroloji", "Üroloji")


@pytest.mark.parametrize("text", ["noroloji=Norology", "noroloji", "=Nöroloji"])
def test_a_department_that_there_is_not_is_told(text):
    with pytest.raises(SettingError, match="oidc_departments"):
        oidc_departments(Settings(oidc_departments=text))


def test_without_a_group_that_has_a_role_nobody_is_made(application, tmp_path, issuer):
    app_context = hospital_with(tmp_path, issuer)
    client = moved(application, app_context)
    answer = arrive(client, "kimse")
    assert answer.status_code == 403 and "None of your groups" in answer.text
    assert client.get("/api/v1/account").status_code == 401
    with app_context.records.read() as tx:
        assert users.list_users(tx) == []
        assert tx.session.scalars(select(AuditRow.action)).all() == ["sign_in.failed"]


def test_a_login_that_is_the_same_joins_nobody(application, tmp_path, issuer):
    app_context = hospital_with(tmp_path, issuer)
    with app_context.records.write(SYSTEM) as tx:
        users.create(tx, "irem", Profile("Another İrem", frozenset({Role.ADMINISTRATOR})))
    client = moved(application, app_context)
    arrive(client, "irem")
    account = client.get("/api/v1/account").json()
    assert (account["login"], account["roles"]) == ("irem-2", ["radiologist"])


def test_a_closed_account_stays_closed(application, tmp_path, issuer):
    app_context = hospital_with(tmp_path, issuer)
    client = moved(application, app_context)
    arrive(client, "irem")
    with app_context.records.write(SYSTEM) as tx:
        users.create(tx, "admin", Profile("A", frozenset({Role.ADMINISTRATOR})))
        users.disable(tx, users.find_user(tx, "irem").id)
    client.cookies.clear()
    assert arrive(client, "irem").status_code == 403
    assert client.get("/api/v1/account").status_code == 401


def test_the_last_administrator_stays_whatever_the_groups_say(application, tmp_path, issuer):
    app_context = hospital_with(tmp_path, issuer)
    client = moved(application, app_context)
    arrive(client, "irem")
    with app_context.records.write(SYSTEM) as tx:
        member = users.find_user(tx, "irem")
        users.change(tx, member.id, Profile("İrem", frozenset({Role.ADMINISTRATOR})))
    arrive(client, "irem")
    assert client.get("/api/v1/account").json()["roles"] == ["administrator", "radiologist"]


def test_an_answer_counts_once_and_in_the_browser_that_asked(application, tmp_path, issuer):
    client = moved(application, hospital_with(tmp_path, issuer))
    answer = client.get("/login/oidc")
    target = sign_on(answer.headers["location"], "irem").removeprefix("http://testserver")
    kept = dict(client.cookies)
    client.cookies.clear()
    assert client.get(target).status_code == 403
    for name, value in kept.items():
        client.cookies.set(name, value)
    assert client.get(target).status_code == 403  # it was used up by the other browser
    client.cookies.clear()
    answer = client.get("/login/oidc")
    target = sign_on(answer.headers["location"], "irem").removeprefix("http://testserver")
    assert client.get(target).status_code == 303
    assert client.get(target).status_code == 403


def test_a_locked_screen_opens_by_a_fresh_proof_alone(application, tmp_path, issuer):
    app_context = hospital_with(tmp_path, issuer)
    client = moved(application, app_context)
    arrive(client, "irem")
    with app_context.records.read() as tx:
        client.headers["X-CSRF-Token"] = tx.session.scalars(select(BrowserSession.csrf)).one()
    client.post("/lock")
    answer = client.post("/lock/open", data={"password": "x"})
    assert answer.status_code == 403 and "passkey" in answer.text and "Sign in with Hospital" in answer.text
    asked = parse_qs(urlsplit(client.get("/login/oidc").headers["location"]).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    assert arrive(client, "irem").headers["location"] == "/account"
    assert client.get("/account").status_code == 200
    with app_context.records.read() as tx:
        assert not tx.session.scalars(select(BrowserSession.locked)).one()


def test_a_silent_provider_leaves_the_password(application, tmp_path):
    client = moved(application, hospital_with(tmp_path, "http://127.0.0.1:9"))
    answer = client.get("/login/oidc")
    assert answer.status_code == 503 and "does not answer" in answer.text and 'name="password"' in answer.text


def test_without_the_setting_there_is_none(application, tmp_path):
    client = moved(application, make_context(tmp_path))
    assert client.get("/login/oidc").status_code == 404
    assert "/login/oidc" not in client.get("/login").text


def test_a_provider_elsewhere_needs_tls(application, tmp_path):
    client = moved(application, hospital_with(tmp_path, "http://login.example"))
    assert client.get("/login/oidc").status_code == 422


def test_groups_are_read_from_the_setting():
    assert oidc_roles(Settings(oidc_roles="a=auditor, b = c =engineer,")) == {
        "a": Role.AUDITOR,
        "b = c": Role.ENGINEER,
    }
    with pytest.raises(SettingError, match="oidc_roles"):
        oidc_roles(Settings(oidc_roles="a=king"))


# A provider that lies

KEY, OTHER = RSAKey.generate_key(2048, {"kid": "k"}), RSAKey.generate_key(2048, {"kid": "k"})


class Liar:
    """A provider that says whatever a test wants of the person whom it was asked about."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(liar.answers.get(self.path, {}))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self._answer(liar.answers["/token"])

            def _answer(self, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.answers["/.well-known/openid-configuration"] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self.answers["/keys"] = {"keys": [KEY.as_dict(private=False)]}
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def claims(self, nonce: str, changed: dict[str, object]) -> dict[str, object]:
        now = int(time.time())
        whole = {
            "iss": self.issuer,
            "aud": "tetkik",
            "sub": "irem",
            "iat": now,
            "exp": now + 60,
            "nonce": nonce,
            "auth_time": now - 60,
            "groups": ["radyoloji"],
            "preferred_username": "irem",
            "name": "İrem",
        } | changed
        return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    made = Liar()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def victim(tmp_path_factory, liar):
    """A client of a hospital that asks the liar."""
    with served(
        hospital_with(tmp_path_factory.mktemp("hospital"), liar.issuer, sign_ins_per_minute=1000)
    ) as client:
        yield client


def status_of(victim, liar: Liar, *, key=KEY, alg: str = "RS256", query: str = "", **changed: object) -> int:
    """The status after the provider told something else than the truth."""
    victim.cookies.clear()
    asked = parse_qs(urlsplit(victim.get("/login/oidc").headers["location"]).query)
    claims = liar.claims(asked["nonce"][0], changed)
    token = jwt.encode({"alg": alg, "kid": "k"}, claims, key, algorithms=[alg])
    liar.answers["/token"] = {"access_token": "x", "token_type": "Bearer", "id_token": token}
    status: int = victim.get(f"/login/oidc/callback?code=1&state={asked['state'][0]}{query}").status_code
    return status


def test_the_truth_is_believed(victim, liar):
    assert status_of(victim, liar) == 303


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["tetkik", "another"]},  # without azp
        {"azp": "another"},
        {"iss": "https://another.example"},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"groups": "nobody"},
        {"groups": [{"radyoloji": 1}]},
        {"at_hash": "AAAA"},
        {"auth_time": None},
        {"auth_time": int(time.time()) - 3600},
    ],
)
def test_an_id_token_that_does_not_hold_signs_nobody_on(victim, liar, changed):
    assert status_of(victim, liar, **changed) == 403


def test_another_key_signs_nobody_on(victim, liar):
    assert status_of(victim, liar, key=OTHER) == 403


def test_a_shared_secret_is_no_signature(victim, liar):
    assert status_of(victim, liar, key=OctKey.import_key(SECRET * 2), alg="HS256") == 403


def test_the_answer_of_another_issuer_is_refused(victim, liar):
    assert status_of(victim, liar, query="&iss=https://another.example") == 403


def test_a_document_of_another_issuer_is_refused(application, tmp_path, liar):
    truth = liar.answers["/.well-known/openid-configuration"]
    liar.answers["/.well-known/openid-configuration"] = truth | {"issuer": "https://another.example"}
    try:
        client = moved(application, hospital_with(tmp_path, liar.issuer))
        assert client.get("/login/oidc").status_code == 503
    finally:
        liar.answers["/.well-known/openid-configuration"] = truth
