"""Whoever writes into the database, and has no key, becomes nobody."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update

from tests.records.kit import id_of, made_records, made_user
from tetkik.errors import Conflict, Forbidden
from tetkik.records import row_authentication
from tetkik.records.database import Records
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.lifecycle.key_rotation import rotate_master_key
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.people import invites, passkeys, passwords, repair, sessions, tokens, users
from tetkik.records.people.access import load_access_states
from tetkik.records.people.sign_in import sign_in_by_password
from tetkik.records.people.users import Peer, digest_of
from tetkik.records.row_authentication import is_put_back, last_codes
from tetkik.records.schema import ApiToken, BrowserSession, Invite, Passkey, User
from tetkik.records.trail.verify import verify
from tetkik.values import Method, Permission, Role

pytestmark = [pytest.mark.both_databases, pytest.mark.attack]

PASSWORD = "dört kelimelik uzun parola"


@pytest.fixture
def owner(both_records):
    """Somebody with a password, a passkey, a token and an open session."""
    actor = made_user(both_records, Role.RADIOLOGIST)
    with both_records.write(actor) as tx:
        users.set_password(tx, id_of(actor), PASSWORD)
        passkeys.add(tx, "anahtar", b"credential", b"public", 0)
    return actor


def token_of(records, actor):
    with records.write(actor) as tx:
        return tokens.create(tx, "program", [Permission.CASE_SEARCH], timedelta(days=1))[0]


def cookie_of(records, actor):
    with records.write(actor) as tx:
        return sessions.begin_session(tx, id_of(actor), Method.PASSWORD)


def resumed(records, cookie):
    return sessions.resume_session(records, cookie, address=None, request_id=None)


def signed_in(records, actor, password=PASSWORD):
    with records.read() as tx:
        login = tx.session.scalar(select(User.login).where(User.id == actor.user_id))
    return sign_in_by_password(records, login, password, Peer())


def tamper(records, *statements):
    with records.engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        {"password_hash": passwords.hashed("another password entirely")},
        {"roles": "administrator"},
        {"departments": ""},
        {"registration": "666"},
        {"mac": None},
        {"oidc_issuer": "https://elsewhere", "oidc_subject": "me"},
    ],
    ids=" ".join,
)
def test_an_altered_account_opens_nothing(both_records, owner, change):
    cookie, token = cookie_of(both_records, owner), token_of(both_records, owner)
    assert resumed(both_records, cookie).actor.user_id == owner.user_id
    tamper(both_records, update(User).values(**change))
    for password in (PASSWORD, "another password entirely"):
        with pytest.raises(Forbidden, match="tetkik users repair"):
            signed_in(both_records, owner, password)
    with pytest.raises(Forbidden):
        resumed(both_records, cookie)
    with pytest.raises(Forbidden):
        tokens.authenticate_token(both_records, token, Peer())
    with pytest.raises(Forbidden), both_records.write(owner) as tx:
        users.unlock(tx, id_of(owner))  # nothing that is written afterwards makes it good
    with both_records.read() as tx:
        (member,) = users.list_users(tx)
        assert member.altered
        assert len(verify_stored(tx).faults) == 1


def test_what_opens_an_account_cannot_be_put_there_or_widened(both_records, owner):
    token = token_of(both_records, owner)
    with both_records.write(owner) as tx:
        link = invites.invite(tx, id_of(owner))
    other = made_user(both_records, Role.ADMINISTRATOR)
    cookie = cookie_of(both_records, owner)
    with both_records.read() as tx:
        row = dict(tx.session.execute(select(BrowserSession.__table__)).mappings().one())
    tamper(
        both_records,
        # A copy of a session with a cookie of one's own, and as somebody else.
        insert(BrowserSession).values(**row | {"id": digest_of("mine")}),
        update(ApiToken).values(scopes="users"),
        update(Invite).values(user_id=other.user_id),
        update(Passkey).values(public_key=b"mine"),
    )
    with pytest.raises(Forbidden):
        resumed(both_records, "mine")
    tamper(both_records, update(BrowserSession).values(user_id=other.user_id))
    with pytest.raises(Forbidden):
        resumed(both_records, cookie)
    with pytest.raises(Forbidden):
        tokens.authenticate_token(both_records, token, Peer())
    with both_records.write(owner) as tx:
        for attempt in (
            lambda: passkeys.find(tx, b"credential"),
            lambda: invites.load_invitation(tx, link),
        ):
            with pytest.raises(Forbidden):
                attempt()
    with both_records.write(owner) as tx:
        assert len(verify_stored(tx).faults) == 5
        assert repair.remove_altered_keys(tx) == 5
        assert verify_stored(tx).faults == ()


def test_an_ended_token_does_not_come_back(both_records, owner):
    token = token_of(both_records, owner)
    with both_records.write(owner) as tx:
        tokens.revoke(tx, tokens.list_tokens(tx)[0].id)
    tamper(both_records, update(ApiToken).values(revoked_at=None))
    with pytest.raises(Forbidden):
        tokens.authenticate_token(both_records, token, Peer())


def test_what_tetkik_itself_changes_goes_on(both_records, owner):
    cookie, token = cookie_of(both_records, owner), token_of(both_records, owner)
    actor = resumed(both_records, cookie).actor
    with both_records.write(actor) as tx:
        sessions.lock(tx)
        sessions.unlock(tx, Method.PASSWORD)
        renewed = sessions.renew(tx)
        passkey = passkeys.find(tx, b"credential")
        assert passkey is not None
        passkeys.used(tx, passkey.id, 7)
        users.save_preferences(tx, theme="dark")
    assert resumed(both_records, renewed).theme == "dark"
    rotate_master_key(both_records)
    tokens.authenticate_token(both_records, token, Peer())
    assert signed_in(both_records, owner).user_id == owner.user_id
    with both_records.read() as tx:
        stored = verify_stored(tx)
        assert stored.faults == () and stored.accounts == 4


def test_two_who_change_an_account_at_once_leave_one_that_opens(postgres, tmp_path):
    records = made_records(tmp_path, postgres.fresh())  # on SQLite one writes after the other
    actor = made_user(records, Role.RADIOLOGIST)
    with records.write(actor) as tx:
        users.set_password(tx, id_of(actor), PASSWORD)
    with pytest.raises(Conflict), records.write(actor) as one:
        users.user_row(one, id_of(actor)).title = "Prof."
        with records.write(actor) as other:
            users.require_password_change(other, id_of(actor))
    assert signed_in(records, actor).user_id == actor.user_id
    records.close()


def test_a_repaired_account_keeps_nothing_that_opened_it(both_records, owner):
    token = token_of(both_records, owner)
    tamper(both_records, update(User).values(roles="administrator,nonsense"))
    with both_records.write(owner) as tx:
        login = tx.session.scalar(select(User.login))
        repair.repair_account(tx, login, [Role.RADIOLOGIST])
        link = invites.invite(tx, id_of(owner))
    with pytest.raises(Exception, match="unknown or over"):
        tokens.authenticate_token(both_records, token, Peer())
    with both_records.write(owner) as tx:
        invites.accept_invitation(tx, link, "yepyeni ve uzun bir parola")
    actor = signed_in(both_records, owner, "yepyeni ve uzun bir parola")
    assert actor.roles == {Role.RADIOLOGIST}
    with both_records.read() as tx:
        assert verify_stored(tx).faults == ()


def test_a_backup_brings_back_what_held_and_nothing_else(both_records, owner, make_url, tmp_path):
    token_of(both_records, owner)
    other = made_user(both_records, Role.ADMINISTRATOR)
    tamper(both_records, update(User).where(User.id == other.user_id).values(name="Altered"))
    make_backup(both_records, tmp_path / "backup")
    folder = tmp_path / "empty"
    (folder / "keys").mkdir(parents=True)
    shutil.copy(tmp_path / "keys" / "master.key", folder / "keys" / "master.key")
    back = Records(make_url(), folder)
    restore_backup(back, tmp_path / "backup")
    assert signed_in(back, owner).user_id == owner.user_id
    with back.write(owner) as tx:
        assert repair.count_suspended(tx).tokens == 1
        assert repair.confirm_keys(tx, id_of(owner)).passkeys == 1
        assert len(verify_stored(tx).faults) == 1
    back.close()


def whole_row(records, table):
    with records.read() as tx:
        return dict(tx.session.execute(select(table.__table__)).mappings().one())


def put_back(records, table, row):
    (key,) = table.__table__.primary_key
    with records.engine.begin() as connection:
        connection.execute(delete(table).where(key == row[key.name]))
        connection.execute(insert(table).values(**row))


def test_a_row_that_is_put_back_whole_opens_nothing_and_is_found(both_records, owner):
    """Its code is right: it is what the row once said. The audit trail says that it was changed since."""
    records, user_id = both_records, id_of(owner)
    token = token_of(records, owner)
    with records.write(owner) as tx:
        link = invites.invite(tx, user_id)
    before = {table: whole_row(records, table) for table in (ApiToken, Invite, Passkey)}
    account = whole_row(records, User)
    with records.write(owner) as tx:
        tokens.revoke(tx, before[ApiToken]["id"])
        passkeys.remove(tx, before[Passkey]["id"])
        users.set_password(tx, user_id, "another password entirely")  # voids the link
    with records.read() as tx:
        assert verify_stored(tx).faults == ()
    for table, row in before.items():
        put_back(records, table, row)
    with pytest.raises(Forbidden, match="tetkik users repair"):
        tokens.authenticate_token(records, token, Peer())
    with records.write(owner) as tx:
        for attempt in (
            lambda: passkeys.find(tx, b"credential"),
            lambda: invites.load_invitation(tx, link),
        ):
            with pytest.raises(Forbidden):
                attempt()
    signed_in(records, owner, "another password entirely")
    tamper(records, update(User).values(**account))
    for password in (PASSWORD, "another password entirely"):
        with pytest.raises(Forbidden):
            signed_in(records, owner, password)
    with pytest.raises(Forbidden), records.write(owner) as tx:
        users.require_password_change(tx, user_id)  # what is written afterwards makes it no newer
    with records.write(owner) as tx:
        assert len(verify_stored(tx).faults) == 4 and verify(tx).whole
        repair.repair_account(tx, account["login"], {Role.RADIOLOGIST})
        assert verify_stored(tx).faults == ()
    with records.read() as tx:
        assert verify_stored(tx).faults == ()
    put_back(records, ApiToken, before[ApiToken])  # once more, after it was removed
    with pytest.raises(Forbidden):
        tokens.authenticate_token(records, token, Peer())


def test_every_act_upon_what_opens_an_account_leaves_its_codes_in_the_trail(both_records, owner):
    records, user_id = both_records, id_of(owner)
    token = token_of(records, owner)
    with records.write(owner) as tx:
        tokens.create(tx, "second", [Permission.CASE_SEARCH], timedelta(days=1))
        users.save_preferences(tx, theme="dark")
        invites.invite(tx, user_id)
        invites.invite(tx, user_id)
        users.reset_access(tx, user_id, keys=False)
        users.disable(tx, user_id)
    with records.write(owner) as tx:
        users.enable(tx, user_id)
        users.set_password(tx, user_id, PASSWORD)
    signed_in(records, owner)
    assert tokens.authenticate_token(records, token, Peer()).token_id
    with records.read() as tx:
        rows = {table.__tablename__: tx.count(table) for table in (User, ApiToken, Passkey)}
        known = Counter(name.split()[0] for name, code in last_codes(tx.session.connection()).items() if code)
        assert known == rows and verify_stored(tx).faults == () and verify(tx).whole


def test_an_account_that_is_put_back_goes_on_in_no_open_session(both_records, owner):
    records, user_id = both_records, id_of(owner)
    more = whole_row(records, User)
    with records.write(owner) as tx:
        member = users.load_user(tx, user_id)
        users.change(tx, user_id, replace(member.profile, roles=frozenset({Role.RECEPTION})))
    cookie, token = cookie_of(records, owner), token_of(records, owner)
    actors = [resumed(records, cookie).actor, tokens.authenticate_token(records, token, Peer())]
    with records.read() as tx:
        assert len(load_access_states(tx, actors)) == 2
    tamper(records, update(User).values(**more))
    with pytest.raises(Forbidden, match="tetkik users repair"):
        resumed(records, cookie)
    with records.read() as tx:
        assert load_access_states(tx, actors) == {}
        (shown,) = users.list_users(tx)
        assert shown.altered and not shown.profile.roles


def test_what_was_put_back_stops_neither_a_restore_nor_the_end_of_all_keys(
    both_records, owner, make_url, tmp_path
):
    token_of(both_records, owner)
    before = {table: whole_row(both_records, table) for table in (ApiToken, Passkey)}
    with both_records.write(owner) as tx:
        users.reset_access(tx, id_of(owner))
    token_of(both_records, owner)
    for table, row in before.items():
        put_back(both_records, table, row)
    make_backup(both_records, tmp_path / "backup")
    folder = tmp_path / "empty"
    (folder / "keys").mkdir(parents=True)
    shutil.copy(tmp_path / "keys" / "master.key", folder / "keys" / "master.key")
    back = Records(make_url(), folder)
    restore_backup(back, tmp_path / "backup")
    with back.write(owner) as tx:
        assert len(verify_stored(tx).faults) == 2
        suspended = repair.confirm_keys(tx, id_of(owner))
        assert (suspended.passkeys, suspended.tokens) == (0, 1)
    with back.write(owner) as tx:
        users.reset_access(tx, id_of(owner))
    with back.read() as tx:
        assert verify_stored(tx).faults == () and tx.count(ApiToken) == 1
    back.close()


def test_of_the_trail_only_what_is_new_is_read(both_records, owner, monkeypatch):
    records, token = both_records, token_of(both_records, owner)
    read = []

    def counted(connection, after=0):
        read.append(found := last_codes(connection, after))
        return found

    monkeypatch.setattr(row_authentication, "last_codes", counted)
    elsewhere = Records(records.engine.url.render_as_string(hide_password=False), records.folder)
    for one in (elsewhere, records):
        tokens.authenticate_token(one, token, Peer())
    read.clear()
    for _ in range(3):
        tokens.authenticate_token(elsewhere, token, Peer())
    assert read == []
    row = whole_row(records, ApiToken)
    with records.write(owner) as tx:
        tokens.revoke(tx, row["id"])  # by another process
    put_back(records, ApiToken, row)
    with pytest.raises(Forbidden):
        tokens.authenticate_token(elsewhere, token, Peer())
    assert [len(codes) for codes in read] == [1]
    elsewhere.close()


def test_a_row_that_is_changed_after_it_was_read_was_not_put_back(both_records, owner):
    with both_records.read(still=True) as tx:
        assert not is_put_back(tx.session, user := users.user_row(tx, id_of(owner)))
        with both_records.write(owner) as other:
            users.require_password_change(other, id_of(owner))
        with both_records.read() as other:
            assert not is_put_back(other.session, users.user_row(other, id_of(owner)))
        assert not is_put_back(tx.session, user)
