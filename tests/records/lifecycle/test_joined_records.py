"""Records that were joined go home together, and are erased together, each as the law allows."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from tests.records.kit import made_case, made_user
from tests.records.reports_kit import drawn
from tests.records.whole import OTHER, SCAN, Whole, made_whole
from tetkik.errors import Conflict, NotFound
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.lifecycle import erasure, erasure_log
from tetkik.records.lifecycle.erasure import ErasureReason, erase, erase_again
from tetkik.records.lifecycle.patient_export import export_patient
from tetkik.records.lifecycle.retention import RetentionTerms, apply_retention
from tetkik.records.reports import drafts, signing, versions
from tetkik.records.reports.signing import Proof
from tetkik.records.schema import Case, Patient, PatientLink
from tetkik.records.trail.verify import verify
from tetkik.values import Hospital, LinkReason, Method, Role, SplitReason
from tetkik.workflow import patients as patient_comparison
from tetkik.workflow import patients as patient_merge

UNKNOWN = Person("Bilinmeyen 17", number="B-17")
HOSPITAL = Hospital("Örnek Hastanesi", "Radyoloji", "İzmir")


def joined(there: Whole, person: Person = UNKNOWN) -> tuple[str, str]:
    """Somebody unknown becomes the patient: the case and the record of the unknown one."""
    case_id = made_case(there.records, there.reader, person)
    with there.records.write(there.reader) as tx:
        replaced = tx.session.get_one(Case, case_id).patient_id
        seen = patient_comparison.compare_patients(tx, replaced, there.patient_id).seen
        patient_merge.link(tx, replaced, there.patient_id, LinkReason.IDENTIFIED, seen)
    return case_id, replaced


def exported(records: Records, patient_id: str) -> dict[str, bytes]:
    target = io.BytesIO()
    export_patient(records, patient_id, target)
    archive = zipfile.ZipFile(target)
    return {name: archive.read(name) for name in archive.namelist()}


def left(records: Records) -> dict[str, tuple[bool, bool]]:
    """Of each patient, whether the key is there, and whether the law keeps something."""
    with records.read() as tx:
        rows = tx.session.scalars(select(Patient))
        return {row.id: (row.key is not None, row.erase_after is not None) for row in rows}


def test_both_records_go_home_in_one_export_whichever_is_asked_for(both_records):
    there = made_whole(both_records)
    case_id, replaced = joined(there)
    made_whole(both_records, Person("Ali VELİ", number="H-2"))
    with both_records.write(there.reader) as tx:
        cases.load_case(tx, case_id)
    for asked in (there.patient_id, replaced):
        files = exported(both_records, asked)
        result = json.loads(files["patient.json"])
        assert result["patient"]["name"] == "Gülçin ŞAHİN"
        assert [one["name"] for one in result["also_registered_as"]] == ["Bilinmeyen 17"]
        assert len(result["cases"]) == 2
        assert {files[image["file"]] for image in result["cases"][0]["images"]} == {SCAN, OTHER}
        assert "patient.linked" in {step["what"] for step in json.loads(files["access.json"])}
        assert "Ali VEL" not in files["patient.json"].decode()


def test_a_number_of_either_record_finds_the_whole_person(both_records):
    there = made_whole(both_records)
    joined(there)
    for number in ("H-1", "B-17", "10000000146"):
        with both_records.write(there.reader) as tx:
            (subject,) = erasure.find_subjects(tx, number)
        assert (subject.patient_id, subject.also) == (there.patient_id, (UNKNOWN,))
        assert (subject.cases, subject.reports) == (2, 1)


@pytest.mark.parametrize("by", ["survivor", "replaced"])
def test_an_erasure_takes_every_record_and_the_law_keeps_each_for_itself(both_records, by):
    there = made_whole(both_records)
    case_id, replaced = joined(there)
    done = erase(
        both_records, replaced if by == "replaced" else there.patient_id, ErasureReason.REQUEST, years=20
    )
    assert not done.complete and done.kept_reports == 1
    assert left(both_records) == {there.patient_id: (True, True), replaced: (False, False)}
    known = erasure_log.erased_patients(erasure_log.read_log(both_records.folder), both_records.vault)
    assert set(known) == {there.patient_id, replaced}
    with both_records.read() as tx:
        assert tx.session.scalar(select(func.count()).select_from(PatientLink)) == 0
        assert versions.version_of(tx, there.report_id, 1).document.identity.patient_name == "ŞAHİN^Gülçin"
        assert patients.find(tx, "Bilinmeyen") == patients.find(tx, "Gülçin") == ()
        assert verify(tx).whole
        with pytest.raises(NotFound):
            cases.load_case(tx, case_id, audit=False)
    with pytest.raises(Conflict, match="erased before"):
        erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)


def test_without_a_signed_report_nothing_of_either_is_left(both_records):
    there = made_whole(both_records, signed=False)
    joined(there)
    done = erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    assert done.complete and done.files >= 2
    assert set(left(both_records).values()) == {(False, False)}


def test_whom_a_backup_brings_back_goes_alone(both_records):
    """What was joined in the backup may have been two people since."""
    there = made_whole(both_records, signed=False)
    _, replaced = joined(there)
    assert erase_again(both_records, [replaced], years=20) == 1
    assert left(both_records) == {there.patient_id: (True, False), replaced: (False, False)}
    with both_records.read() as tx:
        assert patients.records_of(tx, there.patient_id) == (there.patient_id,)
        assert patients.load_person(tx, there.patient_id).name == "Gülçin ŞAHİN"


def test_a_patient_whose_own_cases_are_over_lives_on_in_the_other_record(both_records):
    there = made_whole(both_records, signed=False)
    case_id, _ = joined(there)
    with both_records.write(there.reader) as tx:
        cases.close(tx, there.case_id)
    with both_records.engine.begin() as connection:
        long_ago = connection.scalar(select(Case.updated_at)) - timedelta(days=40)
        connection.execute(update(Case).where(Case.id == there.case_id).values(updated_at=long_ago))
    assert apply_retention(both_records, RetentionTerms(20, closed_days=30)).cases == 1
    with both_records.write(there.reader) as tx:
        assert cases.load_case(tx, case_id).person.name == "Gülçin ŞAHİN"


def test_signed_reports_keep_the_identity_that_they_were_signed_with(both_records):
    there = made_whole(both_records, UNKNOWN)
    gulcin = Person("Gülçin ŞAHİN", "10000000146", "H-1")
    with both_records.write(there.reader) as tx:
        survivor = patients.create(tx, gulcin)
        seen = patient_comparison.compare_patients(tx, there.patient_id, survivor).seen
        patient_merge.link(tx, there.patient_id, survivor, LinkReason.IDENTIFIED, seen)
    with both_records.write(there.reader) as tx:
        signing.begin_amendment(tx, there.report_id, "Kimlik belli oldu.")
    with both_records.write(there.reader) as tx:
        proof = Proof(there.reader.user_id or "", Method.PASSWORD, tx.now)
        revision = drafts.draft_of(tx, there.report_id).revision
        signing.sign(tx, there.report_id, revision, proof, HOSPITAL, drawn)
    with both_records.read() as tx:
        first, second = (
            versions.version_of(tx, there.report_id, number).document.identity for number in (1, 2)
        )
    assert (first.patient_id, first.other_ids) == ("B-17", ())
    assert (second.patient_id, second.patient_name, second.other_ids) == ("H-1", "ŞAHİN^Gülçin", ("B-17",))
    with both_records.write(there.reader) as tx:
        patient_merge.unlink(tx, there.patient_id, SplitReason.OTHER_PERSON)
    with both_records.read() as tx:
        assert versions.version_of(tx, there.report_id, 2).document.identity.patient_id == "H-1"
        assert verify(tx).whole


def test_an_officer_sees_the_links_in_both_directions(both_records):
    there = made_whole(both_records, signed=False)
    _, replaced = joined(there)
    officer = made_user(both_records, Role.ADMINISTRATOR)
    with both_records.read(officer) as tx:
        one, other = (
            erasure.load_subject(tx, replaced),
            erasure.load_subject(tx, there.patient_id),
        )
    assert one == other
