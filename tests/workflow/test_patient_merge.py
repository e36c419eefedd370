"""Two records of one patient: seen side by side, joined, everywhere one, and taken apart as they were."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tests.documents import sample
from tests.records.kit import made_case, made_records, made_user
from tests.records.pictured import put, result
from tests.records.reports_kit import (
    HOSPITAL,
    drawn,
    judged_all,
    made_image,
    made_report,
    proof_of,
    write_draft,
)
from tetkik import workflow
from tetkik.errors import Conflict, NotFound, TetkikError
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, identity_comparison, patients
from tetkik.records.cases.cases import Admission
from tetkik.records.cases.patients import Person
from tetkik.records.cases.triage_feedback import without_identity
from tetkik.records.database import Records
from tetkik.records.images import images, received_decisions, runs
from tetkik.records.lifecycle.erasure import ErasureReason, erase_record
from tetkik.records.reports import drafts, signing
from tetkik.records.reports.identity import identity_for
from tetkik.records.schema import AuditRow, Base, Case, PatientLink
from tetkik.records.trail.verify import verify
from tetkik.records.worklist import worklist
from tetkik.records.worklist.worklist_items import load_items
from tetkik.settings import settings as tetkik_settings
from tetkik.values import SYSTEM, Actor, Identity, LinkReason, ReportInput, Role, Sex, SplitReason
from tetkik.workflow import patients as patient_comparison
from tetkik.workflow import patients as patient_merge
from tetkik.workflow.patients import Agreement, PatientTrait

UNKNOWN = Person("Bilinmeyen 17", number="B-17", sex=Sex.FEMALE)
GULCIN = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101", Sex.FEMALE)


@pytest.fixture
def desk(both_records) -> Actor:
    return made_user(both_records, Role.RECEPTION, Role.RADIOLOGIST)


def patient_of(records: Records, case_id: str) -> str:
    with records.read() as tx:
        return tx.session.get_one(Case, case_id).patient_id


def joined(records: Records, actor: Actor, replaced: str, survivor: str) -> None:
    with records.write(actor) as tx:
        seen = patient_comparison.compare_patients(tx, replaced, survivor).seen
        patient_merge.link(tx, replaced, survivor, LinkReason.IDENTIFIED, seen)


def two(records: Records, actor: Actor) -> tuple[str, str, str, str]:
    """A case of somebody unknown and one of Gülçin: cases, then patients."""
    first, second = made_case(records, actor, UNKNOWN), made_case(records, actor, GULCIN)
    return first, second, patient_of(records, first), patient_of(records, second)


def rows(records: Records) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but for the trail and what passes."""
    left_out = {"audit", "audit_head", "events", "patient_links"}
    with records.engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
            if table.name not in left_out
        }


def test_one_person_is_shown_and_found_by_what_either_record_says(both_records, desk):
    first, second, unknown, gulcin = two(both_records, desk)
    joined(both_records, desk, unknown, gulcin)
    with both_records.write(desk) as tx:
        shown = cases.load_case(tx, first)
        assert (shown.patient_id, shown.person, shown.registered_as) == (gulcin, GULCIN, UNKNOWN)
        other = cases.load_case(tx, second)
        assert (other.person, other.registered_as) == (GULCIN, None)
        for words in ("Bilinmeyen", "B-17", "gülç", "H-1", "10000000146"):
            assert {item.case_id for item in worklist.search_cases(tx, words)} == {first, second}, words
            (match,) = patients.search(tx, words)
            assert (match.id, match.person, match.visits, match.also) == (gulcin, GULCIN, 2, (UNKNOWN,))
        named = {item.case_id: (item.name, item.registered_as) for item in load_items(tx, [first, second])}
        assert named == {first: (GULCIN.name, UNKNOWN.name), second: (GULCIN.name, "")}
        assert patients.find_by_number(tx, UNKNOWN) == (gulcin,)


def test_a_new_case_goes_to_the_record_that_stands_for_both(both_records, desk):
    _, _, unknown, gulcin = two(both_records, desk)
    joined(both_records, desk, unknown, gulcin)
    with both_records.write(desk) as tx:
        third = cases.admit(tx, Admission(patient_id=unknown))
        assert tx.session.get_one(Case, third).patient_id == gulcin
        with pytest.raises(Conflict, match="is known"):
            cases.admit(tx, Admission(person=Person("Bilinmeyen 17", number="B-17")))


def test_a_correction_corrects_the_surviving_record_alone(both_records, desk):
    first, _, unknown, gulcin = two(both_records, desk)
    joined(both_records, desk, unknown, gulcin)
    with both_records.write(desk) as tx:
        cases.change_person(tx, first, Person("Gülçin ŞAHİN KAYA", GULCIN.tckn, "H-1"))
    with both_records.read() as tx:
        assert patients.load_registered_person(tx, unknown) == UNKNOWN
        assert patients.load_registered_person(tx, gulcin).name == "Gülçin ŞAHİN KAYA"


def test_undoing_gives_back_exactly_what_was(both_records, desk):
    first, _, unknown, gulcin = two(both_records, desk)
    before = rows(both_records)
    joined(both_records, desk, unknown, gulcin)
    assert rows(both_records) == before
    with both_records.write(desk) as tx:
        assert patient_merge.unlink(tx, unknown, SplitReason.OTHER_PERSON) == gulcin
    assert rows(both_records) == before
    with both_records.write(desk) as tx:
        shown = cases.load_case(tx, first)
        assert (shown.patient_id, shown.person, shown.registered_as) == (unknown, UNKNOWN, None)
        assert [match.id for match in patients.search(tx, "B-17")] == [unknown]
        with pytest.raises(Conflict, match="No other record"):
            patient_merge.unlink(tx, unknown, SplitReason.OTHER_PERSON)


def test_what_was_compared_with_a_strangers_image_is_not_signed_unseen(both_records, desk):
    made = made_report(both_records, person=GULCIN)
    case = made_case(both_records, desk, UNKNOWN)
    gulcin, unknown = patient_of(both_records, made.case_id), patient_of(both_records, case)
    joined(both_records, desk, unknown, gulcin)
    image_id = made_image(both_records, case)
    found = replace(sample.RESULT, sha256="cd" * 32)
    reported = workflow.report_findings(
        found, ReportInput(), tetkik_settings(), prior=sample.RESULT, language=Language.TR
    )
    with both_records.write(SYSTEM) as tx:
        (before,) = runs.list_earlier_runs(tx, images.load_image(tx, image_id))
        run = runs.add_run(
            tx, images.load_image(tx, image_id), runs.ModelAnswer("m 1", "ab" * 32, tx.now, found)
        )
        prior = runs.load_result(tx, before.id)
        report = write_draft(tx, image_id, run, reported.document, prior=prior)
        own = drafts.draft_of(tx, made.id)
        assert drafts.draft_of(tx, report).draft.open_marks == 0
    with both_records.write(desk) as tx:
        patient_merge.unlink(tx, unknown, SplitReason.OTHER_PERSON)
    with both_records.write(desk) as tx:
        after = drafts.draft_of(tx, report)
        marked = [item.text for item in after.draft.sentences if item.marks]
        assert drafts.draft_of(tx, made.id) == own
        assert drafts.redraft_input(tx, report, after.revision).prior is None
        said = after.draft.sentences
        after = judged_all(tx, report)
    assert marked == [item.text for item in said if any("prior" in one for one in item.evidence)] != []
    with both_records.write(desk) as tx, pytest.raises(Conflict, match="marked"):
        signing.sign(tx, report, after.revision, proof_of(desk), HOSPITAL, drawn)


def test_both_records_tell_of_it_in_the_trail_with_who_and_why(both_records, desk):
    _, _, unknown, gulcin = two(both_records, desk)
    joined(both_records, desk, unknown, gulcin)
    with both_records.write(desk) as tx:
        patient_merge.unlink(tx, unknown, SplitReason.WRONG_SURVIVOR)
    with both_records.read() as tx:
        assert verify(tx).whole
        wanted = select(AuditRow).where(AuditRow.action.like("patient.%link%")).order_by(AuditRow.seq)
        answer = tx.session.scalars(wanted).all()
        linked, unlinked = Action.PATIENT_LINKED, Action.PATIENT_UNLINKED
        assert [(row.action, row.patient_id, row.user_id) for row in answer] == [
            (action, patient, desk.user_id) for action in (linked, unlinked) for patient in (gulcin, unknown)
        ]
        assert all("identified" in row.content for row in answer[:2])
        assert all("wrong_survivor" in row.content for row in answer[2:])
        assert "Bilinmeyen" not in "".join(row.content for row in answer)
        looks = select(AuditRow.patient_id).where(AuditRow.action == Action.PATIENT_OPENED)
        assert set(tx.session.scalars(looks)) == {unknown, gulcin}


def test_a_chain_leads_to_the_one_that_survives_and_opens_link_by_link(both_records, desk):
    people = [Person("Ayşe DEMİR", number=f"A-{place}") for place in range(4)]
    ids = [patient_of(both_records, made_case(both_records, desk, person)) for person in people]
    for replaced, survivor in pairwise(ids):
        joined(both_records, desk, replaced, survivor)
    with both_records.write(desk) as tx:
        assert patients.records_of(tx, ids[0]) == (ids[3], *sorted(ids[:3]))
        assert patients.load_person(tx, ids[0]) == people[3]
        assert tx.session.scalar(select(func.count()).select_from(PatientLink)) == 3
        patient_merge.unlink(tx, ids[1], SplitReason.OTHER_PERSON)
        assert patients.records_of(tx, ids[0]) == (ids[1], ids[0])
        assert patients.records_of(tx, ids[2]) == (ids[3], ids[2])


def test_no_circle_no_second_survivor_and_nobody_with_themselves(both_records, desk):
    _, _, unknown, gulcin = two(both_records, desk)
    third = patient_of(both_records, made_case(both_records, desk, Person("Gulcin SAHIN")))
    joined(both_records, desk, unknown, gulcin)
    with both_records.write(desk) as tx:
        seen = patient_comparison.compare_patients(tx, unknown, third).seen
        for replaced, survivor in ((unknown, third), (third, unknown)):
            with pytest.raises(Conflict, match="stands for one of the two"):
                patient_merge.link(tx, replaced, survivor, LinkReason.REGISTERED_TWICE, seen)
        for replaced, survivor in ((gulcin, unknown), (unknown, gulcin), (third, third)):
            with pytest.raises(Conflict, match="one patient already"):
                patient_merge.link(tx, replaced, survivor, LinkReason.REGISTERED_TWICE, seen)
        with pytest.raises(NotFound):
            patient_comparison.compare_patients(tx, third, "0" * 26)


def test_only_what_was_looked_at_can_be_joined(both_records, desk):
    first, _, unknown, gulcin = two(both_records, desk)
    with both_records.write(desk) as tx:
        seen = patient_comparison.compare_patients(tx, gulcin, unknown).seen
        assert seen == patient_comparison.compare_patients(tx, unknown, gulcin).seen
    with both_records.write(desk) as tx:
        cases.change_person(tx, first, Person("BILINMEYEN 17", number="B-17", sex=Sex.FEMALE))
    for shown in (seen, ""):
        with both_records.write(desk) as tx, pytest.raises(Conflict, match="has changed since"):
            patient_merge.link(tx, unknown, gulcin, LinkReason.IDENTIFIED, shown)


def test_two_identity_numbers_are_two_people(both_records, desk):
    one = patient_of(both_records, made_case(both_records, desk, GULCIN))
    other = patient_of(both_records, made_case(both_records, desk, Person("Gülçin ŞAHİN", "10000000078")))
    with both_records.write(desk) as tx:
        found = patient_comparison.compare_patients(tx, one, other)
        assert found.obstacle
        with pytest.raises(Conflict, match="two people"):
            patient_merge.link(tx, one, other, LinkReason.REGISTERED_TWICE, found.seen)


def test_an_identity_number_of_a_replaced_record_is_not_forgotten(both_records, desk):
    _, _, unknown, gulcin = two(both_records, desk)
    joined(both_records, desk, gulcin, unknown)  # the record without a number stands for both
    other = patient_of(both_records, made_case(both_records, desk, Person("Gülçin ŞAHİN", "10000000078")))
    with both_records.write(desk) as tx:
        found = patient_comparison.compare_patients(tx, other, unknown)
        assert found.obstacle
        with pytest.raises(Conflict, match="two people"):
            patient_merge.link(tx, other, unknown, LinkReason.REGISTERED_TWICE, found.seen)


def test_the_erased_are_joined_with_nobody(both_records, desk):
    _, _, unknown, gulcin = two(both_records, desk)
    with both_records.write(desk) as tx:
        seen = patient_comparison.compare_patients(tx, unknown, gulcin).seen
    erase_record(both_records, gulcin, ErasureReason.REQUEST, years=20)
    with both_records.write(desk) as tx, pytest.raises(NotFound, match="erased"):
        patient_merge.link(tx, unknown, gulcin, LinkReason.IDENTIFIED, seen)


def test_what_differs_is_told_and_who_says_more_is_offered_to_stand_for_both(both_records, desk):
    one = made_case(both_records, desk, Person("GULCIN SAHIN", number="H-9", birth_date="19700102"))
    other = made_case(both_records, desk, GULCIN)
    with both_records.write(desk) as tx:
        found = patient_comparison.compare_patients(
            tx, patient_of(both_records, one), patient_of(both_records, other)
        )
    assert dict(found.traits) == {
        PatientTrait.NAME: Agreement.ALIKE,
        PatientTrait.TCKN: Agreement.ONE,
        PatientTrait.NUMBER: Agreement.DIFFERENT,
        PatientTrait.BIRTH_DATE: Agreement.DIFFERENT,
        PatientTrait.SEX: Agreement.ONE,
    }
    assert found.survivor == patient_of(both_records, other)
    assert [case.id for case in found.one[0].cases] == [one] and found.one[0].count == 1


@pytest.mark.both_databases
def test_those_who_look_alike_are_offered_and_those_who_cannot_be_are_not(both_records, desk):
    gulcin = patient_of(both_records, made_case(both_records, desk, GULCIN))
    twin = made_case(both_records, desk, Person("GULCIN SAHIN"))
    same_number = made_case(both_records, desk, Person("Bilinmeyen 3", number="H-1"))
    made_case(both_records, desk, Person("Gülçin ŞAHİN", birth_date="19900101"))
    made_case(both_records, desk, Person("Gülçin ŞAHİN", "10000000078"))
    made_case(both_records, desk, Person("Gülçin KAYA"))
    with both_records.read(desk) as tx:
        offered = {match.id for match in patient_comparison.find_possible_duplicates(tx, gulcin)}
    assert offered == {patient_of(both_records, twin), patient_of(both_records, same_number)}


def test_earlier_images_of_both_records_are_beside_the_new_one(both_records, desk):
    first, second, unknown, gulcin = two(both_records, desk)
    old, new = put(both_records, desk, first, 1).image, put(both_records, desk, second, 2).image
    with both_records.write(desk) as tx:
        for image in (old, new):
            runs.add_run(tx, image, runs.ModelAnswer("m 1.0", "0" * 64, tx.now, result(flaws=())))
        assert runs.list_earlier_runs(tx, new) == ()
    joined(both_records, desk, gulcin, unknown)
    with both_records.read(desk) as tx:
        assert [run.image_id for run in runs.list_earlier_runs(tx, new)] == [old.id]
        assert images.read_content(tx, old) and images.read_content(tx, new)


def test_an_image_finds_the_case_by_the_number_of_either_record(both_records, desk):
    first, second, unknown, gulcin = two(both_records, desk)
    with both_records.write(desk) as tx:
        cases.close(tx, second)
    joined(both_records, desk, unknown, gulcin)
    with both_records.read() as tx:
        for identity in (Identity("H-1", "SAHIN^GULCIN"), Identity("B-17", "17^BILINMEYEN")):
            assert received_decisions.find_destination(
                tx, identity, "0" * 64
            ) == received_decisions.Destination(unknown, first)
            assert identity_comparison.compare_with_patient(tx, gulcin, identity) == ()
        assert identity_comparison.compare_with_patient(tx, gulcin, Identity("H-2", "YILMAZ^AYSE"))


def test_a_record_that_says_nothing_lets_no_strangers_image_in(both_records, desk):
    nobody = patient_of(both_records, made_case(both_records, desk, Person(number="B-18")))
    gulcin = patient_of(both_records, made_case(both_records, desk, GULCIN))
    joined(both_records, desk, nobody, gulcin)
    with both_records.read() as tx:
        for stranger in (Identity(None, "YILMAZ^AYSE"), Identity("H-7", "YILMAZ^AYSE")):
            assert identity_comparison.compare_with_patient(tx, gulcin, stranger)
        assert identity_comparison.compare_with_patient(tx, gulcin, Identity("B-18", "YILMAZ^AYSE")) == ()


def test_documents_carry_the_surviving_identity_with_the_other_as_a_former_one(both_records, desk):
    _, _, unknown, gulcin = two(both_records, desk)
    joined(both_records, desk, unknown, gulcin)
    with both_records.read() as tx:
        identity = identity_for(tx, unknown, Identity("B-17", "17^BILINMEYEN"))
    assert (identity.patient_id, identity.patient_name) == ("H-1", "ŞAHİN^Gülçin")
    assert (identity.other_ids, identity.other_names) == (("B-17",), ("17^Bilinmeyen",))


def test_the_names_of_both_records_leave_a_complaint():
    clean, _ = without_identity("Ben Gülçin, Demir'in kızı", GULCIN, Person("Ayşe Demir"))
    assert "Gülçin" not in clean and "Demir" not in clean


@pytest.mark.both_databases
def test_two_who_join_crosswise_close_no_circle(both_records, desk):
    ids = [patient_of(both_records, made_case(both_records, desk, Person("Ali KAYA"))) for _ in range(3)]
    with both_records.write(desk) as tx:
        seen = {
            pair: patient_comparison.compare_patients(tx, *pair).seen
            for pair in ((ids[0], ids[1]), (ids[1], ids[2]))
        }
        seen[(ids[2], ids[0])] = patient_comparison.compare_patients(tx, ids[2], ids[0]).seen
    start, faults = threading.Barrier(3), []

    def join(pair: tuple[str, str]) -> None:
        start.wait()
        try:
            with both_records.write(desk) as tx:
                patient_merge.link(tx, *pair, LinkReason.REGISTERED_TWICE, seen[pair])
        except TetkikError as error:
            faults.append(error)

    threads = [threading.Thread(target=join, args=(pair,)) for pair in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with both_records.read() as tx:
        links = tx.session.scalar(select(func.count()).select_from(PatientLink)) or 0
        roots = set(patients.survivors_of(tx, ids).values())
    assert 1 <= links <= 2 and len(roots) == 3 - links and len(faults) == 3 - links


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=12))
def test_whatever_is_joined_and_separated_stays_a_forest(tmp_path_factory, steps):
    records = made_records(tmp_path_factory.mktemp("forest"))
    desk = made_user(records, Role.RECEPTION)
    with records.write(desk) as tx:
        ids = [patients.create(tx, Person("Ali KAYA")) for _ in range(5)]
    parents: dict[int, int] = {}
    for one, other, apart in steps:
        try:
            if apart:
                with records.write(desk) as tx:
                    patient_merge.unlink(tx, ids[one], SplitReason.OTHER_PERSON)
                del parents[one]
            else:
                joined(records, desk, ids[one], ids[other])
                parents[one] = other
        except Conflict:
            continue
    with records.read() as tx:
        for place, patient_id in enumerate(ids):
            root = place
            while root in parents:
                root = parents[root]
            assert patients.survivor_of(tx, patient_id) == ids[root]
    records.close()
