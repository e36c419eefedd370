"""Encounters in whatever order they are told, and clinicians who see a patient while one is open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.records.kit import made_case, made_user
from tetkik.errors import Forbidden
from tetkik.records.cases import cases
from tetkik.records.database import open_records
from tetkik.records.orders.orders import close_encounter, open_encounter
from tetkik.records.people import access
from tetkik.records.people.access import load_visible_case
from tetkik.records.schema import AuditRow, Case, Encounter, PatientLink
from tetkik.settings import Settings
from tetkik.values import SYSTEM, LinkReason, Role

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def case_id(records):
    return made_case(records, SYSTEM, department="Dahiliye")


def told(records, case_id, *messages):
    """Messages as `("open" or "close", hours after nine)`; gives whether the encounter is open then."""
    with records.write(SYSTEM) as tx:
        patient_id = tx.session.get_one(Case, case_id).patient_id
        for what, hours in messages:
            if what == "open":
                open_encounter(tx, patient_id, "P-1", "Dahiliye", AT + hours * HOUR)
            else:
                close_encounter(tx, patient_id, "P-1", AT + hours * HOUR)
        row = tx.session.scalars(select(Encounter)).one()
        return row.opened_at is not None and row.closed_at is None


@pytest.mark.parametrize(
    ("messages", "is_open"),
    [
        ([("open", 0)], True),
        ([("open", 0), ("close", 1)], False),
        ([("close", 1), ("open", 0)], False),
        ([("open", 0), ("close", 1), ("open", 2)], True),
        ([("open", 2), ("close", 1), ("open", 0)], True),
        ([("close", 1)], False),
    ],
)
def test_an_older_message_changes_nothing(records, case_id, messages, is_open):
    assert told(records, case_id, *messages) is is_open
    assert told(records, case_id, *messages[-1:]) is is_open


def test_what_is_told_twice_is_noted_once(records, case_id):
    told(records, case_id, ("open", 0), ("open", 0), ("close", 1), ("close", 1))
    with records.read() as tx:
        noted = tx.session.scalars(
            select(AuditRow.action).where(AuditRow.action.like("encounter%")).order_by(AuditRow.seq)
        )
        assert list(noted) == ["encounter.opened", "encounter.closed"]


def sees(records, actor, case_id):
    """Whether the case is listed, and whether it opens; both are the same rule."""
    with records.write(actor) as tx:
        listed = bool(cases.list_cases(tx))
        try:
            load_visible_case(tx, case_id)
        except Forbidden:
            return listed, False
        return listed, True


@pytest.mark.both_databases
def test_a_clinician_sees_a_patient_while_an_encounter_is_open(both_records):
    records = both_records
    case_id = made_case(records, SYSTEM, department="Dahiliye")
    doctor = made_user(records, Role.CLINICIAN, departments=("Dahiliye",))
    everywhere = made_user(records, Role.CLINICIAN)
    other = made_user(records, Role.CLINICIAN, departments=("Nöroloji",))
    readers = [made_user(records, role) for role in (Role.RECEPTION, Role.TECHNICIAN, Role.RADIOLOGIST)]
    assert sees(records, doctor, case_id) == (True, True)
    records.encounter_access = True
    assert sees(records, doctor, case_id) == sees(records, everywhere, case_id) == (False, False)
    told(records, case_id, ("open", 0))
    assert sees(records, doctor, case_id) == sees(records, everywhere, case_id) == (True, True)
    assert sees(records, other, case_id) == (False, False)
    told(records, case_id, ("close", 1))
    assert sees(records, doctor, case_id) == (False, False)
    assert {sees(records, one, case_id) for one in readers} == {(True, True)}
    with records.write(doctor) as tx:
        access.break_glass(tx, case_id, "Hasta taburcu oldu, kontrol için aradı")
    assert sees(records, doctor, case_id) == (True, True)


@pytest.mark.both_databases
@pytest.mark.parametrize("told_of_survivor", [True, False])
def test_an_encounter_counts_for_every_record_of_the_patient(both_records, told_of_survivor):
    records = both_records
    records.encounter_access = True
    one, other = (made_case(records, SYSTEM, department="Dahiliye") for _ in range(2))
    doctor = made_user(records, Role.CLINICIAN, departments=("Dahiliye",))
    told(records, one if told_of_survivor else other, ("open", 0))
    seen, unseen = (one, other) if told_of_survivor else (other, one)
    assert sees(records, doctor, seen)[1] and not sees(records, doctor, unseen)[1]
    with records.write(SYSTEM) as tx:
        survivor, replaced = (tx.session.get_one(Case, case_id).patient_id for case_id in (one, other))
        tx.session.add(
            PatientLink(
                patient_id=replaced, survivor_id=survivor, reason=LinkReason.IDENTIFIED, created_at=tx.now
            )
        )
    assert sees(records, doctor, seen)[1] and sees(records, doctor, unseen)[1]
    with records.read(doctor) as tx:
        assert len(cases.list_cases(tx)) == 2


def test_the_setting_says_whether_encounters_count(tmp_path):
    for wanted in (False, True):
        opened = open_records(Settings(data_dir=tmp_path / str(wanted), encounter_access=wanted))
        with opened.read() as tx:
            assert tx.encounter_access is wanted
        opened.close()
