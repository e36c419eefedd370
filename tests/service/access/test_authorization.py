"""Deny by default: a route without a guard does not start, and a guard lets through its role alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy import select

from tests.records.kit import id_of, made_user
from tests.service.kit import make_context, served, sign_in
from tetkik.records.audit_chain import Action
from tetkik.records.ids import new_id
from tetkik.records.people import sessions, tokens
from tetkik.records.schema.people import BrowserSession
from tetkik.records.schema.trail import AuditRow
from tetkik.service.app import PREFIX, routers
from tetkik.service.kit.access.authorization import Guard, Public, check_routes, guards, public
from tetkik.service.kit.context import AppContext
from tetkik.values.access import PERMISSIONS, Actor, Method, Permission, Role, permissions_of


def test_a_route_without_a_guard_does_not_start():
    router = APIRouter()
    router.add_api_route("/open", lambda: None)
    with pytest.raises(RuntimeError, match="/open"):
        check_routes(router)


def test_a_route_for_everybody_says_so():
    router = APIRouter(dependencies=[public()])
    router.add_api_route("/open", lambda: None)
    check_routes(router)


def test_health_without_signing_in(tmp_path):
    with served(make_context(tmp_path)) as client:
        assert client.get("/api/v1/health").json() == {"status": "ok"}
        assert client.get("/api/v1/ready").json() == {"status": "ok"}


# Every route with every role, signed out, and with a token of no scope: it does what the one table says.
#
# The routes are found in the application and really called; what each needs is read off its guard.


ROLE_SENTENCE = "Your role does not allow this"
ROUTES = sorted(
    {
        (method, prefix + route.path): guards(route)[0]
        for kind, prefix in (("api", PREFIX), ("pages", ""))
        for router in routers(kind)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    }.items(),
    key=lambda item: item[0],
)
GUARDED = [(method, path, guard.permission) for (method, path), guard in ROUTES if isinstance(guard, Guard)]
OPEN = {(method, path) for (method, path), guard in ROUTES if isinstance(guard, Public)}
ENDLESS = re.compile(r"/(events|stream)$")
"""Answers that go on until the reader leaves: called only where they are refused."""


@pytest.fixture(scope="module")
def app_context(tmp_path_factory) -> Iterator[AppContext]:
    made = make_context(
        tmp_path_factory.mktemp("hospital"),
        language="en",
        requests_per_minute=1_000_000,
        sign_ins_per_minute=1_000_000,
    )
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def client(app_context) -> Iterator[TestClient]:
    with served(app_context, anew=True) as opened:
        opened.headers["accept-language"] = "en"
        yield opened


def called(client: TestClient, method: str, path: str, headers: dict[str, str] | None = None):
    """An answer to an empty request; what stands in the path is of the right kind and of nothing."""
    filled = re.sub(r"\{(n|number|version)(:int)?\}", "1", path)
    filled = re.sub(r"\{[^}]+\}", new_id(), filled)
    body: dict[str, Any] = {}
    if method not in ("GET", "HEAD"):
        body = {"json": {}} if path.startswith(PREFIX) else {"data": {"x": ""}}
    return client.request(method, filled, headers=headers, **body)


def session_headers(app_context: AppContext, actor: Actor) -> dict[str, str]:
    """A session of a user."""
    with app_context.records.write(actor) as tx:
        cookie = sessions.begin_session(tx, id_of(actor), Method.PASSWORD)
        tx.session.flush()
        token = tx.session.scalar(
            select(BrowserSession.csrf)
            .where(BrowserSession.user_id == actor.user_id)
            .order_by(BrowserSession.created_at.desc())
        )
    return {"cookie": f"tetkik={cookie}", "x-csrf-token": token or ""}


@pytest.mark.parametrize("role", list(Role))
def test_each_role_opens_what_the_table_gives_it(app_context, client, role):
    actor = made_user(app_context.records, role)
    lasting = session_headers(app_context, actor)
    wrong = []
    for method, path, permission in GUARDED:
        may = permission in PERMISSIONS[role]
        if may and ENDLESS.search(path):
            continue
        # What is asked for more than to look may end the session that asks.
        session = lasting if method == "GET" else session_headers(app_context, actor)
        answer = called(client, method, path, session)
        refused = answer.status_code == 403 and ROLE_SENTENCE in answer.text
        if answer.status_code in (401, 500) or refused == may:
            wrong.append(f"{method} {path} ({permission}): {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_nobody_gets_in_signed_out(client):
    wrong = []
    for method, path, _ in GUARDED:
        answer = called(client, method, path)
        asked_in = answer.status_code == 303 and answer.headers["location"].startswith("/login")
        if not (answer.status_code == 401 if path.startswith(PREFIX) else asked_in):
            wrong.append(f"{method} {path}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_a_token_of_no_scope_opens_nothing(app_context, client):
    owner = made_user(app_context.records, *Role)
    with app_context.records.write(owner) as tx:
        secret, _ = tokens.create(tx, "nothing", (), timedelta(days=1))
    wrong = []
    for method, path, _ in GUARDED:
        answer = called(client, method, path, {"authorization": f"Bearer {secret}"})
        if answer.status_code != (403 if path.startswith(PREFIX) else 303):
            wrong.append(f"{method} {path}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_what_is_for_everybody_is_on_this_list():
    """A route that is opened to everybody is opened on purpose."""
    assert {path for _, path in OPEN} <= {
        f"{PREFIX}/health",
        f"{PREFIX}/ready",
        f"{PREFIX}/passkeys/sign-in",
        f"{PREFIX}/passkeys/sign-in/question",
        f"{PREFIX}/passkeys/unlock",
        f"{PREFIX}/passkeys/unlock/question",
        "/.well-known/assetlinks.json",
        "/favicon.ico",
        "/icon-{side}.png",
        "/lock",
        "/lock/open",
        "/login",
        "/login/oidc",
        "/login/oidc/callback",
        "/logout",
        "/manifest.webmanifest",
        "/maskable-{side}.png",
        "/metrics",
        "/offline",
        "/preferences",
        "/service-worker.js",
        "/setup/{token}",
        "/setup/{token}/strength",
    }


def test_what_is_for_everybody_breaks_for_nobody(client):
    for method, path in sorted(OPEN):
        assert called(client, method, path).status_code < 500, path


def test_every_permission_opens_some_route():
    of_figures = {Permission.METRICS}  # `/metrics`, which is no part of these routers
    assert {permission for _, _, permission in GUARDED} | of_figures == set(Permission)


@pytest.mark.parametrize("role", [Role.ENGINEER, Role.AUDITOR, Role.ADMINISTRATOR])
def test_some_never_see_an_identity(role):
    identity = {
        Permission.CASE_READ,
        Permission.CASE_SEARCH,
        Permission.IMAGE_READ,
        Permission.DRAFT_READ,
        Permission.REPORT_READ,
        Permission.WORKLIST,
        Permission.BREAK_GLASS,
    }
    assert PERMISSIONS[role].isdisjoint(identity)


def test_several_roles_add_up_and_nothing_more():
    both = permissions_of(frozenset({Role.RECEPTION, Role.AUDITOR}))
    assert both == PERMISSIONS[Role.RECEPTION] | PERMISSIONS[Role.AUDITOR]
    assert permissions_of(frozenset()) == frozenset()


# Who asks for what is not theirs is refused, and the trail knows.


def test_a_refusal_is_in_the_trail(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        actor = sign_in(client, app_context, Role.ENGINEER)
        assert client.get("/worklist").status_code == 403
    with app_context.records.read() as tx:
        (row,) = tx.session.scalars(select(AuditRow).where(AuditRow.action == Action.FORBIDDEN))
        assert row.user_id == actor.user_id
        assert '"permission":"worklist"' in str(row.content)
