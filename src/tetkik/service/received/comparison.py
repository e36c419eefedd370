"""A received study beside an order, row by row, as the page shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from tetkik.records.cases import patients
from tetkik.records.cases.identity_comparison import Trait, person_from_identity
from tetkik.records.cases.patient_links import all_records_of, survivor_of
from tetkik.records.cases.patients import Match, Person
from tetkik.records.database import Transaction
from tetkik.records.images.receiving import ReceivedContent
from tetkik.records.orders.matching import ComparedOrder, compare_order
from tetkik.records.orders.orders import StoredOrder, load_order, orders_of
from tetkik.values import OrderState

_SHOWN = (
    *(Trait.NAME, Trait.TCKN, Trait.NUMBER, Trait.BIRTH_DATE, Trait.SEX),
    *(Trait.ACCESSION, Trait.MODALITY, Trait.BODY_PART, Trait.TIME),
)
_MOST = 12
"""Orders of a patient that are offered, the newest."""


@dataclass(frozen=True, slots=True)
class Row:
    """One trait: what the file says, what the order says; no `agreement` where one of them is silent."""

    trait: Trait
    file: str = field(repr=False)
    order: str = field(repr=False)
    agreement: str
    """`same`, `different`, `slip` or empty."""


@dataclass(frozen=True, slots=True)
class OfferedOrder:
    """An order that might be meant."""

    compared: ComparedOrder
    person: Person = field(repr=False)

    @property
    def order(self) -> StoredOrder:
        return self.compared.order


@dataclass(frozen=True, slots=True)
class OfferedPatient:
    """A patient who was searched for, with the newest orders."""

    match: Match
    orders: tuple[OfferedOrder, ...]


def offer(tx: Transaction, order_id: str, content: ReceivedContent) -> OfferedOrder:
    """An order beside a study."""
    return _offered(tx, load_order(tx, order_id), content)


def offer_patients(tx: Transaction, words: str, content: ReceivedContent) -> tuple[OfferedPatient, ...]:
    """Patients by name or number with their orders; the trail notes the search."""
    return tuple(
        OfferedPatient(
            match,
            tuple(
                _offered(tx, order, content)
                for order in orders_of(tx, all_records_of(tx, (match.id,)))[:_MOST]
                if order.state is not OrderState.CANCELLED
            ),
        )
        for match in patients.search(tx, words)
    )


def rows_of(content: ReceivedContent, offered: OfferedOrder | None) -> Iterator[Row]:
    """What a study says, beside an order where there is one."""
    stated = _stated(person_from_identity(content.identity), content.identity.accession or "")
    stated |= {
        Trait.MODALITY: content.modality or "",
        Trait.BODY_PART: content.body_part or "",
        Trait.TIME: _minute(content.made_at),
    }
    known: dict[Trait, str] = {}
    if offered is not None:
        asked = offered.order.content
        known = _stated(offered.person, asked.accession) | {
            Trait.MODALITY: asked.modality,
            Trait.BODY_PART: asked.body_part,
            Trait.TIME: _minute(offered.order.scheduled_at),
        }
    for trait in _SHOWN:
        here, there = stated.get(trait, ""), known.get(trait, "")
        if here or there:
            yield Row(trait, here, there, _agreement(offered, trait))


def _offered(tx: Transaction, order: StoredOrder, content: ReceivedContent) -> OfferedOrder:
    compared = compare_order(tx, order, content.facts)
    return OfferedOrder(compared, patients.load_person(tx, survivor_of(tx, order.patient_id)))


def _agreement(offered: OfferedOrder | None, trait: Trait) -> str:
    if offered is None:
        return ""
    weighed = offered.compared.weighed
    if trait in weighed.agreeing:
        return "same"
    if any(one.trait is trait for one in weighed.differences):
        return "different"
    return "slip" if any(one.trait is trait for one in weighed.slips) else ""


def _stated(person: Person, accession: str) -> dict[Trait, str]:
    return {
        Trait.NAME: person.name,
        Trait.TCKN: person.tckn,
        Trait.NUMBER: " · ".join(filter(None, (person.number, person.issuer))),
        Trait.BIRTH_DATE: f"{person.born:%d.%m.%Y}" if person.born else "",
        Trait.SEX: str(person.sex or ""),
        Trait.ACCESSION: accession,
    }


def _minute(at: datetime | None) -> str:
    return f"{at.astimezone():%d.%m.%Y %H:%M}" if at is not None else ""
