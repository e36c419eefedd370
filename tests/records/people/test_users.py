"""Users: logins fold the Turkish way, somebody always administers, and links work once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select

from tests.records.clock import Clock
from tests.records.kit import id_of, made_user
from tetkik.errors import Conflict, InputError, NotFound, NotSignedIn
from tetkik.records.people import invites, sessions, users
from tetkik.records.people.users import Profile, folded_login
from tetkik.records.schema import AuditRow, Invite
from tetkik.values import SYSTEM, Method, Role

GOOD = "dört küçük mavi kuş"
RADIOLOGIST = Profile("İrem Işık", frozenset({Role.RADIOLOGIST}), "Uzm. Dr.", "98765")


@pytest.fixture
def records(both_records):
    return both_records


@pytest.mark.parametrize("typed", ["irem.isik", "İREM.IŞIK", "IREM.ISIK", " İrem.Işık ", "ırem.ışık"])
def test_capitals_and_turkish_letters_make_no_difference(typed):
    assert folded_login(typed) == "irem.isik"


@pytest.mark.parametrize("typed", ["", "a", "iki kelime", "a/b", "a\nb", "x" * 65, "-ab"])
def test_what_is_no_login_is_refused(typed):
    with pytest.raises(InputError):
        folded_login(typed)


@pytest.mark.both_databases
def test_a_login_is_taken_once(records):
    with records.write(SYSTEM) as tx:
        users.create(tx, "irem.isik", RADIOLOGIST)
    with pytest.raises(Conflict), records.write(SYSTEM) as tx:
        users.create(tx, "İREM.IŞIK", RADIOLOGIST)


@pytest.mark.parametrize(
    "profile",
    [
        Profile("", frozenset({Role.RADIOLOGIST})),
        Profile("İrem", frozenset()),
        Profile("İrem", frozenset({Role.CLINICIAN}), departments=("Büyücülük",)),
        Profile("x" * 121, frozenset({Role.RADIOLOGIST})),
    ],
)
def test_an_impossible_profile_is_refused(records, profile):
    with pytest.raises(InputError), records.write(SYSTEM) as tx:
        users.create(tx, "irem", profile)


def test_a_change_is_kept_and_recorded(records):
    administrator = made_user(records, Role.ADMINISTRATOR)
    with records.write(administrator) as tx:
        user_id = users.create(tx, "irem", RADIOLOGIST)
        profile = Profile("İrem Ay", frozenset({Role.CLINICIAN}), departments=("Nöroloji",))
        users.change(tx, user_id, profile, departments=("Nöroloji",))
    with records.read() as tx:
        member = users.find_user(tx, "İREM")
        assert member.profile == profile
        recorded = tx.session.scalars(
            select(AuditRow.action).where(AuditRow.user_id == administrator.user_id)
        )
        assert {"user.created", "user.changed"} <= set(recorded)


@pytest.mark.parametrize("way", ["disable", "roles"])
@pytest.mark.both_databases
def test_somebody_always_administers(records, way):
    first = made_user(records, Role.ADMINISTRATOR)
    other = Profile("Ayşe", frozenset({Role.AUDITOR}))

    def leave(tx):
        users.disable(tx, id_of(first)) if way == "disable" else users.change(tx, id_of(first), other)

    with pytest.raises(Conflict), records.write(first) as tx:
        leave(tx)
    made_user(records, Role.ADMINISTRATOR)
    with records.write(first) as tx:
        leave(tx)


def test_a_closed_account_keeps_no_session(records):
    actor = made_user(records, Role.CLINICIAN)
    with records.write(actor) as tx:
        cookie = sessions.begin_session(tx, id_of(actor), Method.PASSWORD)
    for change in (users.disable, users.enable):
        with records.write(SYSTEM) as tx:
            change(tx, id_of(actor))
        with pytest.raises(NotSignedIn):
            sessions.resume_session(records, cookie, address=None, request_id=None)


@pytest.mark.both_databases
def test_the_first_start_makes_one_administrator(records):
    with records.write(SYSTEM) as tx:
        old = invites.invite_first_administrator(tx) or ""
        link = invites.invite_first_administrator(tx) or ""
    with records.read() as tx, pytest.raises(NotFound):
        invites.load_invitation(tx, old)
    with records.write(SYSTEM) as tx:
        invites.accept_invitation(tx, link, GOOD, login="Ayşe", name="Ayşe Yılmaz")
    with records.write(SYSTEM) as tx:
        assert users.find_user(tx, "ayse").profile.roles == {Role.ADMINISTRATOR}
        assert invites.invite_first_administrator(tx) is None
        with pytest.raises(NotFound):
            invites.accept_invitation(tx, link, GOOD, login="Fatma", name="Fatma Demir")


def test_the_first_link_is_void_once_there_is_an_administrator(records):
    with records.write(SYSTEM) as tx:
        link = invites.invite_first_administrator(tx) or ""
    with records.write(SYSTEM) as tx:  # made on the command line meanwhile
        users.create(tx, "ayse", Profile("Ayşe Yılmaz", frozenset({Role.ADMINISTRATOR})), password=GOOD)
    with records.write(SYSTEM) as tx, pytest.raises(NotFound):
        invites.accept_invitation(tx, link, GOOD, login="Fatma", name="Fatma Demir")


def test_a_link_is_stored_as_a_digest_alone(records):
    with records.write(SYSTEM) as tx:
        link = invites.invite_first_administrator(tx) or ""
        stored = tx.session.scalars(select(Invite)).one()
        assert link not in (stored.digest, stored.roles)


def test_a_link_ends_after_a_day(records, clock: Clock):
    with records.write(SYSTEM) as tx:
        link = invites.invite_first_administrator(tx) or ""
    clock.go(hours=23, minutes=59)
    with records.read() as tx:
        invites.load_invitation(tx, link)
    clock.go(minutes=1)
    with records.read() as tx, pytest.raises(NotFound):
        invites.load_invitation(tx, link)


def test_a_weak_password_does_not_use_the_link_up(records):
    with records.write(SYSTEM) as tx:
        user_id = users.create(tx, "irem", RADIOLOGIST)
        link = invites.invite(tx, user_id)
    with pytest.raises(InputError), records.write(SYSTEM) as tx:
        invites.accept_invitation(tx, link, "İrem Işık 1")
    with records.write(SYSTEM) as tx:
        assert invites.accept_invitation(tx, link, GOOD) == user_id


def test_a_newer_link_voids_the_older(records):
    with records.write(SYSTEM) as tx:
        user_id = users.create(tx, "irem", RADIOLOGIST)
        older, newer = invites.invite(tx, user_id), invites.invite(tx, user_id)
        with pytest.raises(NotFound):
            invites.load_invitation(tx, older)
        assert invites.load_invitation(tx, newer).login == "irem"


def test_a_link_of_a_closed_account_opens_nothing(records):
    made_user(records, Role.ADMINISTRATOR)
    with records.write(SYSTEM) as tx:
        user_id = users.create(tx, "irem", RADIOLOGIST)
        link = invites.invite(tx, user_id)
        users.disable(tx, user_id)
        with pytest.raises(NotFound):
            invites.accept_invitation(tx, link, GOOD)


def test_users_come_by_login_a_page_at_a_time(records):
    with records.write(SYSTEM) as tx:
        for login in ("zeynep", "ayse", "mehmet"):
            users.create(tx, login, RADIOLOGIST)
        first = users.list_users(tx, limit=2)
        rest = users.list_users(tx, after=first[-1].login, limit=2)
    assert [member.login for member in (*first, *rest)] == ["ayse", "mehmet", "zeynep"]


@pytest.mark.both_databases
def test_two_who_remove_each_other_come_one_after_the_other(records):
    """At any moment somebody administers: the second one waits, and then is the last."""
    pair = [made_user(records, Role.ADMINISTRATOR) for _ in range(2)]
    auditor = Profile("A", frozenset({Role.AUDITOR}))
    together = Barrier(2)

    def remove(by: int) -> bool:
        together.wait()
        try:
            with records.write(pair[by]) as tx:
                users.change(tx, id_of(pair[1 - by]), auditor)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(remove, (0, 1)))
    assert sorted(done) == [False, True]
    with records.read() as tx:
        assert users.count_administrators(tx) == 1
