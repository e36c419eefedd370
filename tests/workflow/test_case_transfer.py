"""A case of the wrong patient goes on as one of the right patient: all of it there, nothing of it here."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest
from sqlalchemy import select

from tests.documents import sample
from tests.records import changes
from tests.records.desk import TEXT
from tests.records.kit import made_case, made_user, take_job
from tests.records.moving_kit import ALI, GULCIN, QUESTION, made_patient, moved, opened, patient_of
from tests.records.pictured import film, put, radiograph, result
from tests.records.reports_kit import made_image, made_report, proof_of, reports_of_case, sign, write_draft
from tetkik import workflow
from tetkik.errors import Conflict, Forbidden, NotFound, RecordsError
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients, transfers, triage_feedback
from tetkik.records.cases import triage_feedback as performance
from tetkik.records.cases.complaints import UrgencyChoice
from tetkik.records.cases.patients import Person
from tetkik.records.cases.transfers import CaseMoved
from tetkik.records.images import images, jobs, presentation_states, received_decisions, runs
from tetkik.records.images.images import DerivedImageKind
from tetkik.records.images.received_decisions import Destination
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.reports import (
    department_statistics,
    drafts,
    findings_feedback,
    signing,
    versions,
    withdrawal,
)
from tetkik.records.schema import AuditRow, Case, Claim, Image, Job
from tetkik.records.trail.verify import verify
from tetkik.records.worklist import claims, worklist
from tetkik.rules.editing import DraftEdit
from tetkik.settings import settings
from tetkik.values import (
    SYSTEM,
    Actor,
    CaseState,
    Identity,
    Judgement,
    MoveReason,
    ReportInput,
    Role,
    UrgencyLevel,
    UrgencyReason,
    WithdrawalReason,
)
from tetkik.workflow import case_transfer

STATE = b"a presentation state"


@pytest.fixture
def desk(both_records) -> Actor:
    return made_user(both_records, Role.RECEPTION, Role.RADIOLOGIST, name="Elif KAYA")


def test_the_right_patient_has_what_was_said_chosen_and_sent_and_since_when(both_records, desk):
    case_id = opened(both_records, desk)
    technician = made_user(both_records, Role.TECHNICIAN)
    put(both_records, technician, case_id, 3)
    gulcin = made_patient(both_records, desk)
    with both_records.write(desk) as tx:
        presentation_states.add_state(tx, images.list_images(tx, case_id)[1], STATE)
    with both_records.read(desk) as tx:
        before, sent = cases.load_case(tx, case_id, audit=False), images.list_images(tx, case_id)
        contents = [images.read_content(tx, image) for image in sent]
        names = [images.load_metadata(tx, image) for image in sent]
        shas = [images.load_sha256(tx, image) for image in sent]
        stamps = [tx.session.get_one(Image, image.id).created_by for image in sent]
        small = [images.heatmap_labels(tx, image.id) for image in sent]
    assert small == [("Effusion",), ("Effusion",), ()]
    done = moved(both_records, desk, case_id, gulcin)
    with both_records.read(desk) as tx:
        after = cases.load_case(tx, done.case_id, audit=False)
        there = images.list_images(tx, done.case_id)
        assert [images.read_content(tx, image) for image in there] == contents
        assert [replace(images.load_metadata(tx, image), confirmed=()) for image in there] == names
        assert [images.load_sha256(tx, image) for image in there] == shas
        assert [tx.session.get_one(Image, image.id).created_by for image in there] == stamps
        assert [image.created_at for image in there] == [image.created_at for image in sent]
        assert [runs.load_latest_run(tx, image.id) for image in there] == [None] * 3
        assert [drafts.report_of_image(tx, image.id) for image in there] == [None] * 3
        assert [images.heatmap_labels(tx, image.id) for image in there] == [()] * 3
        assert images.read_derived_image(tx, there[0], DerivedImageKind.PREVIEW) == sample.picture(shade=1)
        states = [presentation_states.states_of_image(tx, image) for image in there]
        assert states == [(), (STATE,), ()]
        assert set(tx.session.scalars(select(Job.image_id))) == {image.id for image in there}
        assert verify(tx).whole and verify_stored(tx).faults == ()
    assert (after.patient_id, after.person, after.state) == (gulcin, GULCIN, CaseState.PROCESSING)
    same = ("department", "urgency", "priority", "waiting_since", "created_at", "question", "restricted")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert after.complaint is not None and before.complaint is not None
    assert replace(after.complaint, id="") == replace(before.complaint, id="")
    assert after.complaint.chosen_by == desk.user_id and after.number != before.number


def test_the_wrong_one_keeps_a_number_and_a_link_and_nothing_else(both_records, desk):
    case_id = opened(both_records, desk)
    gulcin = made_patient(both_records, desk)
    with both_records.write(desk) as tx:
        claims.claim_case(tx, case_id)
        reports = reports_of_case(tx, case_id)
        revision = drafts.draft_of(tx, reports[0]).revision
    done = moved(both_records, desk, case_id, gulcin, MoveReason.ALIKE)
    with both_records.read(desk) as tx:
        left = cases.load_case(tx, case_id, audit=False)
        assert (left.state, left.complaint, left.question, left.urgency) == (CaseState.MOVED, None, "", None)
        there = cases.load_case(tx, done.case_id, audit=False)
        to, origin = left.moves.to, there.moves.origin
        assert to is not None and origin is not None
        assert (to.id, to.number, to.reason, to.moved_by) == (
            done.case_id, there.number, MoveReason.ALIKE, "Elif KAYA"
        )  # fmt: skip
        assert (origin.id, origin.number) == (case_id, left.number)
        assert images.list_images(tx, case_id) == ()
        assert tx.session.get(Claim, case_id) is None
        shown = [item.case_id for item in worklist.load_worklist(tx).items]
        assert shown == [done.case_id]
        (match,) = patients.load_matches(tx, (patient_of(both_records, case_id),))
        assert match.visits == 0
    for attempt in (
        lambda tx: cases.reopen(tx, case_id),
        lambda tx: cases.close(tx, case_id),
        lambda tx: cases.change_department(tx, case_id, "Kardiyoloji"),
        lambda tx: cases.change_question(tx, case_id, "?"),
        lambda tx: cases.set_state(tx, case_id, CaseState.TO_READ),
        lambda tx: claims.claim_case(tx, case_id),
        lambda tx: drafts.draft_of(tx, reports[0]),
        lambda tx: changes.save(tx, reports[0], revision, DraftEdit([])),
        lambda tx: case_transfer.preview_transfer(tx, case_id, gulcin),
        lambda tx: _sent_again(tx, case_id),
    ):
        with pytest.raises(CaseMoved, match=done.number), both_records.write(desk) as tx:
            attempt(tx)


def _sent_again(tx, case_id):
    patient_id = tx.session.get_one(Case, case_id).patient_id
    file = images.store_file(tx, patient_id, BytesIO(film(3)))
    images.add_image(tx, case_id, file, images.ImageMetadata.of(radiograph(3)))


def test_nothing_counts_twice(both_records, desk):
    case_id = opened(both_records, desk)
    with both_records.write(desk) as tx:
        report = reports_of_case(tx, case_id)[0]
        changes.judge(tx, report, drafts.draft_of(tx, report).revision, "Effusion", Judgement.ACCEPTED)
        choice = UrgencyChoice(UrgencyLevel.SARI, UrgencyReason.NOT_NOW, sure=True)
        cases.change_urgency(tx, case_id, choice)
        used = images.measure_usage(tx)
        overridden = performance.overrides(tx)
        held = performance.overall(performance.performance(tx))
        urgent = performance.by_urgency(tx)
        (ran,) = runs.list_bundles(tx)
    assert ran.runs == 2
    done = moved(both_records, desk, case_id, made_patient(both_records, desk))
    with both_records.write(desk) as tx:
        assert images.measure_usage(tx) == used and used.files == 2
        assert performance.overall(performance.performance(tx)) == held
        assert performance.by_urgency(tx) == urgent
        assert performance.overrides(tx) == overridden and overridden.models[0].lowered == 1
        assert cases.load_case(tx, done.case_id, audit=False).urgency is UrgencyLevel.SARI
        assert len(triage_feedback.export(tx).rows) == 1 and triage_feedback.export(tx).erased == 0
        assert findings_feedback.judged_images(tx).images == ()
        assert runs.list_bundles(tx) == ()
        assert department_statistics.agreement(tx, department_statistics.weeks_until(tx.now)) == ()
        assert department_statistics.queue(tx).waiting == 2
        for image in images.list_images(tx, done.case_id):
            assert runs.list_earlier_runs(tx, image) == ()


def test_it_is_no_prior_of_the_wrong_patient_and_the_images_keep_their_place_in_time(records, reader):
    case_id = opened(records, reader, films=1)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    with records.write(reader) as tx:
        own, later = cases.open_case(tx, ali), cases.open_case(tx, gulcin)
    of_ali, of_gulcin = put(records, reader, own, 3).image, put(records, reader, later, 2).image
    with records.read() as tx:
        assert [run.case_id for run in runs.list_earlier_runs(tx, of_ali)] == [case_id]
    done = moved(records, reader, case_id, gulcin)
    with records.write(SYSTEM) as tx:
        assert runs.list_earlier_runs(tx, of_ali) == ()
        (image,) = images.list_images(tx, done.case_id)
        runs.add_run(tx, image, runs.ModelAnswer("m 1.0", "0" * 64, tx.now, result(flaws=())))
        assert [run.image_id for run in runs.list_earlier_runs(tx, of_gulcin)] == [image.id]


def test_a_draft_of_the_wrong_patient_that_was_compared_with_it_is_not_signed_unseen(records, reader):
    made = made_report(records, person=ALI)
    ali, gulcin = patient_of(records, made.case_id), made_patient(records, reader)
    with records.write(reader) as tx:
        own = cases.open_case(tx, ali)
    image_id = made_image(records, own)
    found = replace(sample.RESULT, sha256="cd" * 32)
    reported = workflow.report_findings(
        found, ReportInput(), settings(), prior=sample.RESULT, language=Language.TR
    )
    with records.write(SYSTEM) as tx:
        run = runs.add_run(
            tx, images.load_image(tx, image_id), runs.ModelAnswer("m 1", "ab" * 32, tx.now, found)
        )
        document, prior = reported.document, sample.RESULT
        report = write_draft(tx, image_id, run, document, prior=prior)
        assert drafts.draft_of(tx, report).draft.open_marks == 0
    moved(records, reader, made.case_id, gulcin)
    with records.read(reader) as tx:
        after = drafts.draft_of(tx, report)
        assert after.draft.open_marks > 0
        assert drafts.redraft_input(tx, report, after.revision).prior is None


def test_a_signed_report_stands_in_the_way_until_it_is_withdrawn(both_records, desk):
    report = made_report(both_records, person=ALI)
    gulcin = made_patient(both_records, desk)
    with both_records.write(desk) as tx:
        claims.claim_case(tx, report.case_id)
        sign(tx, report.id, desk)
    with both_records.write(desk) as tx, pytest.raises(Conflict, match="withdraw the report first"):
        case_transfer.preview_transfer(tx, report.case_id, gulcin)
    with both_records.write(desk) as tx:
        withdrawal.withdraw(tx, report.id, 1, WithdrawalReason.WRONG_PATIENT, "", proof_of(desk))
    done = moved(both_records, desk, report.case_id, gulcin)
    with both_records.read(desk) as tx:
        # What was signed is kept as it was signed, withdrawn, in the name under which it was issued.
        version = versions.version_of(tx, report.id, 1)
        assert version.document.image is not None and version.document.signature is not None
        (image,) = images.list_images(tx, done.case_id)
        assert drafts.report_of_image(tx, image.id) is None
        assert verify_stored(tx).faults == ()
        with pytest.raises(CaseMoved):
            drafts.draft_of(tx, report.id)


def test_a_withdrawn_report_is_not_amended_in_the_case_that_was_left(records, reader):
    report = made_report(records, person=ALI)
    gulcin = made_patient(records, reader)
    with records.write(reader) as tx:
        sign(tx, report.id, reader)
        withdrawal.withdraw(tx, report.id, 1, WithdrawalReason.WRONG_PATIENT, "", proof_of(reader))
    moved(records, reader, report.case_id, gulcin)
    with pytest.raises(CaseMoved), records.write(reader) as tx:
        signing.begin_amendment(tx, report.id, "Sağ yerine sol")
    with records.read(reader) as tx, pytest.raises(CaseMoved):
        drafts.write_by_hand(tx, report.image_id, Language.TR)


def test_a_draft_that_was_begun_since_somebody_looked_is_not_dropped_unseen(records, reader):
    report, gulcin = made_report(records, person=ALI), made_patient(records, reader)
    with records.write(reader) as tx:
        looked = case_transfer.preview_transfer(tx, report.case_id, gulcin)
        changes.judge(tx, report.id, 1, "Effusion", Judgement.REJECTED)
    with records.write(reader) as tx, pytest.raises(Conflict, match="changed since you looked"):
        case_transfer.transfer_case(
            tx, report.case_id, gulcin, MoveReason.CHOSEN_WRONGLY, looked.seen, sure=True
        )


def test_nobody_is_found_whose_cases_are_another_departments(records, reader):
    case_id = made_case(records, reader, ALI, department="Üroloji")
    made_case(records, reader, GULCIN, department="Kardiyoloji")
    both = made_user(records, Role.CLINICIAN, Role.ADMINISTRATOR, departments=("Üroloji",))
    with records.write(both) as tx:
        assert case_transfer.search_recipients(tx, case_id, GULCIN.name) == ()
    with records.write(reader) as tx:
        assert [one.person.name for one in case_transfer.search_recipients(tx, case_id, GULCIN.name)] == [
            GULCIN.name
        ]
        assert case_transfer.search_recipients(tx, case_id, ALI.name) == ()


def test_it_goes_back_the_same_way(records, reader):
    case_id = opened(records, reader, films=1)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    there = moved(records, reader, case_id, gulcin)
    back = moved(records, reader, there.case_id, ali, MoveReason.MOVED_WRONGLY)
    with records.read(reader) as tx:
        shown = cases.load_case(tx, back.case_id, audit=False)
        assert (shown.patient_id, shown.question) == (ali, QUESTION)
        assert shown.complaint is not None and shown.complaint.result.text == TEXT
        (image,) = images.list_images(tx, back.case_id)
        assert images.read_content(tx, image) == film(1)
        three = (case_id, there.case_id, back.case_id)
        assert [transfers.load_moves(tx, one).to is not None for one in three] == [True, True, False]
        with pytest.raises(RecordsError):
            records.files.get(tx.key(gulcin), image.file)


def test_images_that_name_another_go_only_where_somebody_is_sure(records, reader):
    case_id = made_report(records, person=ALI).case_id  # its file says Gülçin Işıl ŞAHİN
    ayse = made_patient(records, reader, Person("Ayşe DEMİR", number="A-1"))
    with records.write(reader) as tx:
        looked = case_transfer.preview_transfer(tx, case_id, ayse)
        assert [one.trait.value for one in looked.differs] == ["name"]
        with pytest.raises(Conflict, match="only if you are sure"):
            case_transfer.transfer_case(tx, case_id, ayse, MoveReason.CHOSEN_WRONGLY, looked.seen)
    moved(records, reader, case_id, ayse)
    with records.read() as tx:
        answer = tx.session.scalars(
            select(AuditRow.content).where(AuditRow.action == Action.CASE_MOVED)
        ).all()
    assert all('"confirmed":"name"' in (one or "") for one in answer) and len(answer) == 2


def test_images_that_name_the_right_one_go_without_a_question(records, reader):
    case_id = made_report(records, person=ALI).case_id
    right = made_patient(records, reader, Person("Gülçin Işıl ŞAHİN", number="4711|A^B"))
    with records.write(reader) as tx:
        looked = case_transfer.preview_transfer(tx, case_id, right)
    assert looked.differs == ()
    moved(records, reader, case_id, right, sure=False)


def test_an_image_sent_once_more_in_the_wrong_name_is_not_taken_for_the_wrong_patients(both_records, desk):
    case_id = opened(both_records, desk, films=1)
    gulcin = made_patient(both_records, desk)
    with both_records.read() as tx:
        (image,) = images.list_images(tx, case_id)
        sha256 = images.load_sha256(tx, image)
        study = images.load_metadata(tx, image).identity.study_uid
    done = moved(both_records, desk, case_id, gulcin)
    again = Identity(patient_name="VELİ^Ali", patient_id="H-7")
    with both_records.read() as tx:
        home = Destination(gulcin, done.case_id)
        assert received_decisions.find_destination(tx, again, sha256) == home
        assert received_decisions.find_destination(tx, replace(again, study_uid=study), "0" * 64) == home
        assert (
            received_decisions.find_destination(tx, replace(again, study_uid="1.2.3"), "0" * 64).case_id
            is None
        )


def test_only_what_was_looked_at_is_moved(records, reader):
    case_id = opened(records, reader, films=1)
    gulcin = made_patient(records, reader)
    with records.write(reader) as tx:
        seen = case_transfer.preview_transfer(tx, case_id, gulcin).seen
    put(records, reader, case_id, 2)
    for shown in (seen, ""):
        with records.write(reader) as tx, pytest.raises(Conflict, match="has changed since"):
            case_transfer.transfer_case(tx, case_id, gulcin, MoveReason.ALIKE, shown, sure=True)
    with records.write(reader) as tx:
        seen = case_transfer.preview_transfer(tx, case_id, gulcin).seen
        patients.change(tx, gulcin, replace(GULCIN, number="H-2"))
        with pytest.raises(Conflict, match="has changed since"):
            case_transfer.transfer_case(tx, case_id, gulcin, MoveReason.ALIKE, seen, sure=True)


def test_who_may_not_see_both_moves_nothing(both_records, desk):
    case_id = opened(both_records, desk, films=0)
    gulcin = patient_of(both_records, made_case(both_records, desk, GULCIN, department="Kardiyoloji"))
    urologist = made_user(both_records, Role.CLINICIAN, Role.ADMINISTRATOR, departments=("Üroloji",))
    manager = made_user(both_records, Role.ADMINISTRATOR)
    for actor, sentence in ((urologist, "let reception move"), (manager, "case.read")):
        with both_records.write(actor) as tx, pytest.raises(Forbidden, match=sentence):
            case_transfer.preview_transfer(tx, case_id, gulcin)
    empty = made_patient(both_records, desk, Person("Ayşe DEMİR"))
    moved(both_records, urologist, case_id, empty)


def test_it_is_refused_for_the_same_person_the_erased_and_what_is_closed(records, reader):
    case_id = opened(records, reader, films=0)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    with records.write(reader) as tx, pytest.raises(Conflict, match="one patient already"):
        case_transfer.preview_transfer(tx, case_id, ali)
    with records.write(reader) as tx:
        cases.close(tx, case_id)
        with pytest.raises(Conflict, match="take it up again first"):
            case_transfer.preview_transfer(tx, case_id, gulcin)
        cases.reopen(tx, case_id)
    erase(records, gulcin, ErasureReason.REQUEST, years=20)
    for unknown in (gulcin, "0" * 26):
        with records.write(reader) as tx, pytest.raises(NotFound):
            case_transfer.preview_transfer(tx, case_id, unknown)


def test_both_patients_tell_of_it_and_open_pages_hear_at_once(records, reader):
    case_id = opened(records, reader, films=1)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    with records.write(reader) as tx:
        seen = case_transfer.preview_transfer(tx, case_id, gulcin).seen
    with records.write(reader) as tx:
        done = case_transfer.transfer_case(tx, case_id, gulcin, MoveReason.MADE_UNDER, seen, sure=True)
        news = [(one.kind, one.case_id) for one in tx.announcements]
    assert ("moved", case_id) in news and ("case", done.case_id) in news
    with records.read() as tx:
        wanted = select(AuditRow).where(AuditRow.action == Action.CASE_MOVED).order_by(AuditRow.seq)
        rows = tx.session.scalars(wanted).all()
        assert [(row.case_id, row.patient_id, row.user_id) for row in rows] == [
            (done.case_id, gulcin, reader.user_id), (case_id, ali, reader.user_id)
        ]  # fmt: skip
        assert all(
            "made_under" in (row.content or "") and "Gülçin" not in (row.content or "") for row in rows
        )
        looks = select(AuditRow.patient_id).where(AuditRow.action == Action.PATIENT_OPENED)
        assert set(tx.session.scalars(looks)) == {ali, gulcin}


def test_a_worker_that_was_at_an_image_loses_its_work(records, reader):
    case_id = opened(records, reader, films=1)
    with records.write(SYSTEM) as tx:
        work = take_job(tx, "a worker")
    assert work is not None
    moved(records, reader, case_id, made_patient(records, reader))
    with records.write(SYSTEM) as tx, pytest.raises(Conflict, match="taken this work over"):
        jobs.finish_job(tx, work)
