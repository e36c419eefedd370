"""What a patient takes home: everything, readable, and nobody else's."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from fhir.resources.R4B.bundle import Bundle
from sqlalchemy import select

from tests.records.kit import made_user
from tests.records.whole import COMPLAINT, OTHER, SCAN, made_whole
from tetkik.errors import NotFound
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.images import images, presentation_states
from tetkik.records.lifecycle import erasure
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.patient_export import export_patient
from tetkik.records.schema import AuditRow, Case
from tetkik.values import RemovalReason, Role
from tetkik.workflow import image_removal


def exported(records, patient_id, **options):
    target = io.BytesIO()
    count = export_patient(records, patient_id, target, **options)
    archive = zipfile.ZipFile(target)
    assert archive.testzip() is None and len(archive.namelist()) == count
    return {name: archive.read(name) for name in archive.namelist()}


def test_everything_of_the_patient_is_in_it(both_records):
    there = made_whole(both_records)
    other = made_whole(both_records, patients.Person("Ali VELİ", "", "H-2"))
    admin = made_user(both_records, Role.ADMINISTRATOR, name="Yönetici")
    with both_records.write(there.reader) as tx:
        tx.session.get_one(Case, there.case_id).restricted = True
        tx.audit(Action.CASE_OPENED, case_id=there.case_id)
        tx.audit(Action.CASE_OPENED, case_id=other.case_id)
    files = exported(both_records, there.patient_id, actor=admin, language=Language.EN)
    result = json.loads(files["patient.json"])
    assert result["patient"]["name"] == "Gülçin ŞAHİN" and result["patient"]["tckn"] == "10000000146"
    (case,) = result["cases"]
    assert case["question"] == "Efüzyon?" and case["complaints"][0]["text"] == COMPLAINT
    assert case["urgency"] == case["complaints"][0]["urgency_chosen"] == "sari"
    assert case["complaints"][0]["answer"]["urgency"]["level"] == "kirmizi"
    assert case["complaints"][0]["urgency_reason"] == "chronic"
    assert {files[image["file"]] for image in case["images"]} == {SCAN, OTHER}
    assert case["images"][0]["runs"][0]["scores"][0]["label"]
    signed, draft = sorted(case["reports"], key=lambda report: not report["signed"])
    assert draft["draft"][0]["text"]
    (version,) = signed["versions"]
    assert version["signed_by"] and version["text"] and files[version["file"]].startswith(b"%PDF")
    Bundle.model_validate_json(files["fhir.json"])
    kinds = {entry["resource"]["resourceType"] for entry in json.loads(files["fhir.json"])["entry"]}
    assert {"DiagnosticReport", "Patient", "Observation"} <= kinds
    access = json.loads(files["access.json"])
    assert [step["what"] for step in access].count("case.opened") == 1
    assert access[-1]["who"] == "Dr. Elif KAYA"
    assert "as you asked" in files["README.txt"].decode()
    assert "Ali VEL" not in b"".join(files.values()).decode("latin-1")
    assert not any(word in name for name in files for word in ("ahin", "AHİN", "10000000146", "H-1"))
    with both_records.read() as tx:
        last = tx.session.scalars(select(AuditRow).order_by(AuditRow.seq.desc())).first()
        assert (last.action, last.user_id, last.patient_id) == (
            Action.PATIENT_EXPORTED, admin.user_id, there.patient_id,
        )  # fmt: skip


def test_after_an_erasure_what_the_law_keeps_can_still_be_exported(both_records):
    there = made_whole(both_records)
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    files = exported(both_records, there.patient_id)
    (case,) = json.loads(files["patient.json"])["cases"]
    assert case["complaints"] == [] and len(case["images"]) == 1
    assert [name for name in files if name.endswith(".pdf")]
    erase_all = made_whole(both_records, patients.Person("Ali", "", "H-9"), signed=False)
    erase(both_records, erase_all.patient_id, ErasureReason.REQUEST, years=20)
    with pytest.raises(NotFound):
        exported(both_records, erase_all.patient_id)


def test_a_subject_is_found_by_an_exact_number_alone(both_records):
    there = made_whole(both_records)
    with both_records.write(made_user(both_records, Role.ADMINISTRATOR)) as tx:
        for words in ("Gülçin", "ŞAHİN", "1000000014", "", "H-"):
            assert erasure.find_subjects(tx, words) == ()
        for number in ("10000000146", "H-1", "h-1"):
            (subject,) = erasure.find_subjects(tx, number)
            assert (subject.patient_id, subject.cases, subject.reports) == (there.patient_id, 1, 1)
            assert subject.person.name == "Gülçin ŞAHİN" and subject.erase_after is None
    done = erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    with both_records.write(made_user(both_records, Role.ADMINISTRATOR)) as tx:
        (subject,) = erasure.find_subjects(tx, "10000000146")
        assert subject.erase_after == done.kept_until
        (waiting,) = erasure.list_postponed_erasures(tx)
        assert (waiting.patient_id, waiting.erase_after, waiting.reports) == (
            there.patient_id,
            done.kept_until,
            1,
        )
    with both_records.read() as tx:
        searched = tx.session.scalars(
            select(AuditRow.content).where(AuditRow.action == Action.PATIENT_SEARCHED)
        )
        assert not any("10000000146" in content for content in searched)


def test_presentation_states_and_removed_images_are_in_it(both_records):
    there = made_whole(both_records, signed=False)
    with both_records.write(there.reader) as tx:
        presentation_states.add_state(tx, images.load_image(tx, there.signed_image), b"a state")
        image_removal.remove_image(tx, there.signed_image, RemovalReason.POOR_QUALITY)
    files = exported(both_records, there.patient_id)
    (case,) = json.loads(files["patient.json"])["cases"]
    stays, gone = case["images"]
    assert stays["removed"] is None and files[stays["file"]] == OTHER
    assert (gone["removed"]["by"], gone["removed"]["why"]) == ("Dr. Elif KAYA", "poor_quality")
    assert gone["removed"]["at"] and files[gone["file"]] == SCAN
    assert [files[name] for name in gone["presentation_states"]] == [b"a state"]
    with both_records.write(there.reader) as tx:  # perhaps somebody else's: it goes to nobody
        image_removal.remove_image(tx, there.other_image, RemovalReason.WRONG_PATIENT)
    files = exported(both_records, there.patient_id)
    (case,) = json.loads(files["patient.json"])["cases"]
    assert [image["removed"]["why"] for image in case["images"]] == ["poor_quality", "wrong_patient"]
    assert case["images"][1]["file"] is None and OTHER not in files.values()
