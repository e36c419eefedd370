"""The trail as people and programs read it: filters, pages, a case's story, FHIR that a validator accepts."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from fhir.resources.R4B.auditevent import AuditEvent as Resource
from sqlalchemy import update

from tests.documents.programs import validated
from tests.records.kit import made_case, made_records, made_user
from tetkik.records.audit_chain import Action
from tetkik.records.ids import new_id
from tetkik.records.schema import AuditRow, BrokenGlass, Case
from tetkik.records.trail.audit_events import (
    AuditFilter,
    count_events,
    export_trail,
    iterate_events,
    list_emergency_accesses,
    list_users,
    load_case_history,
    load_newest,
    to_audit_event,
)
from tetkik.values import SYSTEM, Role


@pytest.fixture
def day(both_records):
    """Two cases and two people; one of them opens the first case three times."""
    desk = made_user(both_records, Role.RECEPTION, name="Derya")
    reader = made_user(both_records, Role.RADIOLOGIST, name="Ali")
    first, second = made_case(both_records, desk), made_case(both_records, desk)
    for n in range(3):
        with both_records.write(reader) as tx:
            tx.audit(Action.CASE_OPENED, case_id=first, times=n)
    return both_records, desk, reader, first, second


def seqs(records, limit=50, before=None, **wanted):
    with records.read() as tx:
        return [event.seq for event in load_newest(tx, AuditFilter(**wanted), limit=limit, before=before)]


@pytest.mark.both_databases
def test_the_newest_come_first_page_by_page(day):
    records, *_ = day
    assert seqs(records, limit=3) == [5, 4, 3]
    assert seqs(records, limit=3, before=3) == [2, 1]
    with records.read() as tx:
        assert count_events(tx) == 5
        assert [event.seq for event in iterate_events(tx, AuditFilter())] == [1, 2, 3, 4, 5]


@pytest.mark.both_databases
def test_filters(day):
    records, desk, _, first, second = day
    assert seqs(records, user_id=desk.user_id) == [2, 1]
    assert seqs(records, action=Action.CASE_OPENED) == [5, 4, 3]
    assert seqs(records, case=second) == [2]
    with records.read() as tx:
        number = tx.session.get_one(Case, first).number
        moment = tx.session.get_one(AuditRow, 4).at
        patient_id = tx.session.get_one(Case, second).patient_id
        assert {"Derya", "Ali"} <= {name for _, name in list_users(tx)}
    assert seqs(records, case=number) == [5, 4, 3, 1]
    assert seqs(records, patient_id=patient_id) == [2]
    assert seqs(records, since=moment) == [5, 4]
    assert seqs(records, until=moment) == [3, 2, 1]


def test_a_story_tells_who_and_what(day):
    records, _, reader, first, _ = day
    with records.read() as tx:
        steps = load_case_history(tx, first)
    assert [(step.user, step.action) for step in steps][:2] == [
        ("Derya", "case.created"),
        ("Ali", "case.opened"),
    ]
    assert steps[-1].detail == {"times": 2} and steps[-1].roles == ("radiologist",)
    assert steps[0].case is not None and steps[-1].user_id == reader.user_id


def test_an_emptied_entry_still_says_who_and_when(day):
    records, _, _, first, _ = day
    with records.engine.begin() as connection:
        connection.execute(update(AuditRow).where(AuditRow.seq == 3).values(content=None, salt=None))
    with records.read() as tx:
        step = load_case_history(tx, first)[1]
    assert (step.erased, step.user, step.roles, step.address) == (True, "Ali", (), None)


def test_broken_glass_is_told_with_its_reason(day):
    records, _, reader, first, _ = day
    with records.write(reader) as tx:
        glass_id, patient_id = new_id(), tx.session.get_one(Case, first).patient_id
        tx.session.add(
            BrokenGlass(
                id=glass_id,
                user_id=reader.user_id,
                case_id=first,
                reason=tx.seal(patient_id, "break_glass.reason", glass_id, b"Acil"),
                at=tx.now,
                expires_at=tx.now + timedelta(hours=1),
            )
        )
    with records.read() as tx:
        (glass,) = list_emergency_accesses(tx)
    assert (glass.user, glass.reason, glass.case_id) == ("Ali", "Acil", first)


def test_the_export_is_one_line_an_entry_and_an_entry_itself(day, tmp_path):
    records, *_ = day
    target = tmp_path / "audit.ndjson"
    assert export_trail(records, target) == 5
    lines = target.read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"audit-{n}" for n in range(1, 6)]
    assert seqs(records, limit=1, action=Action.AUDIT_EXPORTED) == [6]
    assert [path.name for path in tmp_path.glob("*.part")] == []
    text = target.read_text("utf-8")
    assert "Gülçin" not in text and "Ali" not in text


@pytest.mark.program("node", "npm")
def test_every_action_is_fhir_that_a_validator_accepts(tmp_path):
    records = made_records(tmp_path)
    reader = made_user(records, Role.RADIOLOGIST, Role.CLINICIAN)
    case_id = made_case(records, reader)
    with records.write(reader) as tx:
        for action in Action:
            tx.audit(action, case_id=case_id, patient_id=case_id, object_id=case_id, count=2, all=True)
    with records.write(SYSTEM) as tx:
        tx.audit(Action.MODEL_RAN)
    with records.engine.begin() as connection:
        connection.execute(update(AuditRow).where(AuditRow.seq == 2).values(content=None, salt=None))
    with records.read() as tx:
        resources = [to_audit_event(event) for event in iterate_events(tx, AuditFilter())]
    records.close()
    assert len(resources) == len(Action) + 2
    for resource in resources:
        Resource.model_validate(resource)
    wrong = [
        (resource["subtype"], answer["messages"])
        for resource, answer in zip(resources, validated(resources), strict=True)
        if not answer["valid"]
    ]
    assert wrong == []
    kinds = {resource["subtype"][-1]["code"]: resource for resource in resources}
    assert kinds["sign_in.failed"]["outcome"] == "4" and kinds["case.opened"]["action"] == "R"
    assert kinds["break_glass"]["purposeOfEvent"][0]["coding"][0]["code"] == "BTG"
    assert kinds["sign_in"]["subtype"][0]["code"] == "110122"
