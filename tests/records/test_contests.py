"""Two who move, sign, judge, withdraw or change the same at once: both are right, or one is told why not."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest

from tests.documents import sample
from tests.records import changes
from tests.records.cases.test_priority import found
from tests.records.contest import Other
from tests.records.kit import made_records, made_user
from tests.records.moving_kit import ALI, made_patient, opened, patient_of
from tests.records.pictured import film, radiograph
from tests.records.reports_kit import HOSPITAL, drawn, made_ready, made_report, proof_of, sign
from tetkik.errors import Conflict
from tetkik.language import Language
from tetkik.records.cases import cases, locks, priority
from tetkik.records.cases.transfers import CaseMoved
from tetkik.records.images import images, jobs, received_decisions, runs
from tetkik.records.images.images import ImageMetadata
from tetkik.records.lifecycle import retention
from tetkik.records.reports import drafts, signing, withdrawal
from tetkik.records.reports.edit_conflicts import row_of
from tetkik.records.schema import Case, Report
from tetkik.values import SYSTEM, Actor, CaseState, Judgement, MoveReason, Priority, Role, WithdrawalReason
from tetkik.workflow import case_transfer


@pytest.fixture
def records(postgres, tmp_path):
    url = postgres.fresh()
    opened = made_records(tmp_path, url)
    yield opened
    opened.close()
    postgres.drop(url)


@pytest.fixture
def desk(records) -> Actor:
    return made_user(records, Role.RECEPTION, Role.RADIOLOGIST)


def test_who_signs_and_who_moves_do_not_wait_for_each_other(records, desk):
    report, gulcin = made_report(records, person=ALI), made_patient(records, desk)
    with records.write(desk) as tx:
        seen = case_transfer.preview_transfer(tx, report.case_id, gulcin).seen

    def move():
        with records.write(desk) as tx:
            case_transfer.transfer_case(
                tx, report.case_id, gulcin, MoveReason.CHOSEN_WRONGLY, seen, sure=True
            )

    with records.write(desk) as tx:
        row_of(tx, report.id, lock=True)
        other = Other(records, move)
        other.waits()
        sign(tx, report.id, desk)
    assert "withdraw the report first" in str(other.fails())


@pytest.mark.parametrize("withdraws", [False, True])
def test_two_reports_of_a_patient_are_judged_and_withdrawn_in_turn(records, desk, monkeypatch, withdraws):
    first = made_report(records, result=found("Pneumothorax"))
    second = made_report(records, result=found("Pneumothorax"), case_id=first.case_id)
    if withdraws:
        with records.write(desk) as tx:
            sign(tx, first.id, desk)
    others: list[Other] = []
    begun: list[bool] = []
    follow = locks.lock_row

    def other_first(tx, case_id):
        """Somebody else begins while this one holds the report, and not yet the case."""
        if not begun:
            begun.append(True)
            others.append(Other(records, withdraw if withdraws else lambda: judge(first)))
            others[0].waits()
        return follow(tx, case_id)

    def judge(report):
        with records.write(desk) as tx:
            changes.judge(tx, report.id, 1, "Pneumothorax", Judgement.REJECTED)

    def withdraw():
        with records.write(desk) as tx:
            withdrawal.withdraw(tx, first.id, 1, WithdrawalReason.WRONG_IMAGE, "", proof_of(desk))

    monkeypatch.setattr(priority, "lock_row", other_first)
    judge(second)
    assert others[0].fails() is None
    with records.read() as tx:
        stands = Priority.CRITICAL if withdraws else Priority.ROUTINE
        assert cases.load_case(tx, first.case_id, audit=False).priority is stands


def test_a_chosen_priority_is_not_lost_to_what_is_judged_meanwhile(records, desk):
    report = made_report(records, result=found("Pneumothorax"))
    with records.write(desk) as tx:
        priority.choose_priority(tx, report.case_id, Priority.URGENT)

    def choose():
        with records.write(desk) as tx:
            priority.choose_priority(tx, report.case_id, Priority.URGENT)

    with records.write(desk) as tx:
        priority.choose_priority(tx, report.case_id, None)
        other = Other(records, choose)
        other.waits()
    assert other.fails() is None
    with records.read() as tx:
        row = tx.session.get_one(Case, report.case_id)
        assert (row.priority, row.priority_chosen) == (Priority.URGENT, Priority.URGENT)


def test_two_workers_who_read_two_images_of_a_case_do_not_wait_for_each_other(records, desk, monkeypatch):
    case_id = opened(records, desk, films=2)
    with records.read() as tx:
        first, second = images.list_images(tx, case_id)
    follow, others = priority.update_worklist, []

    def answer(image):
        with records.write(SYSTEM) as tx:
            runs.add_run(tx, image, runs.ModelAnswer("findings-test 1.0", "0" * 64, tx.now, sample.RESULT))
            signing.settle_case(tx, case_id)

    def both_at_once(tx, case):
        monkeypatch.setattr(runs, "update_worklist", follow)
        others.append(Other(records, lambda: answer(second)))
        others[0].waits()
        follow(tx, case)

    monkeypatch.setattr(runs, "update_worklist", both_at_once)
    answer(first)
    assert others[0].fails() is None
    with records.read() as tx:
        assert all(runs.load_latest_run(tx, image.id) is not None for image in (first, second))


def test_two_who_sign_two_reports_of_a_case_do_not_wait_for_each_other(records, desk, monkeypatch):
    first = made_report(records)
    second = made_report(records, case_id=first.case_id)
    colleague, settle, others, revisions = made_user(records, Role.RADIOLOGIST), signing.settle_case, [], {}
    for report in (first, second):  # before: whoever judges holds every report of the patient
        with records.write(desk) as tx:
            revisions[report.id] = made_ready(tx, report.id).revision

    def signed(report, actor):
        with records.write(actor) as tx:
            signing.sign(tx, report.id, revisions[report.id], proof_of(actor), HOSPITAL, drawn)

    def both_at_once(tx, case_id):
        monkeypatch.setattr(signing, "settle_case", settle)
        others.append(Other(records, lambda: signed(first, colleague)))
        others[0].waits()
        settle(tx, case_id)

    monkeypatch.setattr(signing, "settle_case", both_at_once)
    signed(second, desk)
    assert others[0].fails() is None
    with records.read() as tx:
        assert all(tx.session.get_one(Report, report.id).version == 1 for report in (first, second))
        assert tx.session.get_one(Case, first.case_id).state is CaseState.SIGNED


def test_two_studies_that_come_into_a_case_that_was_put_away_take_it_up_in_turn(records, desk):
    case_id = opened(records, desk, films=1)
    with records.write(desk) as tx:
        cases.close(tx, case_id)

    def take_up():
        with records.write(SYSTEM) as tx:
            received_decisions.take_up(tx, case_id)

    with records.write(SYSTEM) as tx:
        received_decisions.take_up(tx, case_id)
        tx.session.flush()
        other = Other(records, take_up)
        other.waits()
    assert other.fails() is None
    with records.read() as tx:
        assert not tx.session.get_one(Case, case_id).state.ended


CHANGES = {
    "question": lambda tx, case: cases.change_question(tx, case, "Kırık var mı?"),
    "close": cases.close,
    "restrict": cases.restrict,
    "department": lambda tx, case: cases.change_department(tx, case, "Kardiyoloji"),
    "priority": lambda tx, case: priority.choose_priority(tx, case, Priority.CRITICAL),
    "person": lambda tx, case: cases.change_person(tx, case, replace(ALI, number="H-8")),
    "by hand": lambda tx, case: drafts.write_by_hand(tx, _image(tx, case).id, Language.TR),
    "read again": lambda tx, case: jobs.add_job(
        tx, jobs.JobKind.READ_IMAGE, _image(tx, case), Priority.ROUTINE
    ),
}


def _image(tx, case_id):
    return images.list_images(tx, case_id)[0]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_changed_while_a_case_is_moved_is_not_left_behind(records, desk, change):
    case_id, gulcin = opened(records, desk, films=1), made_patient(records, desk)
    with records.write(desk) as tx:
        seen = case_transfer.preview_transfer(tx, case_id, gulcin).seen

    def changed():
        with records.write(desk) as tx:
            change(tx, case_id)

    with records.write(desk) as tx:
        case_transfer.transfer_case(tx, case_id, gulcin, MoveReason.CHOSEN_WRONGLY, seen, sure=True)
        tx.session.flush()
        other = Other(records, changed)
        other.waits()
    assert isinstance(other.fails(), CaseMoved)
    with records.read() as tx:
        row = tx.session.get_one(Case, case_id)
        assert (row.state, row.question, row.restricted) == (CaseState.MOVED, None, False)


def test_of_two_who_move_a_case_one_is_told(records, desk):
    case_id, gulcin = opened(records, desk, films=1), made_patient(records, desk)
    with records.write(desk) as tx:
        seen = case_transfer.preview_transfer(tx, case_id, gulcin).seen

    def move():
        with records.write(desk) as tx:
            return case_transfer.transfer_case(tx, case_id, gulcin, MoveReason.ALIKE, seen, sure=True)

    with records.write(desk) as tx:
        case_transfer.transfer_case(tx, case_id, gulcin, MoveReason.CHOSEN_WRONGLY, seen, sure=True)
        other = Other(records, move)
        other.waits()
    assert isinstance(other.fails(), CaseMoved)


def test_who_signs_anew_while_it_is_withdrawn_is_told(records, desk):
    report = made_report(records)
    with records.write(desk) as tx:
        sign(tx, report.id, desk)

    def amend():
        with records.write(desk) as tx:
            signing.begin_amendment(tx, report.id, "Sağ yerine sol")

    with records.write(desk) as tx:
        withdrawal.withdraw(tx, report.id, 1, WithdrawalReason.WRONG_TEXT, "", proof_of(desk))
        other = Other(records, amend)
        other.waits()
    assert isinstance(other.fails(), Conflict)
    with records.read() as tx:
        assert tx.session.get_one(Report, report.id).amending is None


def test_a_file_sent_while_it_is_forgotten_stays(records, desk):
    """Another case of the wrong patient gets the very file, while the moved one is being forgotten."""
    case_id, gulcin = opened(records, desk, films=1), made_patient(records, desk)
    ali = patient_of(records, case_id)
    with records.write(desk) as tx:
        own, seen = cases.open_case(tx, ali), case_transfer.preview_transfer(tx, case_id, gulcin).seen
    with records.write(desk) as tx:
        done = case_transfer.transfer_case(tx, case_id, gulcin, MoveReason.CHOSEN_WRONGLY, seen, sure=True)
    with records.write(desk) as tx:
        file = images.store_file(tx, ali, BytesIO(film(1)))
        other = Other(records, lambda: case_transfer.remove_leftover_files(records, done))
        other.waits()
        image = images.add_image(tx, own, file, ImageMetadata.of(radiograph(1), "film.dcm")).image
    assert other.fails() is None
    with records.read(desk) as tx:
        assert images.read_content(tx, image) == film(1)


def test_of_several_processes_one_applies_retention_and_the_next_one_after_it_was_killed(
    records, tmp_path, monkeypatch
):
    other = made_records(tmp_path, records.engine.url.render_as_string(hide_password=False))
    terms, apply, begun = retention.RetentionTerms(20), retention.apply_retention, []

    def applied(applying, given):
        begun.append(applying)
        if len(begun) == 1:
            assert retention.apply_if_due(other, terms) is None
            raise RuntimeError("killed")
        return apply(applying, given)

    monkeypatch.setattr(retention, "apply_retention", applied)
    with pytest.raises(RuntimeError, match="killed"):
        retention.apply_if_due(records, terms)
    assert retention.apply_if_due(other, terms) is not None
    assert retention.apply_if_due(records, terms) is None
    assert begun == [records, other]
    other.close()
