"""Signing in: failures are counted first, pauses grow, and nothing tells which part was wrong."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from tests.records.clock import Clock
from tests.records.kit import id_of, made_user
from tetkik.errors import AccessError, Forbidden, NotSignedIn, RecordsError
from tetkik.records import database
from tetkik.records.metrics import collect_metrics
from tetkik.records.people import passwords, sessions, sign_in, users
from tetkik.records.people.passwords import pause_after
from tetkik.records.people.refusals import record_refusal, write_refusals
from tetkik.records.people.users import Peer, Profile, user_row
from tetkik.records.schema import AuditRow, SignInFailures, User
from tetkik.values import SYSTEM, Actor, Method, Role

GOOD = "dört küçük mavi kuş"
PEER = Peer("10.0.0.7", None, "Firefox")


@pytest.fixture
def records(both_records):
    with both_records.write(SYSTEM) as tx:
        profile = Profile("İrem Işık", frozenset({Role.RADIOLOGIST}))
        users.create(tx, "irem", profile, password=GOOD)
    return both_records


def refused(records, login: str, password: str, peer: Peer = PEER) -> str:
    with pytest.raises(NotSignedIn) as error:
        sign_in.sign_in_by_password(records, login, password, peer)
    return str(error.value)


def recorded(records, action: str) -> list[dict[str, Any]]:
    with records.read() as tx:
        rows = tx.session.scalars(select(AuditRow.content).where(AuditRow.action == action))
        return [json.loads(row) for row in rows if row]


def test_a_person_signs_in(records):
    actor = sign_in.sign_in_by_password(records, "İREM", GOOD, PEER)
    assert (actor.name, actor.method, actor.address) == ("İrem Işık", Method.PASSWORD, "10.0.0.7")
    assert actor.roles == {Role.RADIOLOGIST}
    assert recorded(records, "sign_in.failed") == []


def test_nothing_tells_what_was_wrong(records):
    made_user(records, Role.ADMINISTRATOR)
    with records.write(SYSTEM) as tx:
        closed = users.create(tx, "closed", Profile("C", frozenset({Role.CLINICIAN})), password=GOOD)
        users.disable(tx, closed)
    said = {
        refused(records, "irem", "yanlış"),
        refused(records, "nobody", GOOD),
        refused(records, "closed", GOOD),
        refused(records, "", ""),
        refused(records, "x" * 400, "y" * 400),
    }
    assert len(said) == 1


def test_an_unknown_login_costs_a_hash_too(records, monkeypatch):
    tried = []
    hashed = passwords.matches

    def counted(password, known):
        tried.append(known)
        return hashed(password, known)

    monkeypatch.setattr(passwords, "matches", counted)
    refused(records, "nobody", GOOD)
    assert len(tried) == 1


def test_a_failure_is_recorded_without_what_was_typed(records):
    refused(records, "irem", "yanlış")
    refused(records, "gizli-parolam-buraya", "x")
    known, unknown = recorded(records, "sign_in.failed")
    assert known["object"] is not None and known["address"] == "10.0.0.7"
    assert unknown["object"] is None and "gizli" not in json.dumps(unknown)


@pytest.mark.attack
def test_refusals_write_one_entry_a_minute_with_their_number(records, clock: Clock):
    for _ in range(4):
        refused(records, "irem", "yanlış")
        refused(records, "somebody", "x")
    with records.read() as tx:
        assert collect_metrics(tx).sign_ins_failed == 8
    clock.go(minutes=1)
    refused(records, "irem", "yanlış")
    counts = [
        (one["object"] is not None, one["detail"].get("count", 1))
        for one in recorded(records, "sign_in.failed")
    ]
    assert sorted(counts) == [(False, 1), (False, 3), (True, 1), (True, 4)]
    with records.read() as tx:
        assert collect_metrics(tx).sign_ins_failed == 9


@pytest.mark.attack
def test_counted_refusals_are_told_of_where_they_came_from_and_when(records, clock: Clock):
    for name in ("first", "second", "third"):
        clock.go(seconds=5)
        refused(records, name, "x", Peer("10.0.0.9", name))
    at = clock.now
    clock.go(minutes=1)
    refused(records, "irem", "x", PEER)
    _, counted, other = recorded(records, "sign_in.failed")
    assert (counted["address"], counted["request"], counted["at"]) == ("10.0.0.9", "third", at.isoformat())
    assert (counted["detail"]["count"], counted["detail"]["logins"]) == (2, 2)
    assert other["address"] == "10.0.0.7" and "count" not in other["detail"]


def test_refusals_that_could_not_be_written_stay_counted(records, clock: Clock, monkeypatch):
    def fail(*_: object) -> None:
        raise RecordsError("The database does not answer.")

    actor = Actor(None, "", method=Method.PASSWORD, address="10.0.0.9")
    for broken in (True, False, False):
        with monkeypatch.context() as patch:
            if broken:
                patch.setattr(database, "append", fail)
            with pytest.raises(RecordsError) if broken else nullcontext():
                record_refusal(records, actor, "10.0.0.9", typed="a")
    assert [one["detail"].get("count") for one in recorded(records, "sign_in.failed")] == [2]
    clock.go(minutes=1)
    write_refusals(records)  # nobody else tries
    write_refusals(records, every=timedelta(0))
    with records.read() as tx:
        assert collect_metrics(tx).sign_ins_failed == 3
    assert len(recorded(records, "sign_in.failed")) == 2


def test_pauses_grow_to_a_quarter_of_an_hour():
    assert [pause_after(count) for count in (1, 4, 5, 6, 7)] == [
        None,
        None,
        timedelta(seconds=30),
        timedelta(minutes=1),
        timedelta(minutes=2),
    ]
    assert pause_after(1000) == timedelta(minutes=15)


def test_after_failures_even_the_right_password_waits(records, clock: Clock):
    for _ in range(passwords.FREE_FAILURES):
        refused(records, "irem", "yanlış")
    assert refused(records, "irem", GOOD) == refused(records, "nobody", GOOD)
    clock.go(seconds=29)
    refused(records, "irem", GOOD)
    clock.go(seconds=1)
    sign_in.sign_in_by_password(records, "irem", GOOD, PEER)
    refused(records, "irem", "yanlış")  # counted anew: no pause after one
    sign_in.sign_in_by_password(records, "irem", GOOD, PEER)


@pytest.mark.both_databases
def test_an_attempt_is_counted_before_the_password_is_looked_at(records, monkeypatch):
    counted = []

    def look(_password, _known):
        with records.read() as tx:
            counted.extend(tx.session.scalars(select(SignInFailures.failed)))
        return False

    monkeypatch.setattr(passwords, "matches", look)
    refused(records, "irem", "yanlış")
    assert counted == [1, 1]  # of the network, and of all of them


@pytest.fixture
def looked_at(monkeypatch) -> list[str]:
    """The passwords that were compared with a hash; every one is wrong."""
    found: list[str] = []

    def matches(password: str, known: str | None) -> bool:
        if known is not None:
            found.append(password)
        return False

    monkeypatch.setattr(passwords, "matches", matches)
    return found


@pytest.mark.attack
def test_strangers_wrong_passwords_stop_neither_a_session_nor_a_known_browser(records):
    known = replace(PEER, address="10.0.0.99", browser="a" * 64)
    actor = sign_in.sign_in_by_password(records, "irem", GOOD, known)
    with records.write(actor) as tx:
        row = user_row(tx, id_of(actor))
        sign_in.open_session(tx, row, actor.method, known, sessions.ABSOLUTE, known.browser)
    session = replace(actor, session_id="a session")
    for _ in range(passwords.FREE_FAILURES + 1):
        refused(records, "irem", "yanlış")
    refused(records, "irem", GOOD)
    refused(records, "irem", GOOD, replace(PEER, browser="b" * 64))  # of another browser
    for _ in range(2):
        sign_in.reauthenticate(records, session, GOOD)
        sign_in.sign_in_by_password(records, "irem", GOOD, known)
        sign_in.sign_in_by_password(records, "irem", GOOD, replace(PEER, address="10.0.0.8"))
    # Each place slows whoever guesses there.
    for _ in range(passwords.FREE_FAILURES):
        refused(records, "irem", "yanlış", known)
        with pytest.raises(Forbidden):
            sign_in.reauthenticate(records, session, "yanlış")
    refused(records, "irem", GOOD, known)
    with pytest.raises(Forbidden):
        sign_in.reauthenticate(records, session, GOOD)
    sign_in.reauthenticate(records, replace(session, session_id="another"), GOOD)


@pytest.mark.attack
def test_whoever_has_every_address_guesses_290_times_in_a_day_and_then_240(records, clock, looked_at):
    def guess(number: int) -> None:
        refused(
            records, "irem", f"yanlış {number}", replace(PEER, address=f"10.{number // 250}.1.{number % 250}")
        )

    for number in range(passwords.FREE_TOGETHER + 5):
        guess(number)
    assert len(looked_at) == passwords.FREE_TOGETHER
    for number in range(timedelta(days=1) // passwords.PACE):
        clock.go(seconds=passwords.PACE.total_seconds())
        guess(100 + number)
    with records.read() as tx:  # a paused attempt leaves no row
        assert tx.count(SignInFailures) <= len(looked_at) + 1
    guess(1000)  # no sooner than the next is forgotten
    assert len(looked_at) == 290


@pytest.mark.attack
def test_the_addresses_of_one_network_are_counted_as_one(records, looked_at):
    for number in range(9):
        refused(records, "irem", "yanlış", replace(PEER, address=f"2001:db8::{number}"))
    assert len(looked_at) == passwords.FREE_FAILURES
    refused(records, "irem", "yanlış", replace(PEER, address="2001:db8:0:1::1"))
    assert len(looked_at) == passwords.FREE_FAILURES + 1


def test_counters_end_after_a_day(records, clock):
    refused(records, "irem", "yanlış")
    clock.go(days=1, seconds=1)
    with records.write(SYSTEM) as tx:
        passwords.delete_old(tx)
        assert tx.count(SignInFailures) == 0


def test_an_administrator_ends_the_pause(records):
    for _ in range(passwords.FREE_FAILURES):
        refused(records, "irem", "yanlış")
    with records.write(SYSTEM) as tx:
        member = users.find_user(tx, "irem")
        assert member.locked_until is not None
        users.unlock(tx, member.id)
    sign_in.sign_in_by_password(records, "irem", GOOD, PEER)


def test_an_old_hash_is_made_anew_at_sign_in(records):
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)
    with records.write(SYSTEM) as tx:
        tx.session.scalars(select(User)).one().password_hash = weak
    sign_in.sign_in_by_password(records, "irem", GOOD, PEER)
    with records.read() as tx:
        now = tx.session.scalars(select(User.password_hash)).one()
    assert now != weak and not passwords.is_outdated(now)
    sign_in.sign_in_by_password(records, "irem", GOOD, PEER)


def test_the_same_person_again(records):
    actor = sign_in.sign_in_by_password(records, "irem", GOOD, PEER)
    sign_in.reauthenticate(records, actor, GOOD)
    with pytest.raises(Forbidden):
        sign_in.reauthenticate(records, actor, "yanlış")
    assert len(recorded(records, "sign_in.failed")) == 1


def test_without_a_password_nothing_is_proved_by_one(records):
    actor = made_user(records, Role.RADIOLOGIST)
    with pytest.raises(Forbidden, match="passkey"):
        sign_in.reauthenticate(records, actor, "")


def test_a_session_ends_when_idle_and_at_its_end(records, clock: Clock):
    actor = sign_in.sign_in_by_password(records, "irem", GOOD, PEER)
    with records.write(actor) as tx:
        cookie = sessions.begin_session(tx, id_of(actor), actor.method)

    def resumed(cookie: str) -> sessions.Resumed:
        return sessions.resume_session(
            records, cookie, address=None, request_id=None, idle=timedelta(minutes=30)
        )

    clock.go(minutes=29)
    assert resumed(cookie).actor.user_id == actor.user_id
    with pytest.raises(NotSignedIn):  # never idle, and over after twelve hours all the same
        for _ in range(40):
            clock.go(minutes=28)
            resumed(cookie)
    with records.write(actor) as tx:
        second = sessions.begin_session(tx, id_of(actor), actor.method)
        age = tx.now - tx.session.get(User, id_of(actor)).created_at
    assert timedelta(hours=11, minutes=30) < age <= timedelta(hours=12, minutes=28)
    clock.go(minutes=30)
    with pytest.raises(NotSignedIn):
        resumed(second)


def test_seen_is_written_once_a_minute_at_most(records, clock: Clock):
    actor = sign_in.sign_in_by_password(records, "irem", GOOD, PEER)
    with records.write(actor) as tx:
        cookie = sessions.begin_session(tx, id_of(actor), actor.method)
    began = clock.now

    def seen():
        sessions.resume_session(records, cookie, address=None, request_id=None)
        with records.read(actor) as tx:
            return sessions.list_sessions(tx)[0].seen_at

    clock.go(seconds=59)
    assert seen() == began
    clock.go(seconds=1)
    assert seen() == clock.now


def test_a_new_password_ends_the_other_sessions(records):
    actor = sign_in.sign_in_by_password(records, "irem", GOOD, PEER)
    with records.write(actor) as tx:
        mine, other = (sessions.begin_session(tx, id_of(actor), actor.method) for _ in range(2))
    known = sessions.resume_session(records, mine, address=None, request_id=None).actor
    with records.write(known) as tx:
        users.set_password(tx, id_of(known), "beş büyük sarı fil")
    assert sessions.resume_session(records, mine, address=None, request_id=None)
    with pytest.raises(NotSignedIn):
        sessions.resume_session(records, other, address=None, request_id=None)
    refused(records, "irem", GOOD)
    sign_in.sign_in_by_password(records, "irem", "beş büyük sarı fil", PEER)


@pytest.mark.both_databases
def test_many_attempts_at_once_gain_nothing(records):
    """Ten guesses at the same moment: five are looked at, whichever they are."""
    guesses = [f"yanlış {number}" for number in range(10)]
    with ThreadPoolExecutor(10) as threads:
        looked = list(threads.map(lambda guess: refused(records, "irem", guess), guesses))
    assert len(set(looked)) == 1
    with records.read() as tx:
        counted = list(tx.session.scalars(select(SignInFailures.failed)))
    assert counted == [passwords.FREE_FAILURES] * 2


class Listed:
    """A directory that knows nobody; silent while it is down."""

    issuer = "ldap:x"

    def __init__(self) -> None:
        self.asked, self.down = 0, False

    def authenticate(self, login: str, password: str) -> None:
        self.asked += 1
        if self.down:
            raise AccessError(
                "The directory does not answer as it should; try again, or ask the administrator."
            )


@pytest.mark.attack
def test_the_directory_is_not_asked_more_often_than_an_account_here(records):
    directory = Listed()
    for number in range(passwords.FREE_FAILURES + 3):
        for login in ("ayse", "AYŞE", f"yok yok {number}"):
            with pytest.raises(NotSignedIn):
                sign_in.sign_in_by_password(records, login, "yanlış", PEER, directory)
    assert directory.asked == passwords.FREE_FAILURES


def test_a_directory_that_is_down_lets_nobody_pause(records):
    directory = Listed()
    directory.down = True
    with records.write(SYSTEM) as tx:
        known = users.create(tx, "omer", Profile("Ömer", frozenset({Role.CLINICIAN})))
        user_row(tx, known).oidc_issuer, user_row(tx, known).oidc_subject = directory.issuer, "1"
    for _ in range(passwords.FREE_FAILURES + 3):
        for login in ("omer", "ayse"):
            with pytest.raises(AccessError):
                sign_in.sign_in_by_password(records, login, GOOD, PEER, directory)
