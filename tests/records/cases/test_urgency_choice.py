"""Another urgency than that of triage: set with a reason, audited, taken back, counted, exported."""

from __future__ import annotations

import csv
import io
import json

import pytest
from sqlalchemy import select

from tests.records.desk import made_triaged
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import made_image
from tetkik.errors import Conflict, Forbidden, InputError
from tetkik.records.cases import cases, priority, triage_feedback
from tetkik.records.cases.complaints import UrgencyChoice
from tetkik.records.cases.triage_feedback import Overrides
from tetkik.records.images import images, jobs
from tetkik.records.images.jobs import JobKind
from tetkik.records.schema import AuditRow, Case, Complaint, Job
from tetkik.statistics import wilson_interval
from tetkik.values import Priority, Role, UrgencyLevel, UrgencyReason

pytestmark = pytest.mark.both_databases
RED, AMBER, GREEN = UrgencyLevel
MODEL = "triage-linear-tr 1.1"


@pytest.fixture
def records(both_records):
    return both_records


@pytest.fixture
def desk(records):
    return made_user(records, Role.RECEPTION, name="Ayşe Nur")


def opened(records, desk, level, choice=None, department="Kardiyoloji", **case):
    return made_case(
        records, desk, complaint=made_triaged(level=level), urgency=choice, department=department, **case
    )


def changed(records, actor, case_id, level, reason=None, sure=False):
    with records.write(actor) as tx:
        cases.change_urgency(tx, case_id, UrgencyChoice(level, reason, sure))
    with records.read() as tx:
        return cases.load_case(tx, case_id, audit=False)


def trail(records, case_id):
    with records.read() as tx:
        found = select(AuditRow).where(AuditRow.case_id == case_id, AuditRow.action == "urgency.chosen")
        rows = tx.session.scalars(found.order_by(AuditRow.seq)).all()
        return [(row.user_id, json.loads(row.content or "")["detail"]) for row in rows]


def test_a_level_is_raised_with_a_reason_and_taken_back(records, desk):
    case_id = opened(records, desk, GREEN)
    case = changed(records, desk, case_id, RED, UrgencyReason.VITAL_SIGNS)
    assert (case.urgency, case.priority, case.priority_chosen) == (RED, Priority.CRITICAL, False)
    assert case.complaint is not None and case.complaint.result.urgency.level is GREEN
    held = case.complaint.urgency_chosen
    assert held is not None and (held.level, held.reason, held.by) == (
        RED, UrgencyReason.VITAL_SIGNS, "Ayşe Nur",
    )  # fmt: skip
    back = changed(records, desk, case_id, None, sure=True)
    assert (back.urgency, back.priority) == (GREEN, Priority.ROUTINE)
    assert back.complaint is not None and back.complaint.urgency_chosen is None
    with records.read() as tx:
        row = tx.session.scalars(select(Complaint)).one()
        assert (row.urgency_reason, row.urgency_chosen_by, row.urgency_chosen_at) == (None, None, None)
    assert trail(records, case_id) == [
        (
            desk.user_id,
            {"urgency": "kirmizi", "before": "yesil", "of_triage": "yesil", "reason": "vital_signs"},
        ),
        (desk.user_id, {"urgency": "yesil", "before": "kirmizi", "of_triage": "yesil", "reason": None}),
    ]


def test_a_higher_urgency_lowers_no_priority(records, desk):
    """A case that was moved keeps its priority until its images are read again."""
    case_id = opened(records, desk, GREEN)
    with records.write(desk) as tx:
        tx.session.get(Case, case_id).priority = Priority.CRITICAL
    assert changed(records, desk, case_id, AMBER, UrgencyReason.LOOKS_ILL).priority is Priority.CRITICAL
    # With the urgency it falls.
    assert changed(records, desk, case_id, None).priority is Priority.ROUTINE


def test_the_reason_stays_in_the_trail_where_the_level_of_triage_is_chosen_again(records, desk):
    case_id = opened(records, desk, RED)
    changed(records, desk, case_id, GREEN, UrgencyReason.CHRONIC, sure=True)
    changed(records, desk, case_id, RED, UrgencyReason.VITAL_SIGNS)
    assert [detail["reason"] for _, detail in trail(records, case_id)] == ["chronic", "vital_signs"]


def test_a_red_is_lowered_only_by_whoever_confirms_it(records, desk):
    case_id = opened(records, desk, RED)
    with pytest.raises(Conflict, match="confirm"):
        changed(records, desk, case_id, AMBER, UrgencyReason.CHRONIC)
    assert trail(records, case_id) == []
    assert changed(records, desk, case_id, AMBER, UrgencyReason.CHRONIC, sure=True).urgency is AMBER
    # A red of a person, too; raising asks for nothing.
    assert changed(records, desk, case_id, None).urgency is RED
    green = opened(records, desk, GREEN, UrgencyChoice(RED, UrgencyReason.LOOKS_ILL))
    with pytest.raises(Conflict, match="confirm"):
        changed(records, desk, green, None)


def test_the_level_is_set_while_the_case_is_opened(records, desk):
    case_id = opened(records, desk, AMBER, UrgencyChoice(RED, UrgencyReason.LOOKS_ILL))
    with records.read() as tx:
        case = cases.load_case(tx, case_id, audit=False)
    assert (case.urgency, case.priority) == (RED, Priority.CRITICAL)
    assert [detail["reason"] for _, detail in trail(records, case_id)] == ["looks_ill"]
    with pytest.raises(Conflict, match="confirm"):
        opened(records, desk, RED, UrgencyChoice(GREEN, UrgencyReason.DENIED))


def test_the_level_of_triage_chosen_again_is_no_change(records, desk):
    case_id = opened(records, desk, RED, UrgencyChoice(RED, UrgencyReason.LOOKS_ILL))
    changed(records, desk, case_id, RED, UrgencyReason.OTHER)
    assert trail(records, case_id) == []


def test_another_level_needs_a_reason():
    with pytest.raises(InputError, match="why"):
        UrgencyChoice(RED)


def test_a_priority_that_a_person_chose_stays(records, desk):
    case_id = opened(records, desk, GREEN)
    with records.write(desk) as tx:
        priority.choose_priority(tx, case_id, Priority.URGENT)
    case = changed(records, desk, case_id, RED, UrgencyReason.TOLD_MORE)
    assert (case.urgency, case.priority, case.priority_chosen) == (RED, Priority.URGENT, True)


def test_what_waits_for_the_case_goes_first_then(records, desk):
    case_id = opened(records, desk, GREEN)
    image_id = made_image(records, case_id)
    with records.write(desk) as tx:
        jobs.add_job(tx, JobKind.READ_IMAGE, images.load_image(tx, image_id), Priority.ROUTINE)
    changed(records, desk, case_id, RED, UrgencyReason.TOLD_MORE)
    with records.read() as tx:
        assert tx.session.scalars(select(Job.priority)).all() == [Priority.CRITICAL]


def test_nothing_is_set_where_there_is_nothing_to_set(records, desk):
    bare = made_case(records, desk)
    with pytest.raises(Conflict, match="no complaint"):
        changed(records, desk, bare, RED, UrgencyReason.LOOKS_ILL)
    closed = opened(records, desk, GREEN)
    with records.write(desk) as tx:
        cases.close(tx, closed)
    with pytest.raises(Conflict, match="closed"):
        changed(records, desk, closed, RED, UrgencyReason.LOOKS_ILL)
    other = made_user(records, Role.CLINICIAN, departments=("Nöroloji",))
    with pytest.raises(Forbidden):
        changed(records, other, opened(records, desk, GREEN), RED, UrgencyReason.LOOKS_ILL)


@pytest.fixture
def decided(records, desk):
    """Of four red one is lowered, of two green one is raised; one amber stands; two have no department."""
    for level, choice, department in (
        (RED, None, "Kardiyoloji"),
        (RED, None, "Kardiyoloji"),
        (RED, None, "Kardiyoloji"),
        (RED, UrgencyChoice(GREEN, UrgencyReason.NOT_NOW, sure=True), None),
        (AMBER, None, None),
        (GREEN, None, "Dahiliye"),
        (GREEN, UrgencyChoice(RED, UrgencyReason.LOOKS_ILL), "Dahiliye"),
    ):
        opened(records, desk, level, choice, department)
    return desk


def test_changes_are_counted_by_level_rule_and_model(records, decided):
    with records.read() as tx:
        found = triage_feedback.overrides(tx)
        assert triage_feedback.overrides(tx, until=tx.now.replace(year=2020)).models == ()
    assert found.levels == (
        Overrides("kirmizi", 4, 0, 1, ((GREEN, 1),)),
        Overrides("sari", 1, 0, 0, ()),
        Overrides("yesil", 2, 1, 0, ((RED, 1),)),
    )
    # The rule "chest" gave four red and one amber; no rule gave the green.
    assert found.rules == (
        Overrides(None, 2, 1, 0, ((RED, 1),)),
        Overrides("chest", 5, 0, 1, ((GREEN, 1),)),
    )
    assert found.models == (Overrides(MODEL, 7, 1, 1, ((RED, 1), (GREEN, 1))),)
    assert found.models[0].share == pytest.approx(2 / 7)
    assert found.models[0].interval == wilson_interval(2, 7)


def test_what_was_not_assessed_and_what_is_from_before_is_counted(records, desk):
    opened(records, desk, GREEN, UrgencyChoice(AMBER, UrgencyReason.LOOKS_ILL))
    opened(records, desk, GREEN)
    with records.write(desk) as tx:
        first, second = tx.session.scalars(select(Complaint).order_by(Complaint.id))
        first.urgency, second.urgency_rules = None, None
    with records.read() as tx:
        found = triage_feedback.overrides(tx)
    assert found.levels[-1] == Overrides(None, 1, 1, 0, ((AMBER, 1),))
    assert found.rules == () and found.models[0].complaints == 2


def test_the_levels_are_exported_with_rules_and_reason(records, decided):
    with records.write(decided) as tx:
        found = triage_feedback.export(tx)
    assert [row.overridden for row in found.rows].count(True) == 2
    table = list(csv.DictReader(io.StringIO(found.as_csv())))
    assert len(table) == 6  # the amber, of which nobody decided anything, is not in it
    lowered = next(row for row in table if row["urgency_model"] != row["urgency"] == "yesil")
    assert (lowered["label"], lowered["agreed"]) == ("", "")
    assert (lowered["urgency_reason"], lowered["rules"]) == ("not_now", "chest")
    raised = next(row for row in table if row["urgency_reason"] == "looks_ill")
    assert (raised["urgency"], raised["urgency_model"], raised["rules"]) == ("kirmizi", "yesil", "")
    assert {row["urgency_reason"] for row in table if row["urgency"] == row["urgency_model"]} == {""}
