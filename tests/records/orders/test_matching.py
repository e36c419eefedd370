"""Verdicts of studies against orders: what agrees, what contradicts, and that nobody else is meant."""

from __future__ import annotations

import importlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records.kit import made_case, made_records
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.orders.matching import StudyFacts, Verdict, match_study
from tetkik.records.orders.orders import OrderContent, cancel_order, link_case, place_order
from tetkik.records.schema import PatientLink
from tetkik.values import SYSTEM, Identity, LinkReason, Sex
from tetkik.values.radiograph import Trait

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
AYSE = Person("Ayşe Nur ÇAĞLAYAN", "10000000146", "H-1", "19800314", Sex.FEMALE)
FACTS = StudyFacts(
    Identity("10000000146", "CAGLAYAN^AYSE NUR", "19800314", Sex.FEMALE, accession="A-1"),
    modality="DX",
    at=AT,
)
CONTENT = OrderContent(accession="A-1", modality="CR", scheduled_at=AT)


def ordered(records, person=AYSE, content=CONTENT, source="hbys"):
    with records.write(SYSTEM) as tx:
        patient_id = patients.create(tx, person)
        return patient_id, place_order(tx, patient_id, content, source)


def verdict(records, facts=FACTS, **identity):
    with records.read() as tx:
        return match_study(tx, replace(facts, identity=replace(facts.identity, **identity)))


def traits(found):
    return {one.trait for one in found.reasons}


def test_a_study_that_says_the_same_is_matched(records):
    patient_id, order_id = ordered(records)
    found = verdict(records)
    assert (found.kind, found.order_id, found.patient_id) == (Verdict.MATCHED, order_id, patient_id)
    assert found.reasons == ()


@pytest.mark.parametrize(
    ("said", "slips"),
    [
        ({"patient_name": "ÇAĞLAYAN^AYŞE"}, set()),
        ({"patient_name": "AYSE NUR^CAGLAYAN"}, set()),
        ({"patient_name": "Caglayan Ayse Nur"}, set()),
        ({"patient_name": "YILDIZ^AYŞE NUR"}, {Trait.NAME}),
        ({"patient_name": None}, set()),
        ({"patient_id": "h-1"}, set()),
        ({"patient_id": None}, set()),
        ({"patient_id": "10000000145"}, {Trait.TCKN}),
        ({"patient_id": "1000000146"}, {Trait.TCKN}),
        ({"patient_id": "10000001046"}, {Trait.TCKN}),
        ({"accession": None}, set()),
        ({"birth_date": None}, set()),
        ({"sex": None}, set()),
        ({"sex": Sex.OTHER}, set()),
    ],
)
def test_what_is_written_otherwise_is_matched(records, said, slips):
    _, order_id = ordered(records)
    found = verdict(records, **said)
    assert (found.kind, found.order_id, traits(found)) == (Verdict.MATCHED, order_id, slips)


@pytest.mark.parametrize(
    ("said", "differing"),
    [
        ({"patient_name": "CAGLAYAN^FATMA"}, {Trait.NAME}),
        ({"patient_id": "10000000078"}, {Trait.TCKN}),
        ({"patient_id": "20000000145"}, {Trait.TCKN}),
        ({"patient_id": "H-2"}, {Trait.NUMBER}),
        ({"birth_date": "19800413"}, {Trait.BIRTH_DATE}),
        ({"sex": Sex.MALE}, {Trait.SEX}),
        ({"accession": "A-2"}, {Trait.ACCESSION}),
        ({"patient_id": "10000000145", "birth_date": None}, {Trait.TCKN}),
        ({"patient_name": "YILDIZ^AYŞE", "patient_id": "10000000145"}, {Trait.NAME, Trait.TCKN}),
        ({"patient_name": "YILDIZ^AYŞE", "birth_date": None}, {Trait.NAME}),
        ({"patient_id": None, "birth_date": None}, set()),
        ({"patient_id": None, "patient_name": None}, set()),
    ],
)
def test_a_contradiction_or_too_little_is_doubtful(records, said, differing):
    _, order_id = ordered(records)
    found = verdict(records, **said)
    assert (found.kind, found.order_id, traits(found)) == (Verdict.DOUBTFUL, order_id, differing)


@pytest.mark.parametrize(
    ("facts", "differing"),
    [
        ({"modality": "CT"}, {Trait.MODALITY}),
        ({"at": AT - timedelta(days=3)}, {Trait.TIME}),
        ({"at": AT + timedelta(days=40)}, {Trait.TIME}),
    ],
)
def test_another_modality_or_time_is_doubtful(records, facts, differing):
    ordered(records)
    found = verdict(records, replace(FACTS, **facts))
    assert (found.kind, traits(found)) == (Verdict.DOUBTFUL, differing)


@pytest.mark.parametrize(
    ("asked", "made", "kind"),
    [
        ("CHEST", "TORAKS", Verdict.MATCHED),
        ("BRAIN", "HEAD", Verdict.MATCHED),
        ("CHEST", "HAND", Verdict.DOUBTFUL),
        ("RIGHT KNEE", "SOL DİZ", Verdict.DOUBTFUL),
        ("CHEST", "KNEE LEFT", Verdict.DOUBTFUL),
        ("CHEST", "PORTABLE", Verdict.MATCHED),
    ],
)
def test_another_region_or_side_of_the_body_is_doubtful(records, asked, made, kind):
    ordered(records, content=replace(CONTENT, body_part=asked))
    assert verdict(records, replace(FACTS, body_part=made)).kind is kind


def test_of_two_orders_of_a_day_the_part_of_the_body_tells(records):
    patient_id, _ = ordered(records, content=replace(CONTENT, accession="A-2", body_part="CHEST"))
    with records.write(SYSTEM) as tx:
        ankle = place_order(tx, patient_id, replace(CONTENT, accession="A-3", body_part="ANKLE"), "hbys")
    made = verdict(records, replace(FACTS, body_part="ANKLE"), accession=None)
    assert (made.kind, made.order_id) == (Verdict.MATCHED, ankle)
    assert verdict(records, accession=None).kind is Verdict.DOUBTFUL


@pytest.mark.parametrize(("asked", "made"), [("A-10", "a10"), ("4512", "0004512"), ("RAD-26-45", "RAD2645")])
def test_an_accession_number_may_lack_dashes_and_zeros(records, asked, made):
    ordered(records, content=replace(CONTENT, accession=asked))
    assert verdict(records, accession=made).kind is Verdict.MATCHED


@pytest.mark.parametrize(("asked", "made"), [("BT", "CT"), ("MRG", "MR"), ("USG", "US")])
def test_a_modality_may_be_ordered_by_its_turkish_letters(records, asked, made):
    ordered(records, content=replace(CONTENT, modality=asked))
    assert verdict(records, replace(FACTS, modality=made)).kind is Verdict.MATCHED


def test_the_number_of_a_completed_order_that_comes_days_later_is_doubtful(records):
    _, order_id = ordered(records)
    case_id = made_case(records, SYSTEM, Person("Başka Biri"))
    with records.write(SYSTEM) as tx:
        link_case(tx, order_id, case_id)
    assert verdict(records).kind is Verdict.MATCHED
    assert verdict(records, replace(FACTS, at=AT + timedelta(days=7))).kind is Verdict.DOUBTFUL


def test_another_surname_of_a_man_is_a_contradiction(records):
    ordered(records, replace(AYSE, sex=None, name="Deniz ÇAĞLAYAN"))
    assert verdict(records, patient_name="YILDIZ^DENIZ", sex=Sex.MALE).kind is Verdict.DOUBTFUL
    assert verdict(records, patient_name="YILDIZ^DENIZ").kind is Verdict.MATCHED


def test_twins_are_told_apart_by_their_numbers_alone(records):
    short = replace(AYSE, name="Ayşe ÇAĞLAYAN", tckn="10000000078", number="H-2")
    ordered(records)
    _, second = ordered(records, short, replace(CONTENT, accession="A-2"))
    assert verdict(records, accession="A-2", patient_id="10000000078").order_id == second
    for said in (
        {"accession": "A-2", "patient_id": None, "patient_name": "CAGLAYAN^AYSE"},
        {"accession": "A-2"},
        {"accession": None, "patient_id": None},
    ):
        assert verdict(records, **said).kind is Verdict.DOUBTFUL
    assert verdict(records, accession="A-2", patient_id="10000000079").order_id == second


def test_a_number_of_another_issuer_is_another_number(records):
    _, order_id = ordered(records, Person("Ali KAYA", "", "77", "19700101", issuer="DEVLET"))
    facts = StudyFacts(
        Identity("77", "KAYA^ALI", "19700101"), issuer="OZEL", modality="DX", accession_issuer="OZEL", at=AT
    )
    assert verdict(records, facts).kind is Verdict.DOUBTFUL
    assert verdict(records, replace(facts, issuer="Devlet")).order_id == order_id
    assert verdict(records, replace(facts, issuer="")).kind is Verdict.MATCHED
    ordered(records, Person("Ali KAYA", "", "77", "19700101", issuer="OZEL"), replace(CONTENT, accession=""))
    assert verdict(records, replace(facts, issuer="")).kind is Verdict.DOUBTFUL
    assert verdict(records, replace(facts, issuer="DEVLET")).order_id == order_id


def test_an_accession_number_of_another_issuer_contradicts(records):
    ordered(records, content=replace(CONTENT, issuer="DEVLET"))
    assert verdict(records, replace(FACTS, accession_issuer="OZEL")).kind is Verdict.DOUBTFUL
    assert verdict(records, replace(FACTS, accession_issuer="Devlet")).kind is Verdict.MATCHED


def test_an_accession_number_that_was_used_before_leads_to_the_right_order(records):
    ordered(records, replace(AYSE, name="Can ÖZ", tckn="", number="H-9"), replace(CONTENT))
    _, order_id = ordered(records)
    with records.write(SYSTEM) as tx:
        (patient_id,) = patients.find_by_number(tx, Person(tckn=AYSE.tckn))
        place_order(tx, patient_id, replace(CONTENT, scheduled_at=AT - timedelta(days=800)), "hbys")
    assert verdict(records).order_id == order_id
    assert verdict(records, patient_id=None, patient_name="", birth_date=None).kind is Verdict.DOUBTFUL


def test_of_two_orders_that_fit_neither_is_chosen(records):
    patient_id, order_id = ordered(records)
    with records.write(SYSTEM) as tx:
        second = place_order(tx, patient_id, replace(CONTENT, accession="A-2"), "hbys")
    found = verdict(records, accession=None)
    assert (found.kind, set(found.candidates)) == (Verdict.DOUBTFUL, {order_id, second})
    assert verdict(records, accession="A-2").order_id == second


def test_an_order_that_has_its_study_takes_another_one_by_its_accession_number_alone(records):
    _, order_id = ordered(records)
    case_id = made_case(records, SYSTEM, Person("Başka Biri"))
    with records.write(SYSTEM) as tx:
        link_case(tx, order_id, case_id)
    assert verdict(records).order_id == order_id
    assert verdict(records, accession=None).kind is Verdict.DOUBTFUL


def test_a_cancelled_order_is_doubtful(records):
    _, order_id = ordered(records)
    with records.write(SYSTEM) as tx:
        cancel_order(tx, order_id)
    found = verdict(records)
    assert (found.kind, traits(found)) == (Verdict.DOUBTFUL, {Trait.STATE})
    assert verdict(records, accession=None).kind is Verdict.NONE


def test_without_an_order_the_patient_may_be_known(records):
    with records.write(SYSTEM) as tx:
        patient_id = patients.create(tx, AYSE)
    assert verdict(records) == (found := verdict(records)) and found.kind is Verdict.NONE
    assert found.patient_id == patient_id
    assert verdict(records, patient_name="CAGLAYAN^FATMA").patient_id is None
    assert verdict(records, patient_id="H-7").patient_id is None


def test_every_record_of_a_merged_patient_counts(records):
    patient_id, order_id = ordered(records)
    with records.write(SYSTEM) as tx:
        other = patients.create(tx, Person("Ayşe ÇAĞLAYAN", "", "ACIL-5"))
    assert verdict(records, patient_id="ACIL-5").kind is Verdict.DOUBTFUL
    with records.write(SYSTEM) as tx:
        tx.session.add(
            PatientLink(
                patient_id=patient_id, survivor_id=other, reason=LinkReason.IDENTIFIED, created_at=tx.now
            )
        )
        tx.session.flush()
        assert patients.survivor_of(tx, patient_id) == other
    found = verdict(records, patient_id="ACIL-5")
    assert (found.kind, found.order_id, found.patient_id) == (Verdict.MATCHED, order_id, other)


NAMES = st.sampled_from(["Ali KAYA", "Ali Can KAYA", "Ayşe KAYA", "Can KAYA", "", "KAYA"])
BORN = st.sampled_from(["19800314", "19800413", ""])
TCKNS = st.sampled_from(["10000000146", "10000000078", ""])
NUMBERS = st.sampled_from(["H-1", "H-2", ""])
SEXES = st.sampled_from([Sex.FEMALE, Sex.MALE, None])
PEOPLE = st.builds(Person, NAMES, TCKNS, NUMBERS, BORN, SEXES)
CONTENTS = st.builds(
    OrderContent,
    accession=st.sampled_from(["A-1", "A-2", ""]),
    modality=st.sampled_from(["DX", "CT", ""]),
    scheduled_at=st.just(AT),
)


def contradicts(person, content, identity, modality):
    number, words, others = identity.patient_id or "", words_of(identity.patient_name), words_of(person.name)
    said = (
        (identity.birth_date, person.birth_date),
        (identity.sex, person.sex),
        (identity.accession, content.accession),
        (modality, content.modality),
        (number, person.number if number.startswith("H") else ""),
        (number, person.tckn if number == AYSE.tckn else ""),
    )
    named = words and others and not (words <= others or others <= words)
    return named or any(one and other and one != other for one, other in said)


def words_of(name):
    return set((name or "").replace("^", " ").upper().replace("Ş", "S").split())


def agreeing(person, content, identity):
    """Whether the accession number, a number of the patient, and the name agree."""
    return (
        bool(content.accession) and content.accession == identity.accession,
        bool(identity.patient_id) and identity.patient_id in (person.tckn, person.number),
        len(words_of(person.name) & words_of(identity.patient_name)) > 1,
    )


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(PEOPLE, CONTENTS), min_size=1, max_size=3),
    st.builds(
        Identity,
        st.sampled_from(["10000000146", "10000000145", "H-1", "H-2", None]),
        st.sampled_from(["KAYA^ALI", "KAYA^ALI CAN", "KAYA^CAN", "KAYA", None]),
        BORN,
        SEXES,
        accession=st.sampled_from(["A-1", "A-2", None]),
    ),
    st.sampled_from(["DX", "CT", None]),
)
def test_nothing_is_matched_where_two_fit_or_one_trait_contradicts(orders, identity, modality):
    with TemporaryDirectory() as folder:
        records = made_records(Path(folder))
        placed = {ordered(records, person, content)[1]: (person, content) for person, content in orders}
        found = verdict(records, StudyFacts(identity, modality=modality, at=AT))
        records.close()
    if found.kind is not Verdict.MATCHED:
        return
    person, content = placed.pop(found.order_id)
    assert not contradicts(person, content, identity, modality)
    accession, number, _ = agreeing(person, content, identity)
    assert accession or number
    for other in placed.values():
        same, numbered, named = agreeing(*other, identity)
        as_well = same == accession and (numbered if number else named)
        assert not as_well or contradicts(*other, identity, modality)


def test_of_the_studies_of_the_benchmark_none_is_matched_wrongly(records, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    benchmark = importlib.import_module("order_matching")
    outcomes = [(kind, outcome) for kind, outcome, _ in benchmark.verdicts(records, 200, 5)]
    assert "wrong" not in {outcome for _, outcome in outcomes}
    true = [outcome for kind, outcome in outcomes if kind in benchmark.TRUE]
    assert true.count("right") >= benchmark.REACH * len(true)
