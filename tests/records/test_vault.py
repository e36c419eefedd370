"""What was sealed tells its cipher; the ring hangs on the master key; a patient's key on the ring."""

from __future__ import annotations

import secrets

import pytest

from tests.records.kit import made_records, made_user
from tetkik.choices import Cipher
from tetkik.errors import RecordsError
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.schema import Patient
from tetkik.records.vault import KEY_BYTES, PURPOSES, Key, KeyRing
from tetkik.values import Role

MASTER, OTHER = bytes(range(32)), bytes(32)


@pytest.mark.parametrize("later", Cipher)
@pytest.mark.parametrize("first", Cipher)
def test_what_one_cipher_sealed_opens_while_the_other_seals(first, later):
    secret = secrets.token_bytes(KEY_BYTES)
    sealed = Key(secret, first).seal(b"words", "table.column:1")
    now = Key(secret, later)
    assert now.open(sealed, "table.column:1") == b"words"
    assert (now.seal(b"words", "table.column:1")[0] == sealed[0]) is (first is later)


def test_each_cipher_has_a_number_of_its_own():
    numbers = [Key(MASTER, cipher).seal(b"", "a")[0] for cipher in Cipher]
    assert numbers == [1, 2]


@pytest.mark.parametrize("at", [0, 1, 13, -1])
def test_nothing_of_a_sealed_value_can_be_altered(at):
    key = Key(MASTER, Cipher.AES_256_GCM)
    sealed = bytearray(key.seal(b"words", "table.column:1"))
    sealed[at] ^= 3  # at the first place: from one cipher's number to the other's
    with pytest.raises(RecordsError, match=r"table\.column"):
        key.open(bytes(sealed), "table.column:1")


@pytest.mark.parametrize("length", [0, 1, 12, 20])
def test_what_is_cut_short_is_refused(length):
    key = Key(MASTER, Cipher.AES_256_GCM)
    with pytest.raises(RecordsError):
        key.open(key.seal(b"words", "a")[:length], "a")


def test_a_hospital_goes_on_under_another_cipher(both_records):
    url = both_records.engine.url.render_as_string(hide_password=False)
    with both_records.write(made_user(both_records, Role.RECEPTION)) as tx:
        before = patients.create(tx, Person("Gülçin ŞAHİN"))
    changed = Records(url, both_records.folder, cipher=Cipher.CHACHA20_POLY1305)
    with changed.write(made_user(changed, Role.RECEPTION)) as tx:
        after = patients.create(tx, Person("Ömer IŞIK"))
        assert patients.load_person(tx, before).name == "Gülçin ŞAHİN"
        assert [(tx.session.get_one(Patient, one).identity or b"")[0] for one in (before, after)] == [1, 2]
    changed.close()
    with both_records.read() as tx:
        assert patients.load_person(tx, after).name == "Ömer IŞIK"


def test_the_ring_opens_under_its_master_key_alone():
    ring = KeyRing.fresh()
    wrapped = ring.wrapped(MASTER, Cipher.AES_256_GCM)
    assert KeyRing.opened(1, wrapped, MASTER) == ring
    for broken in (
        {**wrapped, "audit": wrapped["index"]},
        {k: v for k, v in wrapped.items() if k != "house"},
    ):
        with pytest.raises(RecordsError, match="keyring"):
            KeyRing.opened(1, broken, MASTER)
    with pytest.raises(RecordsError, match="keyring"):
        KeyRing.opened(1, wrapped, OTHER)
    with pytest.raises(RecordsError, match="keyring"):
        KeyRing.opened(2, wrapped, MASTER)


def test_the_next_ring_wraps_under_another_key_and_keeps_the_rest():
    ring = KeyRing.fresh()
    following = ring.next()
    changed = {purpose for purpose in PURPOSES if ring.keys[purpose] != following.keys[purpose]}
    assert (changed, following.version) == ({"wrap"}, ring.version + 1)
    assert len({*ring.keys.values(), following.keys["wrap"]}) == len(PURPOSES) + 1


def test_nothing_shows_a_key():
    ring = KeyRing.fresh()
    assert all(repr(key) not in repr(ring) and key.hex() not in repr(ring) for key in ring.keys.values())


def test_the_database_has_no_key_in_the_clear(tmp_path):
    records = made_records(tmp_path)
    keys = dict(records.vault.held.ring.keys)
    records.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("tetkik.db*"))
    assert all(key not in stored and key.hex().encode() not in stored for key in keys.values())


@pytest.mark.both_databases
def test_a_database_that_lost_its_ring_is_not_taken_for_a_new_one(both_records):
    with both_records.write(made_user(both_records, Role.RECEPTION)) as tx:
        patients.create(tx, Person("Ali"))
    with both_records.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM keyring")
    with pytest.raises(RecordsError, match="keyring"):
        Records(both_records.engine.url.render_as_string(hide_password=False), both_records.folder)
