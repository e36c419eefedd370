"""Received studies that wait for a person to say whose they are, beside the order that may be theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients
from tetkik.records.cases.identity_comparison import person_from_identity
from tetkik.records.cases.patients import Match, Person, all_records_of, survivor_of
from tetkik.records.database import Transaction
from tetkik.records.images import received_decisions, receiving
from tetkik.records.images.receiving import ReceivedContent
from tetkik.records.orders.matching import ComparedOrder, compare_order
from tetkik.records.orders.orders import StoredOrder, load_order, orders_of
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.values.access import Permission
from tetkik.values.radiograph import Trait
from tetkik.values.states import OrderState, ReceivedState, RemovalReason

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


pages = APIRouter(prefix="/received")
NAVIGATION = (
    NavigationEntry(
        "/received", Permission.STUDY_ASSIGN, "compare", Sentence("Received studies"), "g e", position=25
    ),
)
Assigner = Annotated[RequestContext, allowed(Permission.STUDY_ASSIGN)]
REASONS = (
    *(RemovalReason.WRONG_PATIENT, RemovalReason.TEST, RemovalReason.DUPLICATE),
    *(RemovalReason.POOR_QUALITY, RemovalReason.OTHER),
)


@pages.get("")
def listed(ctx: Assigner) -> HTMLResponse:
    """Those that wait for a decision, those with files set aside, those whose decision can be taken back."""
    with ctx.write() as tx:
        waiting = receiving.list_received(tx, (ReceivedState.DOUBTFUL,))
        decided = receiving.list_decided(tx)
        lacking = receiving.list_set_aside(tx)
        everything = (*waiting, *lacking, *decided)
        tx.audit(Action.STUDY_OPENED, listed=len(everything))
        names = {one.id: person_from_identity(one.content.identity).name for one in everything}
    return ctx.render(
        "received/list.html.jinja", waiting=waiting, lacking=lacking, decided=decided, names=names
    )


@pages.get("/{received_id}")
def shown(ctx: Assigner, received_id: str, order: str = "", done: str = "") -> HTMLResponse:
    return _shown(ctx, received_id, order=order, done=done)


@pages.post("/{received_id}/find")
def find(
    ctx: Assigner, received_id: str, words: Annotated[str, Form(max_length=400)] = "", order: str = ""
) -> HTMLResponse:
    return _shown(ctx, received_id, order=order, words=" ".join(words.split()))


@pages.post("/{received_id}/accept")
def accept(
    ctx: Assigner,
    received_id: str,
    order_id: Annotated[str, Form(max_length=26)] = "",
    patient_id: Annotated[str, Form(max_length=26)] = "",
    new: Annotated[bool, Form()] = False,
) -> Response:
    """Say that it is this order's, this patient's, or that of somebody who is new here."""

    def decide(tx: Transaction) -> None:
        patient = patient_id
        if new:
            stated = receiving.load_received(tx, received_id).content.identity
            patient = cases.register_patient(tx, person_from_identity(stated))
        received_decisions.accept(tx, received_id, order_id=order_id or None, patient_id=patient or None)

    return _decided(ctx, received_id, decide, order_id)


@pages.post("/{received_id}/reject")
def reject(ctx: Assigner, received_id: str, reason: Annotated[RemovalReason, Form()]) -> Response:
    return _decided(ctx, received_id, lambda tx: received_decisions.reject(tx, received_id, reason))


@pages.post("/{received_id}/undo")
def undo(ctx: Assigner, received_id: str) -> Response:
    return _decided(ctx, received_id, lambda tx: received_decisions.undo(tx, received_id))


def _decided(
    ctx: RequestContext, received_id: str, decide: Callable[[Transaction], object], order: str = ""
) -> Response:
    return ctx.change(
        decide,
        f"/received/{received_id}?done=1",
        lambda error: _shown(ctx, received_id, order=order, error=error),
        (Conflict, InputError),
    )


def _shown(
    ctx: RequestContext,
    received_id: str,
    *,
    order: str = "",
    words: str | None = None,
    done: str = "",
    error: TetkikError | None = None,
) -> HTMLResponse:
    with ctx.write() as tx:
        study = receiving.load_received(tx, received_id)
        content = study.content
        chosen = order or study.order_id or next(iter(content.candidates), "")
        beside = offer(tx, chosen, content) if chosen else None
        others = [offer(tx, one, content) for one in content.candidates if one != chosen]
        searched = words is not None and patients.is_searchable(words)
        found = offer_patients(tx, words or "", content) if searched else ()
        about = beside.compared.patient_id if beside is not None else study.patient_id
        tx.audit(Action.STUDY_OPENED, patient_id=about, case_id=study.case_id, object_id=study.id)
        rejected = receiving.refused_files(tx, received_id)
    waits = study.state is ReceivedState.DOUBTFUL
    rejectable = waits or study.state is ReceivedState.FAILED
    ready = study.state in (ReceivedState.COMPLETE, ReceivedState.REJECTED) and study.decided_by is not None
    return ctx.render(
        "received/study.html.jinja",
        study=study,
        beside=beside,
        rows=tuple(rows_of(content, beside)),
        others=others,
        found=found,
        words=words,
        refused=rejected,
        waits=waits,
        rejectable=rejectable,
        undoable=ready and not study.imported,
        named=[person_from_identity(one) for one in content.others],
        may_be_new=bool(content.identity.patient_name) and not content.others,
        reasons=REASONS,
        done=bool(done),
        error=error,
    )
