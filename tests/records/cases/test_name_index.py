"""Names are found as ever, and a copy of the database tells none of them by how often it comes."""

from __future__ import annotations

import math
import random
import tomllib
from collections import Counter
from functools import cache
from importlib import resources

import pytest
from sqlalchemy import select

from tests.records.kit import made_records, made_user
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.schema import Patient, PatientIndex
from tetkik.turkish import fold
from tetkik.values import Role

pytestmark = pytest.mark.both_databases

_PATIENTS = 400


def names(kind, offset):
    """Names of the lists of `privacy`, and how often each comes: Zipf's law with an offset, as in Türkiye."""
    lists = tomllib.loads(resources.files("tetkik.privacy").joinpath("names.toml").read_text("utf-8"))
    every = sorted(word for word in lists[kind].split() if len(word) > 2)
    random.Random(1).shuffle(every)
    return every, [1 / (rank + offset) for rank in range(1, len(every) + 1)]


FIRST = names("given", 10)
LAST = names("family", 30)


def made_names(count):
    chance = random.Random(3)
    first, last = (chance.choices(*kind, k=count) for kind in (FIRST, LAST))
    return [f"{one} {other}" for one, other in zip(first, last, strict=True)]


def beginnings(name):
    """What version 0008 stored a digest of."""
    return {word[:end] for word in fold(name).split() for end in range(3, len(word) + 1)}


def guessed(tokens):
    """The names that an attacker gives patients, who knows how often each name comes and has stored tokens.

    Of a word there are its beginnings: whoever has the longer one has the shorter ones too, and so the counts
    of a word and its beginnings are found without any key. They are compared with those that each name would
    have. Whoever has no such tokens gets the most frequent name.
    """
    total = len(tokens)
    expected: Counter[str] = Counter()
    for every, weights in (FIRST, LAST):
        for name, weight in zip(every, weights, strict=True):
            for beginning in beginnings(name):
                expected[beginning] += total * weight / sum(weights)
    counts = Counter(token for own in tokens.values() for token in own)
    shorter: dict[object, set[object]] = {}  # of each token those that everybody has who has it
    for own in tokens.values():
        for token in own:
            shorter[token] = shorter[token] & own if token in shorter else own
    of_names = [
        {name: [math.log(expected[part]) for part in sorted(beginnings(name), key=len)] for name in every}
        for every, _ in (FIRST, LAST)
    ]

    @cache
    def best(token):
        """For first and last names: how far the counts are from the nearest name's, and that name."""
        own = sorted((math.log(counts[one]) for one in shorter[token]), reverse=True)
        return [
            min(
                (
                    (sum(abs(one - other) for one, other in zip(own, theirs, strict=True)), name)
                    for name, theirs in names.items()
                    if len(theirs) == len(own)
                ),
                default=(math.inf, ""),
            )
            for names in of_names
        ]

    found = {}
    for patient, own in tokens.items():
        known = {token for token in own if counts[token] > 1}
        longest = max(known, key=lambda token: len(shorter[token]), default=None)
        rest = known - shorter.get(longest, set())
        other = max(rest, key=lambda token: len(shorter[token]), default=None)
        guesses = [(0, f"{FIRST[0][0]} {LAST[0][0]}")]
        if longest is not None and other is not None:
            guesses = [
                (best(one)[0][0] + best(two)[1][0], f"{best(one)[0][1]} {best(two)[1][1]}")
                for one, two in ((longest, other), (other, longest))
            ]
        found[patient] = min(guesses)[1]
    return found


def share_recovered(tokens, truth):
    found = guessed(tokens)
    return sum(found[patient] == name for patient, name in truth.items()) / len(truth)


@pytest.mark.attack
def test_the_attack_has_teeth_against_digests_of_beginnings():
    truth = dict(enumerate(made_names(20_000)))
    assert share_recovered({patient: beginnings(name) for patient, name in truth.items()}, truth) > 0.2


@pytest.mark.attack
def test_the_database_tells_fewer_than_two_names_in_a_hundred(tmp_path):
    records = made_records(tmp_path)
    truth = {}
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        for number, name in enumerate(made_names(_PATIENTS)):
            truth[patients.create(tx, Person(name, "", f"H-{number}"))] = name
        tokens: dict[str, set[object]] = {patient_id: set() for patient_id in truth}
        for row in tx.session.scalars(select(PatientIndex)):
            tokens[row.patient_id].add((row.kind, row.digest))
        lengths = {len(sealed or b"") for sealed in tx.session.scalars(select(Patient.identity))}
    records.close()
    assert len(lengths) == 1  # the length of what is sealed tells nothing either
    assert share_recovered(tokens, truth) < 0.02


@pytest.fixture
def two(both_records):
    """Two processes of one hospital."""
    url = both_records.engine.url.render_as_string(hide_password=False)
    other = made_records(both_records.folder, url)
    yield both_records, other
    other.close()


def found(records, words):
    with records.read() as tx:
        return patients.find(tx, words)


def test_what_one_process_writes_the_other_finds(two):
    one, other = two
    desk = made_user(one, Role.RECEPTION)
    assert found(other, "gülçin") == ()
    with one.write(desk) as tx:
        patient_id = patients.create(tx, Person("Gülçin ŞAHİN"))
    for records in two:
        for words in ("gul", "GÜLÇİN", "sahin gülç", "şah"):
            assert found(records, words) == (patient_id,)
    with other.write(desk) as tx:
        patients.change(tx, patient_id, Person("Elif Su AY"))
    for records in two:
        assert found(records, "gülçin") == ()
        assert found(records, "elif su ay") == (patient_id,)
        assert found(records, "el") == () and found(records, "a") == ()
    erase(one, patient_id, ErasureReason.REQUEST, years=20)
    assert [found(records, "elif") for records in two] == [(), ()]


def test_a_name_that_was_taken_back_is_not_found(both_records):
    desk = made_user(both_records, Role.RECEPTION)
    with both_records.write(desk) as tx:
        patient_id = patients.create(tx, Person("Gülçin ŞAHİN"))
    with pytest.raises(ZeroDivisionError), both_records.write(desk) as tx:
        patients.change(tx, patient_id, Person("Ömer IŞIK"))
        patients.find(tx, "gülçin")
        raise ZeroDivisionError
    assert found(both_records, "ömer") == ()
    assert found(both_records, "gülçin") == (patient_id,)


@pytest.mark.attack
def test_one_patient_who_is_renamed_again_and_again_hides_nobody(both_records, monkeypatch):
    monkeypatch.setattr("tetkik.records.name_index.MOST_FOUND", 4)
    actor = made_user(both_records, Role.RECEPTION)
    with both_records.write(actor) as tx:
        ids = {patients.create(tx, Person(f"Mehmet {name}")) for name in ("KAYA", "AYDIN", "TUNA")}
    assert set(found(both_records, "mehmet")) == ids
    one = min(ids)
    for number in range(6):
        with both_records.write(actor) as tx:
            patients.change(tx, one, Person(f"Mehmet {'AB'[number % 2]}KAYA"))
        assert set(found(both_records, "mehmet")) == ids


def test_of_many_the_latest_are_found(both_records, monkeypatch):
    monkeypatch.setattr("tetkik.records.name_index.MOST_FOUND", 3)
    monkeypatch.setattr("tetkik.records.name_index._BATCH", 2)
    with both_records.write(made_user(both_records, Role.RECEPTION)) as tx:
        ids = [
            patients.create(tx, Person(f"Ayşe {name}")) for name in ("KAYA", "AYDIN", "KAYA", "DEMİR", "TUNA")
        ]
    assert found(both_records, "ayse") == tuple(sorted(ids[2:]))
    assert found(both_records, "kaya ayş") == (ids[0], ids[2])
