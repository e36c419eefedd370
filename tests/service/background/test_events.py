"""Server-sent events over a real connection: live, resumed, and over when the session is."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import httpx
import pytest

from tests.patience import PATIENCE
from tests.records.kit import made_case, made_records, made_user
from tests.service.browser import serving
from tests.service.kit import make_context, opened_session
from tetkik.records.people import passwords, tokens, users
from tetkik.records.people.access import load_access_states
from tetkik.records.people.deactivation import end_sessions
from tetkik.records.people.users import Profile
from tetkik.records.schema import ApiToken, BrowserSession, Event
from tetkik.service.kit.background import events
from tetkik.values import EVERY_DEPARTMENT, Permission, Role

ADDRESS = "/api/v1/events"


@pytest.fixture
def app_context(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(events, "POLL_SECONDS", 0.05)
    return make_context(tmp_path)


@pytest.fixture
def base(app_context):
    with serving(app_context) as address:
        yield address


@pytest.fixture
def radiologist(app_context):
    return made_user(app_context.records, Role.RADIOLOGIST)


@contextmanager
def listening(base, app_context, actor, after=None, last=None):
    """Messages of a stream, one by one: (event, id, data)."""
    cookie, _ = session_of(app_context, actor)
    headers = {"Cookie": f"tetkik={cookie}"} | ({"Last-Event-ID": str(last)} if last is not None else {})
    given = {"after": after} if after is not None else {}
    with (
        httpx.Client(base_url=base, headers=headers, timeout=PATIENCE) as client,
        client.stream("GET", ADDRESS, params=given) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        yield answer, messages(lines)


def session_of(app_context, actor):
    with app_context.records.write(actor) as tx:
        for row in tx.session.query(BrowserSession).filter_by(user_id=actor.user_id):
            tx.session.delete(row)
    return opened_session(app_context, actor)


def messages(lines):
    said = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            said[name] = value
        elif "data" in said:
            yield said.get("event", "message"), int(said.get("id", 0)), json.loads(said["data"])
            said = {}
        else:
            said = {}


def announce(app_context, kind, case_id=None):
    with app_context.records.write(made_user(app_context.records, Role.RECEPTION)) as tx:
        tx.announce(kind, case_id)


def test_what_happens_is_heard(app_context, base, radiologist):
    with listening(base, app_context, radiologist, after=0) as (answer, heard):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        case_id = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
        event, number, said = next(heard)
        assert (event, said) == ("message", {"kind": "case", "case_id": case_id})
        announce(app_context, "claim", case_id)
        assert next(heard)[1:] == (number + 1, {"kind": "claim", "case_id": case_id})


def test_another_process_is_heard_too(app_context, base, radiologist):
    other = made_records(app_context.records.folder)
    with listening(base, app_context, radiologist, after=0) as (_, heard):
        with other.write(radiologist) as tx:
            tx.announce("elsewhere")
        assert next(heard)[2]["kind"] == "elsewhere"
    other.close()


def test_a_page_that_connects_again_misses_nothing(app_context, base, radiologist):
    for kind in ("one", "two", "three"):
        announce(app_context, kind)
    with listening(base, app_context, radiologist, after=0) as (_, heard):
        _, first, _ = next(heard)
    with listening(base, app_context, radiologist, after=0, last=first) as (_, heard):
        assert [next(heard)[2]["kind"] for _ in range(2)] == ["two", "three"]


def test_without_a_number_it_begins_now(app_context, base, radiologist):
    announce(app_context, "before")
    with listening(base, app_context, radiologist) as (_, heard):
        announce(app_context, "after")
        assert next(heard)[2]["kind"] == "after"


def test_what_is_gone_is_told(app_context, base, radiologist):
    for kind in ("one", "two", "three"):
        announce(app_context, kind)
    with app_context.records.write(radiologist) as tx:
        tx.session.query(Event).filter(Event.kind != "three").delete()
    with listening(base, app_context, radiologist, after=1) as (_, heard):
        assert next(heard)[0] == "missed"


@pytest.mark.parametrize("column", [{"locked": True}, {"user_id": None}])
def test_it_ends_with_the_session(app_context, base, radiologist, column):
    with listening(base, app_context, radiologist, after=0) as (_, heard):
        with app_context.records.write(radiologist) as tx:
            row = tx.session.query(BrowserSession).filter_by(user_id=radiologist.user_id).one()
            if "locked" in column:
                row.locked = True
            else:
                tx.session.delete(row)
        assert next(heard)[0] == "end"
        assert list(heard) == []


def token_of(app_context, actor):
    with app_context.records.write(actor) as tx:
        return tokens.create(tx, "program", [Permission.CASE_READ], timedelta(days=1))


@pytest.mark.parametrize("fate", ["revoked", "owner disabled", "held", "over"])
def test_it_ends_with_the_token(app_context, base, radiologist, fate):
    secret, token = token_of(app_context, radiologist)
    headers = {"Authorization": f"Bearer {secret}"}
    with (
        httpx.Client(base_url=base, headers=headers, timeout=PATIENCE) as client,
        client.stream("GET", ADDRESS, params={"after": 0}) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        with app_context.records.write(radiologist) as tx:
            if fate == "revoked":
                tokens.revoke(tx, token.id)
            elif fate == "owner disabled":
                users.disable(tx, radiologist.user_id)
            else:
                row = tx.session.get(ApiToken, token.id)
                row.held_at = tx.now if fate == "held" else None
                row.expires_at = tx.now if fate == "over" else row.expires_at
        assert next(messages(lines))[0] == "end"


@pytest.mark.parametrize("fate", ["disabled", "idle", "password to be changed"])
def test_it_ends_with_what_the_session_stands_on(app_context, base, radiologist, fate):
    with listening(base, app_context, radiologist, after=0) as (_, heard):
        with app_context.records.write(radiologist) as tx:
            if fate == "disabled":
                users.disable(tx, radiologist.user_id)
            elif fate == "idle":
                row = tx.session.query(BrowserSession).filter_by(user_id=radiologist.user_id).one()
                row.seen_at = tx.now - timedelta(minutes=app_context.settings.session_idle_minutes)
            else:
                users.user_row(tx, radiologist.user_id).password_hash = passwords.hashed("beş büyük sarı fil")
                users.require_password_change(tx, radiologist.user_id)
        assert next(heard)[0] == "end"


@pytest.mark.parametrize(
    "profile",
    [
        Profile("E", frozenset({Role.RECEPTION, Role.RADIOLOGIST}), departments=(EVERY_DEPARTMENT,)),
        Profile("E", frozenset({Role.RADIOLOGIST}), departments=("Nöroloji",)),
    ],
)
def test_with_other_roles_or_departments_the_page_connects_again(app_context, base, radiologist, profile):
    """It closes without the word that the session is over: the browser asks anew, as whoever it is now."""
    with listening(base, app_context, radiologist, after=0) as (_, heard):
        with app_context.records.write(made_user(app_context.records, Role.ADMINISTRATOR)) as tx:
            users.change(tx, radiologist.user_id, profile, departments=profile.departments)
        assert list(heard) == []


def test_nothing_new_is_told_to_somebody_who_is_gone(app_context, base, radiologist, monkeypatch):
    """However rarely the listeners are looked at: before news they always are."""
    monkeypatch.setattr(events, "CHECK_SECONDS", 3600)
    with listening(base, app_context, radiologist, after=0) as (_, heard):
        announce(app_context, "before")
        assert next(heard)[2]["kind"] == "before"
        with app_context.records.write(radiologist) as tx:
            end_sessions(tx, radiologist.user_id)
        announce(app_context, "after")
        assert [event for event, _, _ in heard] == ["end"]


def test_many_streams_cost_one_look(app_context, base, radiologist, monkeypatch):
    looks = []
    told = load_access_states

    def counted(tx, actors, idle):
        looks.append(len(actors))
        return told(tx, actors, idle)

    monkeypatch.setattr(events, "load_access_states", counted)
    with ExitStack() as stack:
        for actor in (radiologist, made_user(app_context.records, Role.RECEPTION)):
            stack.enter_context(listening(base, app_context, actor, after=0))
        while 2 not in looks:
            time.sleep(0.01)
    assert max(looks) == 2


def test_a_case_of_another_department_is_not_heard(app_context, base):
    clinician = made_user(app_context.records, Role.CLINICIAN, departments=("Kardiyoloji",))
    desk = made_user(app_context.records, Role.RECEPTION)
    with listening(base, app_context, clinician, after=0) as (_, heard):
        made_case(app_context.records, desk, department="Dahiliye")
        own = made_case(app_context.records, desk, department="Kardiyoloji")
        assert next(heard)[2]["case_id"] == own


def test_who_is_not_signed_in_hears_nothing(base):
    assert httpx.get(base + ADDRESS, timeout=PATIENCE).status_code == 401
