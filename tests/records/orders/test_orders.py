"""Orders are placed, changed, cancelled and found; and go with their patient and their case."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.records.kit import made_case
from tetkik.errors import Conflict, InputError, NotFound
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.lifecycle.erasure import ErasureReason, clear_moved_case, erase
from tetkik.records.lifecycle.patient_export import export_patient
from tetkik.records.lifecycle.retention import RetentionTerms, apply_retention
from tetkik.records.orders import orders
from tetkik.records.orders.orders import OrderContent, close_encounter, open_encounter
from tetkik.records.schema import AuditRow, Case, Encounter, Order, Patient
from tetkik.values import SYSTEM, OrderState

AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
CONTENT = OrderContent(
    accession="A-1",
    issuer="HASTANE",
    placer_number="P-1",
    filler_number="F-1",
    procedure="PA akciğer grafisi",
    question="Nefes darlığı",
    modality="dx",
    scheduled_at=AT,
    station_ae="DX1",
)


@pytest.fixture
def patient_id(records):
    with records.write(SYSTEM) as tx:
        return patients.create(tx, Person("Gülçin ŞAHİN", "10000000146", "H-1"))


def placed(records, patient_id, content=CONTENT):
    with records.write(SYSTEM) as tx:
        return orders.place_order(tx, patient_id, content, "hbys")


@pytest.mark.both_databases
def test_an_order_says_what_was_placed_and_is_found_by_its_numbers(both_records):
    records = both_records
    with records.write(SYSTEM) as tx:
        patient_id = patients.create(tx, Person("Gülçin ŞAHİN"))
    order_id = placed(records, patient_id)
    with records.read() as tx:
        found = orders.load_order(tx, order_id)
        assert (found.content, found.state, found.patient_id) == (CONTENT, OrderState.SCHEDULED, patient_id)
        for number in ({"placer_number": "p-1"}, {"filler_number": "F-1"}, {"accession": "A-1"}):
            assert orders.find_orders(tx, "hbys", **number) == (found,)
            assert orders.find_orders(tx, "other", **number) == ()
        assert orders.find_orders(tx, "hbys") == ()
        row = tx.session.get_one(Order, order_id)
        assert b"grafisi" not in row.content and b"A-1" not in row.accession_digest


def test_an_order_is_placed_once(records, patient_id):
    placed(records, patient_id)
    with pytest.raises(Conflict, match="placed before"):
        placed(records, patient_id)
    placed(records, patient_id, replace(CONTENT, placer_number=""))
    with pytest.raises(InputError, match="too long"):
        placed(records, patient_id, replace(CONTENT, placer_number="P-2", procedure="x" * 121))
    with records.read() as tx, pytest.raises(NotFound):
        orders.load_order(tx, "x")


def test_an_order_is_changed_until_it_is_cancelled(records, patient_id):
    order_id = placed(records, patient_id)
    with records.write(SYSTEM) as tx:
        later = replace(CONTENT, scheduled_at=AT + timedelta(days=1))
        orders.change_order(tx, order_id, later, state=OrderState.ARRIVED)
        assert orders.load_order(tx, order_id).scheduled_at == AT + timedelta(days=1)
        orders.cancel_order(tx, order_id)
        orders.cancel_order(tx, order_id)
        with pytest.raises(Conflict, match="cancelled"):
            orders.change_order(tx, order_id, CONTENT)
        with pytest.raises(Conflict, match="cancelled"):
            orders.link_case(tx, order_id, "x")
    with records.read() as tx:
        noted = list(tx.session.scalars(select(AuditRow.action).order_by(AuditRow.seq)))
        assert [one for one in noted if one.startswith("order")] == [
            *("order.placed", "order.changed", "order.cancelled")
        ]


def test_a_worklist_shows_what_is_still_to_come(records, patient_id):
    first = placed(records, patient_id)
    second = placed(records, patient_id, OrderContent(modality="CT", scheduled_at=AT + timedelta(hours=1)))
    with records.write(SYSTEM) as tx:

        def ids(**wanted):
            return [one.id for one in orders.scheduled_orders(tx, **wanted)]

        assert ids() == [first, second]
        assert ids(modality="DX") == ids(until=AT + timedelta(minutes=1)) == [first]
        assert ids(since=AT + timedelta(minutes=1)) == ids(station_ae="CT1") == [second]
        assert ids(station_ae="DX1") == [first, second]
        orders.cancel_order(tx, first)
        assert ids() == [second]


def test_an_order_has_one_case_and_can_be_taken_out_of_it(records, patient_id):
    order_id = placed(records, patient_id)
    one, other = made_case(records, SYSTEM), made_case(records, SYSTEM)
    with records.write(SYSTEM) as tx:
        orders.link_case(tx, order_id, one)
        orders.link_case(tx, order_id, one)
        assert orders.load_order(tx, order_id).state is OrderState.COMPLETED
        with pytest.raises(Conflict, match="another case"):
            orders.link_case(tx, order_id, other)
        orders.unlink_case(tx, order_id)
        assert orders.load_order(tx, order_id).state is OrderState.ARRIVED


def test_erasure_and_export_know_orders_and_encounters(records, patient_id):
    placed(records, patient_id)
    with records.write(SYSTEM) as tx:
        open_encounter(tx, patient_id, "V-1", "Dahiliye", AT)
    target = io.BytesIO()
    export_patient(records, patient_id, target)
    with zipfile.ZipFile(target) as archive:
        content = json.loads(archive.read("patient.json"))
    assert content["orders"][0]["procedure"] == "PA akciğer grafisi"
    assert content["encounters"] == [{"department": "Dahiliye", "opened": AT.isoformat()}]
    erase(records, patient_id, ErasureReason.REQUEST, years=0)
    with records.read() as tx:
        assert tx.count(Order) == tx.count(Encounter) == 0
    with pytest.raises(NotFound):
        placed(records, patient_id)


def test_a_case_that_goes_to_another_patient_leaves_the_order_waiting(records):
    case_id = made_case(records, SYSTEM)
    with records.write(SYSTEM) as tx:
        patient_id = tx.session.get_one(Case, case_id).patient_id
        order_id = orders.place_order(tx, patient_id, CONTENT, "hbys")
        orders.link_case(tx, order_id, case_id)
        clear_moved_case(tx, patient_id, case_id)
        found = orders.load_order(tx, order_id)
    assert (found.case_id, found.state) == (None, OrderState.ARRIVED)


def test_retention_forgets_orders_that_nobody_answered_and_then_their_patients(records, clock):
    with records.write(SYSTEM) as tx:
        here, gone = (patients.create(tx, Person(name)) for name in ("Gülçin ŞAHİN", "Ömer IŞIK"))
        open_encounter(tx, here, "V-1", None, tx.now)
        for one in (here, gone):
            orders.place_order(tx, one, OrderContent(), "hbys")
        open_encounter(tx, gone, "V-2", None, tx.now)
        close_encounter(tx, gone, "V-2", tx.now)
    terms = RetentionTerms(20, closed_days=30)
    apply_retention(records, terms)
    with records.read() as tx:
        assert (tx.count(Order), tx.count(Encounter)) == (2, 2)
    clock.go(days=31)
    apply_retention(records, terms)
    with records.read() as tx:
        assert (tx.count(Order), tx.count(Encounter)) == (0, 1)
        assert tx.session.scalars(select(Patient.id).where(Patient.key.is_not(None))).all() == [here]


def test_a_number_keeps_its_issuer_until_it_changes(records):
    with records.write(SYSTEM) as tx:
        patient_id = patients.create(tx, Person("Ali KAYA", number="77", issuer="DEVLET"))
        patients.change(tx, patient_id, Person("Ali Can KAYA", number="77"))
        assert patients.load_person(tx, patient_id).issuer == "DEVLET"
        assert patients.find_by_number(tx, Person(number="77", issuer="OZEL")) == ()
        assert patients.find_by_number(tx, Person(number="77")) == (patient_id,)
        patients.change(tx, patient_id, Person("Ali Can KAYA", number="78"))
        assert patients.load_person(tx, patient_id).issuer == ""
