"""A signature happens as a whole or not at all, and what was signed never changes."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from highdicom import sr
from pydicom import dcmread
from sqlalchemy import select

from tests.documents import sample
from tests.records import changes
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import (
    HOSPITAL,
    counts,
    drawn,
    every_mark_kept,
    judged_all,
    made_image,
    made_report,
    proof_of,
    reports_of_case,
    sign,
    signed_report,
    write_draft,
)
from tetkik import workflow
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.parts import statements
from tetkik.documents.pdf import to_pdf
from tetkik.documents.sr import to_sr
from tetkik.documents.text import to_text
from tetkik.errors import Conflict, Forbidden, InputError
from tetkik.language import Language
from tetkik.records.cases.patients import Person
from tetkik.records.metrics import collect_metrics
from tetkik.records.reports import drafts, signing, versions
from tetkik.records.reports.edit_conflicts import EditConflict
from tetkik.records.reports.report_inputs import keep_material, material_of
from tetkik.records.schema import AuditRow, Case, Claim, Event, Report
from tetkik.rules.comparison import Change, compared
from tetkik.rules.editing import DraftEdit
from tetkik.rules.readiness import NotReady
from tetkik.settings import settings
from tetkik.values import (
    SYSTEM,
    CaseState,
    DraftSentence,
    Judgement,
    Method,
    ReportInput,
    ReportState,
    Role,
    Section,
)
from tetkik.values.document import ReplacedVersion


def test_a_signature_makes_everything_at_once(both_records, radiologist):
    made = made_report(both_records)
    with both_records.write(radiologist) as tx:
        later = tx.now + timedelta(hours=1)
        tx.session.add(
            Claim(case_id=made.case_id, user_id=radiologist.user_id, since=tx.now, expires_at=later)
        )
    with both_records.write(radiologist) as tx:
        signed = sign(tx, made.id, radiologist)
    with both_records.read(radiologist) as tx:
        version = versions.version_of(tx, made.id)
        row, case = tx.session.get_one(Report, made.id), tx.session.get_one(Case, made.case_id)
        assert (row.state, row.version, row.draft) == (ReportState.FINAL, 1, None)
        assert case.state is CaseState.SIGNED
        assert tx.session.get(Claim, made.case_id) is None
        entry = tx.session.scalars(select(AuditRow).where(AuditRow.action == "report.signed")).one()
        assert (entry.user_id, entry.case_id) == (radiologist.user_id, made.case_id)
        assert "report" in set(tx.session.scalars(select(Event.kind)))
    assert version.info.verification == signed.verification == version.document.verification
    assert (version.info.corrected, version.method, version.info.replaces) == (False, Method.PASSWORD, None)
    assert version.info.signed_by == "Dr. Ömer Çağrı Ünsal"
    document = version.document
    assert (document.state, document.version, document.hospital) == (ReportState.FINAL, 1, HOSPITAL)
    assert document.identity.patient_name == "ŞAHİN^Gülçin"
    assert document.identity.study_uid == sample.IDENTITY.study_uid
    assert (document.image, document.heatmap) == (
        sample.picture(size=(300, 260)),
        sample.picture("RGB", (200, 80, 40), size=(300, 260)),
    )


def test_the_record_knows_the_patient_better_than_the_file(records, reader):
    made = signed_report(records, reader, person=Person("Ayşe Nur Işık", "", "H-9", "19800229"))
    with records.read(reader) as tx:
        identity = versions.version_of(tx, made.id).document.identity
    assert (identity.patient_name, identity.patient_id, identity.birth_date) == (
        "Işık^Ayşe Nur",
        "H-9",
        "19800229",
    )


def test_a_patient_known_by_the_identity_number_alone_has_it_in_the_report(records, reader):
    person = Person("Ayşe Nur Işık", "10000000146", "", "19800229")
    made = made_report(records, person=person, department="Göğüs Hastalıkları")
    with records.write(reader) as tx:
        row = tx.session.get_one(Report, made.id)
        number = replace(sample.IDENTITY, patient_id="10000000146")  # as many devices in Turkey have it
        keep_material(tx, row, replace(material_of(tx, row), identity=number))
        current = judged_all(tx, made.id)
        hospital = replace(HOSPITAL, time_zone="Europe/Istanbul")
        while current.draft.open_marks:
            current = changes.decide(tx, made.id, current.revision, every_mark_kept(current))
        signing.sign(tx, made.id, current.revision, proof_of(reader), hospital, drawn)
        document = versions.version_of(tx, made.id).document
    assert (document.identity.patient_id, document.identity.national_id) == (None, "10000000146")
    assert document.number.endswith("-000001-1") and document.department == "Göğüs Hastalıkları"
    assert document.signature is not None and document.signature.signed_at.utcoffset() == timedelta(hours=3)
    assert "10000000146^^^TCKN&2.16.840.1.113883.3.129.1.1.1&ISO^NNTUR" in to_hl7(document).decode()
    draft = workflow.report_findings(sample.RESULT, ReportInput(), settings(), identity=number).document
    assert (draft.identity.patient_id, draft.identity.national_id) == (None, "10000000146")


def test_every_document_comes_of_what_was_signed(records, reader):
    made = signed_report(records, reader)
    with records.read(reader) as tx:
        document = versions.version_of(tx, made.id).document
    for make in (to_fhir, to_hl7, to_text):
        assert "efüzyon" in make(document).decode().lower()
        assert document.verification in make(document).decode() or make is to_fhir
    assert to_pdf(document).startswith(b"%PDF")
    assert to_sr(document)[128:132] == b"DICM"


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "0" * 26},
        {"method": Method.OIDC},
        {"method": Method.TOKEN},
        {"at": datetime(2020, 1, 1, tzinfo=UTC)},
        {"at": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
)
def test_only_a_fresh_proof_of_the_signer_signs(records, reader, change):
    made = made_report(records)
    proof = replace(proof_of(reader), **change)
    with pytest.raises(Forbidden), records.write(reader) as tx:
        signing.sign(tx, made.id, 1, proof, HOSPITAL, drawn)
    with records.read() as tx:
        assert counts(tx) == (0, 0)


@pytest.mark.parametrize("role", [Role.CLINICIAN, Role.TECHNICIAN, Role.ADMINISTRATOR, Role.ENGINEER])
def test_nobody_else_signs(records, role):
    made = made_report(records)
    actor = made_user(records, role)
    with pytest.raises(Forbidden), records.write(actor) as tx:
        signing.sign(tx, made.id, 1, proof_of(actor), HOSPITAL, drawn)


def test_open_marks_and_empty_drafts_are_not_signed(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        edited = DraftSentence("Nodül izlendi.", Section.FINDINGS, ("finding:Effusion",))
        changes.save(tx, made.id, 1, DraftEdit([edited]))
    with pytest.raises(NotReady, match="2 findings ") as refused, records.write(reader) as tx:
        signing.sign(tx, made.id, 2, proof_of(reader), HOSPITAL, drawn)
    assert [(item.kind, item.label, item.sentence) for item in refused.value.blockers] == [
        ("finding", "Effusion", None),
        ("finding", "Cardiomegaly", None),
        ("mark", None, 0),
    ]
    with records.write(reader) as tx:
        changes.judge_all(tx, made.id, 2, ["Effusion", "Cardiomegaly"], Judgement.REJECTED)
    with pytest.raises(NotReady, match="1 sentence "), records.write(reader) as tx:
        signing.sign(tx, made.id, 3, proof_of(reader), HOSPITAL, drawn)
    with records.write(reader) as tx:
        changes.save(tx, made.id, 3, DraftEdit([DraftSentence("PA grafi.", Section.TECHNIQUE)]))
    with pytest.raises(Conflict, match="says nothing"), records.write(reader) as tx:
        signing.sign(tx, made.id, 4, proof_of(reader), HOSPITAL, drawn)
    with pytest.raises(EditConflict), records.write(reader) as tx:
        signing.sign(tx, made.id, 3, proof_of(reader), HOSPITAL, drawn)


def test_an_exercise_is_not_signed(records, reader):
    case_id = made_case(records, made_user(records, Role.RECEPTION))
    image_id = made_image(records, case_id)
    with records.write(SYSTEM) as tx:
        document = sample.document(draft=sample.draft(exercise=True))
        report_id = write_draft(tx, image_id, None, document)
    with pytest.raises(Conflict, match="exercise"), records.write(reader) as tx:
        signing.sign(tx, report_id, 1, proof_of(reader), HOSPITAL, drawn)


def test_a_signed_report_is_signed_and_edited_no_more(records, reader):
    made = signed_report(records, reader)
    sentence = [DraftSentence("Kalp büyük.", Section.FINDINGS)]
    for again in (
        lambda tx: signing.sign(tx, made.id, 2, proof_of(reader), HOSPITAL, drawn),
        lambda tx: changes.save(tx, made.id, 2, DraftEdit(sentence)),
        lambda tx: changes.judge(tx, made.id, 2, "Mass", Judgement.ADDED),
    ):
        with (
            pytest.raises(Conflict, match="signed report does not change"),
            records.write(reader) as tx,
        ):
            again(tx)


@pytest.mark.both_databases
def test_of_two_who_sign_at_the_same_moment_one_does(both_records):
    people = [made_user(both_records, Role.RADIOLOGIST, name=f"Dr. {number}") for number in range(4)]
    made = made_report(both_records)
    with both_records.write(people[0]) as tx:
        changes.judge_all(tx, made.id, 1, ["Effusion", "Cardiomegaly"], Judgement.ACCEPTED)
    start, signed, refused = threading.Barrier(len(people)), [], []

    def go(person):
        start.wait()
        try:
            with both_records.write(person) as tx:
                signed.append(signing.sign(tx, made.id, 2, proof_of(person), HOSPITAL, drawn))
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=go, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(signed), len(refused)) == (1, 3)
    with both_records.read() as tx:
        assert counts(tx) == (1, 1)


STEPS = ("keep_pictures", "_add_signature", "keep_working", "settle_case", "digest_of")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.both_databases
def test_a_fault_in_the_middle_leaves_a_whole_draft(both_records, radiologist, monkeypatch, step):
    made = made_report(both_records)

    def fail(*_args, **_more):
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(signing, step, fail)
        with pytest.raises(OSError, match="disk is gone"), both_records.write(radiologist) as tx:
            sign(tx, made.id, radiologist)
    with both_records.read(radiologist) as tx:
        assert counts(tx) == (0, 0)
        row, case = tx.session.get_one(Report, made.id), tx.session.get_one(Case, made.case_id)
        assert (row.state, row.version, row.revision) == (ReportState.DRAFT, 0, 1)
        assert case.state is not CaseState.SIGNED
        assert drafts.draft_of(tx, made.id).draft.sentences
        assert "report.signed" not in set(tx.session.scalars(select(AuditRow.action)))
    with both_records.write(radiologist) as tx:
        assert sign(tx, made.id, radiologist).number == 1


def test_a_case_is_signed_with_its_last_report(records, reader):
    first = made_report(records)
    with records.read() as tx:
        number = tx.session.get_one(Case, first.case_id).number
    second = another_image(records, first.case_id)
    with records.write(reader) as tx:
        sign(tx, first.id, reader)
        assert tx.session.get_one(Case, first.case_id).state is not CaseState.SIGNED
        assert reports_of_case(tx, first.case_id) == (first.id, second)
        assert drafts.draft_of(tx, second).number == f"{number}-2"
        sign(tx, second, reader)
        assert tx.session.get_one(Case, first.case_id).state is CaseState.SIGNED


def another_image(records, case_id):
    image_id = made_image(records, case_id, sample.picture(size=(50, 50)))
    document = workflow.report_findings(sample.RESULT, ReportInput(), settings()).document
    with records.write(SYSTEM) as tx:
        return write_draft(tx, image_id, None, document)


def amended(records, radiologist, made, text="Kalp normal büyüklükte."):
    with records.write(radiologist) as tx:
        begun = signing.begin_amendment(tx, made.id, "Kalp\x07 boyutu düzeltildi.")
        kept = [item for item in begun.draft.sentences if "Kardiyomegali" not in item.text]
        saved = changes.save(
            tx, made.id, begun.revision, DraftEdit([*kept, DraftSentence(text, Section.IMPRESSION)])
        )
        decided = changes.decide(tx, made.id, saved.revision, every_mark_kept(saved))
        return signing.sign(tx, made.id, decided.revision, proof_of(radiologist), HOSPITAL, drawn)


def test_an_amendment_is_a_new_version_that_names_the_old(both_records, radiologist):
    made = signed_report(both_records, radiologist)
    with both_records.read(radiologist) as tx:
        before = versions.version_of(tx, made.id, 1)
    signed = amended(both_records, radiologist, made)
    with both_records.read(radiologist) as tx:
        first, second = versions.version_of(tx, made.id, 1), versions.version_of(tx, made.id)
        known = versions.versions_of(tx, made.id)
    assert signed.number == second.info.number == 2
    assert (second.info.replaces, second.reason, second.document.state) == (
        1,
        "Kalp boyutu düzeltildi.",
        ReportState.AMENDED,
    )
    old = first.document
    assert old.signature is not None
    assert old.replaces is None and second.document.replaces == ReplacedVersion(
        1,
        old.signature.signed_at,
        "Kalp boyutu düzeltildi.",
    )
    assert first.document == before.document
    assert (first.info.is_last, second.info.is_last) == (False, True)
    assert [item.number for item in known] == [1, 2]
    assert first.info.verification != second.info.verification
    changes = {
        one.change for part in compared(first.document.draft, second.document.draft) for one in part.stretches
    }
    assert changes == set(Change)


def test_an_amendment_needs_a_reason_and_a_signed_report(records, reader):
    draft = made_report(records)
    made = signed_report(records, reader)
    for reason in ("", " \n", "x" * (signing.LONGEST_REASON + 1)):
        with pytest.raises(InputError, match="reason"), records.write(reader) as tx:
            signing.begin_amendment(tx, made.id, reason)
    with pytest.raises(Conflict, match="being written"), records.write(reader) as tx:
        signing.begin_amendment(tx, draft.id, "Neden")
    with records.write(reader) as tx:
        signing.begin_amendment(tx, made.id, "Neden")
    with pytest.raises(Conflict, match="being written"), records.write(reader) as tx:
        signing.begin_amendment(tx, made.id, "Neden")


def test_an_amendment_that_is_given_up_leaves_the_signed_version(both_records, radiologist):
    made = signed_report(both_records, radiologist)
    with both_records.write(radiologist) as tx:
        begun = signing.begin_amendment(tx, made.id, "Yanlışlıkla")
        under_way = signing.amendment_of(tx, made.id)
        assert under_way is not None and under_way.reason == "Yanlışlıkla"
        signing.drop_amendment(tx, made.id, begun.revision)
        assert signing.amendment_of(tx, made.id) is None
        assert versions.version_of(tx, made.id).info.number == 1


def test_whoever_corrects_a_draft_is_counted(both_records, radiologist):
    signed_report(both_records, radiologist)
    made = made_report(both_records)
    with both_records.write(radiologist) as tx:
        found = drafts.draft_of(tx, made.id)
        changes.save(tx, made.id, 1, DraftEdit(found.draft.sentences[:-1]))
        assert sign(tx, made.id, radiologist).corrected
        counted = collect_metrics(tx)
    assert (counted.drafts_corrected, counted.drafts_signed) == (1, 2)


def test_a_report_by_hand_had_no_draft_to_correct(records, reader):
    case_id = made_case(records, made_user(records, Role.RECEPTION))
    image_id = made_image(records, case_id)
    with records.write(reader) as tx:
        begun = drafts.write_by_hand(tx, image_id, Language.TR)
        changes.save(tx, begun.report_id, 1, DraftEdit([DraftSentence("Kalp büyük.", Section.FINDINGS)]))
        sign(tx, begun.report_id, reader)
        assert (collect_metrics(tx).drafts_signed, collect_metrics(tx).reports_signed) == (0, 1)


def test_what_was_judged_stands_so_in_every_document(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        changes.judge(tx, made.id, 1, "Effusion", Judgement.REJECTED, sentences_follow=True)
        changes.judge(tx, made.id, 2, "Nodule", Judgement.ADDED)
        changes.judge(tx, made.id, 3, "Cardiomegaly", Judgement.ACCEPTED)
        sign(tx, made.id, reader)
        version = versions.version_of(tx, made.id)
    document = version.document
    assert document.result == sample.RESULT  # the model's own words stay the model's
    answer = {item.label: (item.present, item.judgement) for item in statements(document)}
    assert answer == {  # of what was rejected no sentence speaks, so no document does
        "Cardiomegaly": (True, Judgement.ACCEPTED),
        "Nodule": (True, Judgement.ADDED),
    }
    assert document.heatmap is None  # it was the rejected finding's
    bundle = json.loads(to_fhir(document))
    resources = [entry["resource"] for entry in bundle["entry"]]
    present = {
        item["code"]["coding"][-1]["code"]: (item["valueBoolean"], item["status"])
        for item in resources
        if item["resourceType"] == "Observation" and "valueBoolean" in item
    }
    assert present == {
        "Cardiomegaly": (True, "final"),
        "Nodule": (True, "final"),
    }
    read = sr.Comprehensive3DSR.from_dataset(dcmread(BytesIO(to_sr(document))))
    groups = read.content.get_image_measurement_groups()
    found = {group.tracking_identifier for group in groups if group.finding_type is not None}
    assert found == {"Cardiomegaly", "Nodule"} and len(groups) == 2
    rows = [row.split("|") for row in to_hl7(document).decode().split("\r") if row.startswith("OBX")]
    assert not [row for row in rows if row[3].startswith("Effusion^")]
    assert {(item.label, item.judgement) for item in version.verdicts} == {
        ("Effusion", Judgement.REJECTED),
        ("Nodule", Judgement.ADDED),
        ("Cardiomegaly", Judgement.ACCEPTED),
    }
