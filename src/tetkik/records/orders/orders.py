"""Orders: which study was asked for, for whom, and when.

order_id = place_order(tx, patient_id, OrderContent(accession="A1", modality="DX"), "hbys")
change_order(tx, order_id, replace(content, scheduled_at=later))
link_case(tx, order_id, case_id)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import or_, select

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.schema import Case, Encounter, Order
from tetkik.records.schema.base import fitting, within
from tetkik.records.serialization import from_bytes, to_bytes
from tetkik.values import OrderState

LONGEST_WORDS = 2000
"""Characters of the question."""
_LONGEST = 120
YEARS = range(1900, 2201)
"""Of an appointment: systems write the first year for none, and the last for some day."""
OPEN_STATES = (OrderState.SCHEDULED, OrderState.ARRIVED)
"""Of an order whose study is still to come."""


@dataclass(frozen=True, slots=True)
class OrderContent:
    """What an order says; empty where it says nothing."""

    accession: str = field(default="", repr=False)
    issuer: str = ""
    """Whose accession number it is: two systems may give the same."""
    placer_number: str = field(default="", repr=False)
    filler_number: str = field(default="", repr=False)
    procedure_code: str = ""
    procedure: str = field(default="", repr=False)
    question: str = field(default="", repr=False)
    referrer: str = field(default="", repr=False)
    modality: str = ""
    body_part: str = ""
    department: str = ""
    scheduled_at: datetime | None = None
    """None for now."""
    station_ae: str = ""


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as it is kept."""

    id: str
    patient_id: str
    """Of the record that it was placed for; `patient_links` says which one stands for it now."""
    case_id: str | None
    source: str
    state: OrderState
    scheduled_at: datetime
    told_at: datetime | None
    created_at: datetime
    changed_at: datetime
    content: OrderContent = field(repr=False)


def place_order(
    tx: Transaction, patient_id: str, content: OrderContent, source: str, *, told_at: datetime | None = None
) -> str:
    """Keep a new order, as its system told it at some time; gives its id.

    Raises:
        Conflict: the same source has placed an order of this number before.
        InputError: a text of it is too long.
    """
    patients.require_not_erased(tx, patient_id)
    row = Order(
        id=new_id(),
        patient_id=patient_id,
        source=source,
        state=OrderState.SCHEDULED,
        told_at=told_at,
        created_at=tx.now,
    )
    _write(tx, row, content)
    if row.placer_digest is not None:
        same = (Order.source == source, Order.placer_digest == row.placer_digest)
        if tx.count(Order, *same):
            raise Conflict("This order was placed before; change that one instead.")
    tx.session.add(row)
    tx.session.flush()
    _audit(tx, Action.ORDER_PLACED, row, source=source)
    return row.id


def change_order(
    tx: Transaction,
    order_id: str,
    content: OrderContent,
    *,
    state: OrderState | None = None,
    told_at: datetime | None = None,
) -> None:
    """Replace what an order says, and its state where one is given; one that was cancelled stays so.

    One whose study is in a case stays completed: systems report that long after the images came.
    """
    row = _load(tx, order_id)
    if row.state is OrderState.CANCELLED:
        raise Conflict("The order was cancelled; place a new one.")
    _write(tx, row, content)
    row.told_at = told_at or row.told_at
    if state is not None and row.case_id is None:
        row.state = state
    tx.session.flush()
    _audit(tx, Action.ORDER_CHANGED, row, state=row.state.value)


def cancel_order(tx: Transaction, order_id: str) -> None:
    """Say that the study is not wanted any more; what was imported for it stays."""
    row = _load(tx, order_id)
    if row.state is not OrderState.CANCELLED:
        row.state, row.changed_at = OrderState.CANCELLED, tx.now
        tx.session.flush()
        _audit(tx, Action.ORDER_CANCELLED, row)


def link_case(tx: Transaction, order_id: str, case_id: str) -> None:
    """Say in which case the study of an order is; the order is completed.

    Raises:
        Conflict: the order was cancelled, or its study is in another case.
    """
    row = _load(tx, order_id)
    if row.state is OrderState.CANCELLED:
        raise Conflict("The order was cancelled; place a new one.")
    if row.case_id not in (None, case_id):
        raise Conflict("The study of this order is in another case; look at that one.")
    if row.case_id is None:
        tx.session.get_one(Case, case_id)
        row.case_id, row.state, row.changed_at = case_id, OrderState.COMPLETED, tx.now
        tx.session.flush()
        _audit(tx, Action.ORDER_LINKED, row)


def unlink_case(tx: Transaction, order_id: str) -> None:
    """Take back what `link_case` said: the order waits for its study again."""
    row = _load(tx, order_id)
    if row.case_id is not None:
        _audit(tx, Action.ORDER_UNLINKED, row)
        row.case_id, row.state, row.changed_at = None, OrderState.ARRIVED, tx.now
        tx.session.flush()


def load_order(tx: Transaction, order_id: str) -> StoredOrder:
    """An order by its id."""
    return _value(tx, _load(tx, order_id))


def find_orders(
    tx: Transaction, source: str, *, placer_number: str = "", filler_number: str = "", accession: str = ""
) -> tuple[StoredOrder, ...]:
    """Orders of a source that have any of these numbers, the newest first."""
    numbers = (
        (Order.placer_digest, _digest(tx, "placer", placer_number)),
        (Order.filler_digest, _digest(tx, "filler", filler_number)),
        (Order.accession_digest, _digest(tx, "accession", accession)),
    )
    wanted = fitting(*numbers)
    if not wanted:
        return ()
    rows = tx.session.scalars(
        select(Order).where(Order.source == source, or_(*wanted)).order_by(Order.id.desc())
    )
    return tuple(_value(tx, row) for row in rows)


def scheduled_orders(
    tx: Transaction,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    modality: str | None = None,
    station_ae: str | None = None,
    most: int = 500,
) -> tuple[StoredOrder, ...]:
    """Orders whose study is still to come, the earliest first: what a modality worklist shows.

    An order of any station fits each `station_ae`.
    """
    wanted = [Order.state.in_(OPEN_STATES), *within(Order.scheduled_at, since, until)]
    wanted += fitting((Order.modality, modality))
    if station_ae:
        wanted.append(or_(Order.station_ae == station_ae, Order.station_ae.is_(None)))
    rows = tx.session.scalars(select(Order).where(*wanted).order_by(Order.scheduled_at, Order.id).limit(most))
    return tuple(_value(tx, row) for row in rows)


def orders_of(tx: Transaction, patient_ids: Iterable[str]) -> tuple[StoredOrder, ...]:
    """Every order of these records, the newest first."""
    rows = tx.session.scalars(
        select(Order).where(Order.patient_id.in_(tuple(patient_ids))).order_by(Order.id.desc())
    )
    return tuple(_value(tx, row) for row in rows)


def orders_with_accession(tx: Transaction, accession: str) -> tuple[StoredOrder, ...]:
    """Every order with this accession number, of whatever issuer, the newest first."""
    digest = _digest(tx, "accession", accession)
    if digest is None:
        return ()
    rows = tx.session.scalars(select(Order).where(Order.accession_digest == digest).order_by(Order.id.desc()))
    return tuple(_value(tx, row) for row in rows)


def _write(tx: Transaction, row: Order, content: OrderContent) -> None:
    texts = (content.accession, content.issuer, content.placer_number, content.filler_number)
    named = (content.procedure_code, content.procedure, content.referrer)
    if max(map(len, (*texts, *named))) > _LONGEST or len(content.question) > LONGEST_WORDS:
        raise InputError(
            "A text of the order is too long; numbers and names have up to {most} characters, the question "
            "{words}.",
            most=_LONGEST,
            words=LONGEST_WORDS,
        )
    row.accession_digest = _digest(tx, "accession", content.accession)
    row.placer_digest = _digest(tx, "placer", content.placer_number)
    row.filler_digest = _digest(tx, "filler", content.filler_number)
    row.modality = content.modality.strip().upper()[:16] or None
    row.body_part = content.body_part.strip().upper()[:16] or None
    row.department = content.department.strip()[:60] or None
    row.station_ae = content.station_ae.strip()[:16] or None
    row.scheduled_at = content.scheduled_at or row.scheduled_at or tx.now
    row.changed_at = tx.now
    tx.seal_column(row, "content", to_bytes(content))


def _digest(tx: Transaction, kind: str, text: str) -> bytes | None:
    """As that of a study (`images.studies`) for an accession number."""
    return tx.vault.digest(kind, text) if text.strip() else None


def _load(tx: Transaction, order_id: str) -> Order:
    return tx.find(Order, order_id, NotFound("There is no such order; look for it again."))


def _value(tx: Transaction, row: Order) -> StoredOrder:
    content = from_bytes(OrderContent, tx.open_column(row, "content") or b"")
    return row.to_value(StoredOrder, content=content)


def _audit(tx: Transaction, action: Action, row: Order, **detail: str) -> None:
    tx.audit(action, case_id=row.case_id, patient_id=row.patient_id, object_id=row.id, **detail)


# Encounters: visits and stays of a patient, from the hospital's messages, which may come in any order.
#
# Whoever tells of an encounter says when it happened (HL7 EVN-2, with the clock of the sender put right); a
# message that is older than what is known changes nothing.


def open_encounter(
    tx: Transaction, patient_id: str, number: str, department: str | None, at: datetime
) -> str:
    """Say that an encounter is open since `at`, or in another department, or open again; gives its id."""
    row = _find_or_create(tx, patient_id, number, at)
    if at >= row.told_at:
        was_open = row.opened_at is not None and row.closed_at is None
        moved = was_open and row.department != department
        row.department, row.closed_at, row.told_at = department, None, at
        row.opened_at = row.opened_at or at
        if not was_open or moved:
            tx.audit(Action.ENCOUNTER_OPENED, patient_id=patient_id, object_id=row.id, department=department)
    tx.session.flush()
    return row.id


def close_encounter(tx: Transaction, patient_id: str, number: str, at: datetime) -> str:
    """Say that an encounter is over since `at`, whether or not its beginning was told; gives its id."""
    row = _find_or_create(tx, patient_id, number, at)
    if at >= row.told_at:
        if row.closed_at is None:
            tx.audit(Action.ENCOUNTER_CLOSED, patient_id=patient_id, object_id=row.id)
        row.closed_at = row.told_at = at
    tx.session.flush()
    return row.id


def find_holder(tx: Transaction, patient_ids: Iterable[str], number: str) -> str | None:
    """The one of a patient's records that an encounter was told for; None where none has it."""
    digest = tx.vault.digest("encounter", number)
    wanted = (Encounter.patient_id.in_(tuple(patient_ids)), Encounter.number_digest == digest)
    return tx.session.scalar(select(Encounter.patient_id).where(*wanted).order_by(Encounter.id).limit(1))


def _find_or_create(tx: Transaction, patient_id: str, number: str, at: datetime) -> Encounter:
    patients.require_not_erased(tx, patient_id)
    digest = tx.vault.digest("encounter", number)
    same = (Encounter.patient_id == patient_id, Encounter.number_digest == digest)
    row = tx.session.scalar(select(Encounter).where(*same).with_for_update())
    if row is None:
        row = Encounter(id=new_id(), patient_id=patient_id, number_digest=digest, told_at=at)
        tx.session.add(row)
    return row
