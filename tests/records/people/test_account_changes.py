"""What ends with a password, what people are told of their account, and what a restored backup holds back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.records.clock import Clock
from tests.records.kit import id_of, made_case, made_records, made_user
from tetkik.errors import InputError, NotFound, NotSignedIn
from tetkik.records.audit_chain import AnchorFile
from tetkik.records.database import Records
from tetkik.records.lifecycle import erasure_log, retention
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.lifecycle.retention import RetentionTerms
from tetkik.records.people import invites, notices, passkeys, repair, sessions, tokens, users
from tetkik.records.people.deactivation import RevokedAccess
from tetkik.records.people.passwords import LONGEST, Strength, strength
from tetkik.records.people.users import Peer, Profile
from tetkik.records.schema import AuditRow, BrowserSession, Case, Invite, Passkey, Patient
from tetkik.values import EVERY_DEPARTMENT, SYSTEM, AccountChange, Method, Permission, Role

GOOD = "dört küçük mavi kuş"
OTHER = "beş büyük sarı kedi"


def opened(records, actor) -> tuple[str, str]:
    """A browser, a passkey and a token of a user; gives the cookie and the token's secret."""
    with records.write(actor) as tx:
        cookie = sessions.begin_session(tx, id_of(actor), Method.PASSWORD)
        passkeys.add(tx, "Desk", id_of(actor).encode(), b"key", 0)
        secret, _ = tokens.create(tx, "HIS", [Permission.MODELS_READ], timedelta(days=30))
    return cookie, secret


def changes_of(records, actor) -> list[AccountChange]:
    with records.read(actor) as tx:
        return [one.kind for one in notices.list_notices(tx) if not one.seen]


def is_signed_in(records, cookie) -> bool:
    try:
        sessions.resume_session(records, cookie, address=None, request_id=None)
    except NotSignedIn:
        return False
    return True


# What ends


@pytest.mark.parametrize("keys", [True, False])
def test_a_reset_ends_sessions_and_passkeys_and_tokens_unless_they_are_kept(both_records, keys):
    actor, other = made_user(both_records, Role.ENGINEER), made_user(both_records, Role.ENGINEER)
    cookie, secret = opened(both_records, actor)
    others_cookie, others_secret = opened(both_records, other)
    with both_records.write(SYSTEM) as tx:
        ended = users.reset_access(tx, id_of(actor), keys=keys)
    assert ended == RevokedAccess(1, int(keys), int(keys))
    assert not is_signed_in(both_records, cookie)
    with both_records.read() as tx:
        assert bool(passkeys.of_user(tx, id_of(actor))) is not keys
        row = tx.session.scalars(select(AuditRow.content).order_by(AuditRow.seq.desc()).limit(1)).one()
        assert row is not None and ('"passkeys":1' in row) is keys
    if keys:
        with pytest.raises(NotSignedIn):
            tokens.authenticate_token(both_records, secret, Peer())
    else:
        assert tokens.authenticate_token(both_records, secret, Peer()).user_id == actor.user_id
    assert is_signed_in(both_records, others_cookie)
    assert tokens.authenticate_token(both_records, others_secret, Peer()).user_id == other.user_id


def test_a_reset_takes_passkeys_and_tokens_unless_told_otherwise(records):
    actor = made_user(records, Role.ENGINEER)
    opened(records, actor)
    with records.write(SYSTEM) as tx:
        assert users.reset_access(tx, id_of(actor)) == RevokedAccess(1, 1, 1)


def test_a_new_password_voids_the_links_of_others(records):
    actor = made_user(records, Role.ENGINEER)
    with records.write(SYSTEM) as tx:
        link = invites.invite(tx, id_of(actor))
        users.set_password(tx, id_of(actor), GOOD)
    with records.read() as tx, pytest.raises(NotFound):
        invites.load_invitation(tx, link)


def test_a_renewed_session_goes_on_under_another_cookie_alone(records):
    actor = made_user(records, Role.ENGINEER)
    with records.write(actor) as tx:
        before = sessions.begin_session(tx, id_of(actor), Method.PASSKEY)
    found = sessions.resume_session(records, before, address=None, request_id=None)
    with records.write(found.actor) as tx:
        after = sessions.renew(tx)
    assert not is_signed_in(records, before)
    again = sessions.resume_session(records, after, address=None, request_id=None)
    assert (again.csrf, again.actor.method) == (found.csrf, Method.PASSKEY)


# What people are told


def test_each_change_is_told_to_its_person_alone(both_records, clock: Clock):
    admin, actor = made_user(both_records, Role.ADMINISTRATOR), made_user(both_records, Role.ENGINEER)
    opened(both_records, actor)
    with both_records.write(actor) as tx:
        passkeys.remove(tx, passkeys.of_user(tx, id_of(actor))[0].id)
    clock.go(minutes=1)
    with both_records.write(admin) as tx:
        users.reset_access(tx, id_of(actor))
        users.change(tx, id_of(actor), Profile("E", frozenset({Role.ENGINEER, Role.AUDITOR})))
        users.change(tx, id_of(actor), Profile("Eda", frozenset({Role.ENGINEER, Role.AUDITOR})))
    with both_records.read(actor) as tx:
        assert notices.count_unseen(tx) == 5
        listed = notices.list_notices(tx)
    assert [one.kind for one in listed] == [
        AccountChange.ROLES_CHANGED,
        AccountChange.PASSWORD_RESET,
        AccountChange.PASSKEY_REMOVED,
        AccountChange.TOKEN_MADE,
        AccountChange.PASSKEY_ADDED,
    ]
    assert [one.by for one in listed] == [admin.name, admin.name, "", "", ""]
    assert [one.what for one in listed] == ["auditor,engineer", "", "Desk", "HIS", "Desk"]
    assert listed[0].at == clock.now
    assert changes_of(both_records, admin) == []


def test_the_first_password_is_no_news_and_the_next_is(records):
    actor = made_user(records, Role.ENGINEER)
    with records.write(SYSTEM) as tx:
        users.set_password(tx, id_of(actor), GOOD)
    assert changes_of(records, actor) == []
    with records.write(actor) as tx:
        users.user_row(tx, id_of(actor)).last_login_at = tx.now
        users.set_password(tx, id_of(actor), OTHER)
    assert changes_of(records, actor) == [AccountChange.PASSWORD_CHANGED]


def test_only_a_browser_that_was_never_used_is_news(records):
    actor, other = made_user(records, Role.ENGINEER), made_user(records, Role.ENGINEER)
    for browser in ("desk", "desk", "tablet", "tablet", "desk"):
        with records.write(actor) as tx:
            notices.notify_new_browser(tx, id_of(actor), browser, "Mozilla/5.0 Firefox")
    assert changes_of(records, actor) == [AccountChange.NEW_BROWSER]
    with records.write(other) as tx:
        notices.notify_new_browser(tx, id_of(other), "desk", "")  # the same browser, somebody else's first
    assert changes_of(records, other) == []


def test_what_is_acknowledged_stays_listed_and_what_came_after_stays_new(records, clock: Clock):
    actor = made_user(records, Role.ENGINEER)
    with records.write(SYSTEM) as tx:
        notices.notify(tx, id_of(actor), AccountChange.PASSKEY_ADDED, "Desk")
    with records.read(actor) as tx:
        shown = notices.list_notices(tx)[0].id
    clock.go(seconds=1)
    with records.write(SYSTEM) as tx:
        notices.notify(tx, id_of(actor), AccountChange.TOKEN_MADE, "HIS")
    with records.write(actor) as tx:
        notices.acknowledge(tx, shown)
    with records.read(actor) as tx:
        assert [(one.kind, one.seen) for one in notices.list_notices(tx)] == [
            (AccountChange.TOKEN_MADE, False),
            (AccountChange.PASSKEY_ADDED, True),
        ]
        assert notices.count_unseen(tx) == 1
    clock.go(days=400)
    with records.write(SYSTEM) as tx:
        notices.notify(tx, id_of(actor), AccountChange.PASSKEY_REMOVED, "Desk")
    with records.read(actor) as tx:
        assert [one.what for one in notices.list_notices(tx)] == ["Desk", "HIS"]


# Departments


def test_every_department_is_said_and_never_meant_by_none(records):
    with records.write(SYSTEM) as tx:
        profile = Profile("İrem", frozenset({Role.CLINICIAN}), departments=(EVERY_DEPARTMENT,))
        user_id = users.create(tx, "irem", profile)
        assert users.load_user(tx, user_id).profile.departments == (EVERY_DEPARTMENT,)
        with pytest.raises(InputError):
            users.change(tx, user_id, Profile("İrem", frozenset({Role.CLINICIAN}), departments=("**",)))


# After a restore


def empty_like(records: Records, folder: Path) -> Records:
    """An empty installation under the same master key."""
    key = folder / "keys" / "master.key"
    key.parent.mkdir(parents=True)
    key.write_bytes((records.folder / "keys" / "master.key").read_bytes())
    key.chmod(0o600)
    return made_records(folder)


def test_what_a_backup_brings_back_opens_nothing_before_it_is_confirmed(tmp_path, both_records):
    actor = made_user(both_records, Role.ENGINEER, name="İrem")
    _, secret = opened(both_records, actor)
    with both_records.write(SYSTEM) as tx:
        invites.invite(tx, id_of(actor))
    make_backup(both_records, tmp_path / "backup")
    back = empty_like(both_records, tmp_path / "empty")
    made_at = restore_backup(back, tmp_path / "backup").made_at

    with back.read(actor) as tx:
        assert (
            repair.count_suspended(tx)
            == repair.count_suspended(tx, id_of(actor))
            == repair.SuspendedKeys(1, 1)
        )
        assert tx.session.scalars(select(Invite)).all() == []
        assert tx.session.scalars(select(BrowserSession)).all() == []
        assert [one.held for one in passkeys.of_user(tx, id_of(actor))] == [True]
        assert [one.held for one in tokens.list_tokens(tx)] == [True]
        assert users.load_user(tx, id_of(actor)).keys_held
        (news,) = (one for one in notices.list_notices(tx) if one.kind is AccountChange.RESTORED)
        assert news.what == made_at.isoformat()
    with pytest.raises(NotSignedIn, match="waits"):
        tokens.authenticate_token(back, secret, Peer())

    with back.write(SYSTEM) as tx:
        assert repair.confirm_keys(tx, id_of(actor)) == repair.SuspendedKeys(1, 1)
    assert tokens.authenticate_token(back, secret, Peer()).user_id == actor.user_id
    with back.read() as tx:
        assert not repair.count_suspended(tx).any
        assert tx.session.scalars(select(Passkey.held_at)).all() == [None]
        row = tx.session.scalars(select(AuditRow.content).order_by(AuditRow.seq.desc()).limit(1)).one()
        assert row is not None and "keys_confirmed" in row
    back.close()


# Strength


@pytest.mark.parametrize(
    ("password", "found"),
    [
        ("kısa", Strength.SHORT),
        ("parola123456", Strength.GUESSABLE),
        ("aaaaaaaaaaaaaaaa", Strength.GUESSABLE),
        ("irem-irem-irem", Strength.GUESSABLE),
        ("mavi kuş 7 kez", Strength.ENOUGH),
        ("dört küçük mavi kuş", Strength.GOOD),
        ("dört küçük mavi kuş uçtu", Strength.STRONG),
        ("dört kuş " * 14, Strength.STRONG),
        ("x1y2z3" * 22, Strength.LONG),
    ],
)
def test_the_meter_says_what_the_hospital_would(records, password, found):
    assert strength(password, ("irem",)) is found
    actor = made_user(records, Role.ENGINEER, name="irem")
    if found.level >= 2:
        assert len(password) <= LONGEST == 128
        with records.write(SYSTEM) as tx:
            users.set_password(tx, id_of(actor), password)
    else:
        with records.write(SYSTEM) as tx, pytest.raises(InputError):
            users.set_password(tx, id_of(actor), password)


def test_a_restore_that_is_killed_after_its_rows_leaves_nothing_open(tmp_path, records, monkeypatch):
    actor = made_user(records, Role.ENGINEER)
    _, secret = opened(records, actor)
    case_id = made_case(records, made_user(records, Role.RECEPTION))
    with records.write(SYSTEM) as tx:
        patient_id = tx.session.get_one(Case, case_id).patient_id
        invites.invite(tx, id_of(actor))
    terms = RetentionTerms(report_years=20, closed_days=30)
    retention.apply_retention(records, terms)
    make_backup(records, tmp_path / "backup")
    erase(records, patient_id, ErasureReason.REQUEST, years=20)
    back = empty_like(records, tmp_path / "empty")
    erasure_log.merge_log(back.folder, erasure_log.read_log(records.folder))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AnchorFile, "add_restored", killed)  # the first step after the rows
    with pytest.raises(KeyboardInterrupt):
        restore_backup(back, tmp_path / "backup")
    back.close()

    back = made_records(tmp_path / "empty")
    with pytest.raises(NotSignedIn, match="waits"):
        tokens.authenticate_token(back, secret, Peer())
    with back.read() as tx:
        assert repair.count_suspended(tx) == repair.SuspendedKeys(1, 1)
        assert tx.session.scalars(select(Invite)).all() == []
    assert retention.is_due(back)  # whatever the backup says of the last time
    assert retention.apply_retention(back, terms).erased_again == 1
    with back.read() as tx:
        assert tx.session.get_one(Patient, patient_id).key is None
    back.close()
