"""How soon a case is read: it follows what stands, up and down, and a person's own word holds."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests.documents import sample
from tests.records import changes
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import made_image, made_report
from tetkik import workflow
from tetkik.errors import Conflict
from tetkik.records.cases import cases, priority
from tetkik.records.cases.complaints import TriagedComplaint
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.jobs import JobKind
from tetkik.records.reports import drafts
from tetkik.records.schema import AuditRow, CaseMark, Job
from tetkik.records.worklist import case_contents
from tetkik.values import SYSTEM, Judgement, Priority, Role, UrgencyLevel

YELLOW = "üç gündür nefes darlığım var, sağ tarafım batıyor"
REJECTED, ADDED, ACCEPTED = Judgement.REJECTED, Judgement.ADDED, Judgement.ACCEPTED


@pytest.fixture
def radiologist(both_records):
    return made_user(both_records, Role.RADIOLOGIST)


def found(*labels):
    """The answer of a model that found these and nothing else."""
    names = ("Effusion", "Pneumothorax", "Normal", "Mass")
    return replace(
        sample.RESULT, findings=tuple(sample.finding(name, 0.9 if name in labels else 0.1) for name in names)
    )


def priority_in(records, case_id):
    with records.read() as tx:
        return cases.load_case(tx, case_id, audit=False).priority


def judged(records, actor, report, label, judgement):
    with records.write(actor) as tx:
        revision = drafts.draft_of(tx, report.id).revision
        changes.judge(tx, report.id, revision, label, judgement)
    return priority_in(records, report.case_id)


def received(records, seq):
    with records.read() as tx:
        return [one.kind for one in case_contents.load_events_after(tx, seq).events]


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ((), Priority.ROUTINE),
        (("Normal",), Priority.ROUTINE),
        (("Mass",), Priority.URGENT),
        (("Mass", "Pneumothorax"), Priority.CRITICAL),
    ],
)
def test_what_was_found_says_how_urgent_it_is(records, labels, wanted):
    assert Priority.of_findings(labels) is wanted
    assert priority_in(records, made_report(records, result=found(*labels)).case_id) is wanted


def test_it_falls_with_a_rejected_finding_and_rises_again_with_it(both_records, radiologist):
    report = made_report(both_records, result=found("Pneumothorax", "Effusion"))
    assert priority_in(both_records, report.case_id) is Priority.CRITICAL
    with both_records.read() as tx:
        seq = case_contents.newest_sequence(tx)
    assert judged(both_records, radiologist, report, "Pneumothorax", REJECTED) is Priority.URGENT
    assert "case" in received(both_records, seq)
    assert judged(both_records, radiologist, report, "Effusion", REJECTED) is Priority.ROUTINE
    assert judged(both_records, radiologist, report, "Pneumothorax", ACCEPTED) is Priority.CRITICAL
    assert judged(both_records, radiologist, report, "Pneumothorax", None) is Priority.CRITICAL
    with both_records.read() as tx:
        marks = tx.session.query(CaseMark).filter_by(case_id=report.case_id).all()
        assert {one.priority for one in marks} == {Priority.CRITICAL}
        changes = [row.content for row in tx.session.query(AuditRow).filter_by(action="case.changed")]
    assert len(changes) == 4  # raised by the model, fallen twice, raised again


def test_what_the_radiologist_added_counts(both_records, radiologist):
    report = made_report(both_records, result=found())
    assert judged(both_records, radiologist, report, "Pneumothorax", ADDED) is Priority.CRITICAL
    assert judged(both_records, radiologist, report, "Pneumothorax", None) is Priority.ROUTINE


def test_it_never_falls_below_what_triage_asks(records):
    complaint = TriagedComplaint(workflow.triage(YELLOW, "triage-linear-tr"), "0" * 64)
    assert complaint.result.urgency.level is UrgencyLevel.SARI
    report = made_report(records, result=found("Pneumothorax"), complaint=complaint)
    reader = made_user(records, Role.RADIOLOGIST)
    assert priority_in(records, report.case_id) is Priority.CRITICAL
    assert judged(records, reader, report, "Pneumothorax", REJECTED) is Priority.URGENT


def test_what_was_not_assessed_does_not_wait(both_records, radiologist):
    complaint = TriagedComplaint(workflow.triage("My stomach hurts", "triage-linear-tr"), "0" * 64)
    report = made_report(both_records, result=found("Pneumothorax"), complaint=complaint)
    with both_records.read() as tx:
        case = cases.load_case(tx, report.case_id, audit=False)
    assert case.complaint is not None
    assert (case.urgency, case.complaint.result) == (None, complaint.result)
    assert case.priority is Priority.CRITICAL
    assert judged(both_records, radiologist, report, "Pneumothorax", REJECTED) is Priority.URGENT


def test_the_finding_of_another_image_keeps_it(records):
    first = made_report(records, result=found("Pneumothorax"))
    second = made_report(records, result=found("Pneumothorax"), case_id=first.case_id)
    reader = made_user(records, Role.RADIOLOGIST)
    assert judged(records, reader, first, "Pneumothorax", REJECTED) is Priority.CRITICAL
    assert judged(records, reader, second, "Pneumothorax", REJECTED) is Priority.ROUTINE


def test_a_second_answer_counts_and_a_failed_one_leaves_the_first(records):
    report = made_report(records, result=found("Pneumothorax"))
    for result, wanted in ((None, Priority.CRITICAL), (found("Mass"), Priority.URGENT)):
        with records.write(SYSTEM) as tx:
            answer = runs.ModelAnswer("findings-test 1.0", "ab" * 32, tx.now, result)
            runs.add_run(tx, images.load_image(tx, report.image_id), answer)
        assert priority_in(records, report.case_id) is wanted


def test_a_persons_own_word_holds_whatever_is_found(both_records, radiologist):
    desk = made_user(both_records, Role.RECEPTION)
    report = made_report(both_records, result=found("Effusion"))
    with both_records.read() as tx:
        seq = case_contents.newest_sequence(tx)
    with both_records.write(desk) as tx:
        priority.choose_priority(tx, report.case_id, Priority.ROUTINE)
    assert "case" in received(both_records, seq)
    assert priority_in(both_records, report.case_id) is Priority.ROUTINE
    assert judged(both_records, radiologist, report, "Pneumothorax", ADDED) is Priority.ROUTINE
    with both_records.write(desk) as tx:
        priority.choose_priority(tx, report.case_id, None)
        assert not cases.load_case(tx, report.case_id).priority_chosen
    assert priority_in(both_records, report.case_id) is Priority.CRITICAL


def test_what_was_chosen_at_the_desk_holds_and_waiting_work_goes_with_it(records):
    desk = made_user(records, Role.RECEPTION)
    case_id = made_case(records, desk, priority=Priority.URGENT)
    image_id = made_image(records, case_id)
    with records.write(SYSTEM) as tx:
        jobs.add_job(tx, JobKind.READ_IMAGE, images.load_image(tx, image_id), Priority.URGENT)
    with records.write(desk) as tx:
        assert cases.load_case(tx, case_id).priority_chosen
        priority.choose_priority(tx, case_id, Priority.CRITICAL)
        assert [job.priority for job in tx.session.query(Job)] == [Priority.CRITICAL]


def test_a_closed_case_stays_as_it_is_until_it_is_taken_up_again(records):
    desk, reader = made_user(records, Role.RECEPTION), made_user(records, Role.RADIOLOGIST)
    report = made_report(records, result=found("Pneumothorax"))
    with records.write(desk) as tx:
        cases.close(tx, report.case_id)
    with pytest.raises(Conflict), records.write(desk) as tx:
        priority.choose_priority(tx, report.case_id, Priority.ROUTINE)
    assert judged(records, reader, report, "Pneumothorax", REJECTED) is Priority.CRITICAL
    with records.write(desk) as tx:
        cases.reopen(tx, report.case_id)
    assert priority_in(records, report.case_id) is Priority.ROUTINE


@pytest.mark.both_databases
def test_two_who_judge_two_images_at_once_leave_what_stands(both_records, radiologist):
    first = made_report(both_records, result=found("Pneumothorax"))
    second = made_report(both_records, result=found("Pneumothorax"), case_id=first.case_id)
    start = threading.Barrier(2)

    def judge(report):
        start.wait()
        judged(both_records, radiologist, report, "Pneumothorax", REJECTED)

    people = [threading.Thread(target=judge, args=(report,)) for report in (first, second)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert priority_in(both_records, first.case_id) is Priority.ROUTINE
