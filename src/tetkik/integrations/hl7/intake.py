"""A message becomes patients, encounters and orders, in one transaction with its acknowledgment.

A message that comes again (its sender did not get the answer) gets the same answer and is not done twice; one
that is older than what is known of a patient changes nothing of it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.exc import DataError, SQLAlchemyError

from tetkik.errors import Conflict, InputError, NotFound, TetkikError
from tetkik.integrations.configuration import Peer
from tetkik.integrations.hl7.acknowledge import acknowledge
from tetkik.integrations.hl7.content import Content, Control, Event, Level, Reader, RequestedOrder
from tetkik.integrations.hl7.mapping import Mapping
from tetkik.integrations.hl7.message import Message, Refused, read_message
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.patient_links import records_of, survivor_of
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records, Transaction
from tetkik.records.lifecycle.idempotent_responses import Replay, keep_response, kept_response
from tetkik.records.orders import encounters, orders
from tetkik.turkish import fold
from tetkik.values import Actor, LinkReason, OrderState
from tetkik.workflow.patient_comparison import compare_unaudited
from tetkik.workflow.patient_merge import link

_ATTEMPTS = 3
_KIND = re.compile(r"[A-Z0-9]{3}\^[A-Z0-9]{3}")
_log = structlog.get_logger()
_STATES = {
    "SC": OrderState.SCHEDULED,
    "IP": OrderState.ARRIVED,
    "A": OrderState.ARRIVED,
    "CM": OrderState.ARRIVED,
}
"""Of ORC-5 (table 0038); `CA` and `DC` cancel. An order is completed by its study alone, for the system may
say so before the images come."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who sends, and how what it sends is read."""

    peer: Peer
    mapping: Mapping
    zone: ZoneInfo
    language: Language
    """Of the reasons in acknowledgments."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The acknowledgment, and what a log may say of the message: codes and places alone."""

    answer: bytes
    code: str
    kind: str = "?"
    place: str = ""
    condition: int = 0
    left_out: tuple[str, ...] = ()
    again: bool = False


def take_message(records: Records, source: Source, data: bytes, address: str | None = None) -> Taken:
    """Do what a message says, and give its acknowledgment; what it says is committed by then.

    Raises:
        RecordsError: the database does not answer; nothing was done, and nothing is to be acknowledged.
    """
    message: Message | None = None
    now = datetime.now(source.zone)
    try:
        message = read_message(data, source.peer.character_set)
        reader = Reader(
            source.mapping,
            source.zone,
            source.peer.issuer,
            timedelta(minutes=source.peer.clock_offset_minutes),
        )
        content = reader.read(message)
        content.refuse_faulty()
        for attempt in range(_ATTEMPTS):
            try:
                return _take(records, source, message, content, data, address)
            except Refused:
                raise
            except Conflict:  # two that write the same at once, or a rule of the records
                if attempt + 1 == _ATTEMPTS:
                    raise
    except (Refused, Conflict) as error:
        code = error.code if isinstance(error, Refused) else "AE"
        condition = error.condition if isinstance(error, Refused) else 207
        place = error.place if isinstance(error, Refused) else ""
        why = error.in_language(source.language)
        answer = acknowledge(message, now, code=code, condition=condition, place=place, why=why)
        return Taken(answer, code, _kind(message), place, condition)
    except (TetkikError, OSError):
        raise
    except Exception as error:
        # What fails the same each time must not come again for ever; a database may come back.
        if isinstance(error, SQLAlchemyError) and not isinstance(error, DataError):
            raise
        _log.error("hl7_fault", peer=source.peer.name, kind=_kind(message), fault=type(error).__name__)
        fault = Refused(
            "The message cannot be taken here; ask the administrator of Tetkik to look at its log."
        )
        answer = acknowledge(message, now, code="AE", condition=207, why=fault.in_language(source.language))
        return Taken(answer, "AE", _kind(message), condition=207)
    raise AssertionError("unreachable")


def _kind(message: Message | None) -> str:
    """What a log may say of the kind: any other text there may be a patient's."""
    return message.kind if message is not None and _KIND.fullmatch(message.kind) else "?"


def _take(
    records: Records, source: Source, message: Message, content: Content, data: bytes, address: str | None
) -> Taken:
    wrong = tuple(remark.place for remark in content.remarks if remark.level is Level.WRONG)
    with records.write(Actor(None, f"hl7 {source.peer.name}", address=address)) as tx:
        key = Replay(
            "hl7",
            tx.vault.digest("hl7", f"{source.peer.name} {message.control_id}").hex(),
            tx.vault.digest("hl7", hashlib.sha256(_body(data)).hexdigest()),
        )
        before = kept_response(tx, key)
        if before is not None:
            return Taken(before, "AA", _kind(message), left_out=wrong, again=True)
        try:
            _apply(tx, source, content)
        except (InputError, NotFound) as error:  # what the records do not take; any other ends the exchange
            if isinstance(error, Refused):
                raise
            raise Refused(error.template, **error.values) from None
        answer = acknowledge(message, tx.now.astimezone(source.zone))
        keep_response(tx, key, answer)
    return Taken(answer, "AA", _kind(message), left_out=wrong)


def _body(data: bytes) -> bytes:
    """What stands behind the head: a sender that sends again may date the head anew."""
    return data.lstrip(b"\r\n \x0b").replace(b"\n", b"\r").partition(b"\r")[2]


def _apply(tx: Transaction, source: Source, content: Content) -> None:
    assert content.at is not None
    at = min(content.at, tx.now)  # a clock that is ahead must not shut out what comes later
    patient_id = _patient(tx, source, content, at)
    department, number = content.visit.department or None, content.visit.number
    match content.event:
        case Event.MERGED:
            _merge(tx, content, patient_id)
        case Event.OPENED | Event.MOVED | Event.REOPENED:
            encounters.open_encounter(tx, _holder(tx, patient_id, number), number, department, at)
        case Event.CLOSED:
            encounters.close_encounter(tx, _holder(tx, patient_id, number), number, at)
        case Event.ORDERED:
            for asked in content.orders:
                _order(tx, source, patient_id, asked, at)
        case Event.UPDATED:
            pass


def _holder(tx: Transaction, patient_id: str, number: str) -> str:
    """The record that an encounter was opened for: it may have been merged into another since."""
    return encounters.find_holder(tx, records_of(tx, patient_id), number) or patient_id


# Who it is


def _patient(tx: Transaction, source: Source, content: Content, at: datetime) -> str:
    """The record of a message's patient, made or brought up to date."""
    person = content.person
    numbered = Person(number=person.number, issuer=person.issuer)
    by_number = patients.find_by_number(tx, numbered) if person.number else ()
    by_tckn = patients.find_by_number(tx, Person(tckn=person.tckn)) if person.tckn else ()
    if len(by_number) > 1 or (not person.number and len(by_tckn) > 1):
        raise Refused("The number belongs to several records here; reception has to join them.").as_fault(
            205, "PID-3"
        )
    found = by_number[0] if by_number else None
    if found is None and len(by_tckn) == 1:
        known = patients.load_person(tx, by_tckn[0])
        # With another number it is a second registration, which the sender's own merge (A40) joins.
        if not (person.number and known.number):
            found = by_tckn[0]
    if found is None:
        patient_id = patients.create(tx, person)
        tx.audit(Action.PATIENT_RECEIVED, patient_id=patient_id, source=source.peer.name)
        patients.note_told(tx, patient_id, at)
        return patient_id
    known = patients.load_person(tx, found)
    _refuse_other(known, person)
    last = patients.told_at(tx, found)
    if last is None or at >= last:
        stated = {name: getattr(person, name) for name in content.stated - {"number"}}
        after = replace(known, **stated, number=known.number or person.number)
        if after.number == person.number:
            after = replace(after, issuer=known.issuer or person.issuer)
        if not after.known:
            after = known
        patients.change(tx, found, after)
        patients.note_told(tx, found, at)
    return found


def _refuse_other(known: Person, stated: Person, place: str = "PID-3") -> None:
    """Refuse a number whose record says another person: two things that contradict are no correction.

    Two authorities may give one number to two people, and then neither may get what is the other's.
    """
    pairs = ((getattr(known, name), getattr(stated, name)) for name in ("tckn", "birth_date", "sex"))
    against = sum(1 for one, other in pairs if one and other and one != other)
    words = set(fold(known.name).split()), set(fold(stated.name).split())
    against += bool(words[0] and words[1] and not words[0] & words[1])
    if against > 1:
        raise Refused(
            "The number belongs to a record here that says another person; compare the two before it is "
            "sent again."
        ).as_fault(204, place)


def _merge(tx: Transaction, content: Content, survivor: str) -> None:
    """Join the records (A40); a number that nobody has here needs nothing."""
    assert content.replaced is not None
    survivor = survivor_of(tx, survivor)
    for found in patients.find_by_number(tx, content.replaced):
        if found != survivor:
            _refuse_other(patients.load_person(tx, found), patients.load_person(tx, survivor), "MRG-1")
            seen = compare_unaudited(tx, found, survivor).seen
            link(tx, found, survivor, LinkReason.MASTER_INDEX, seen)


# What is asked for


def _order(tx: Transaction, source: Source, patient_id: str, asked: RequestedOrder, at: datetime) -> None:
    """Place, change or cancel; what arrives in another order than it was sent ends the same.

    An older message only adds what the newer ones did not speak of.
    """
    content, peer = asked.content, source.peer.name
    numbers = {"placer_number": content.placer_number}
    if not content.placer_number:
        numbers = {"filler_number": content.filler_number, "accession": content.accession}
    theirs = records_of(tx, patient_id)
    found = orders.find_orders(tx, peer, **numbers)
    known = next((order for order in found if order.patient_id in theirs), None)
    if known is None and found and content.placer_number:
        raise Refused("The order belongs to another patient here; merge the two (A40) first.").as_fault(
            204, "ORC-2"
        )
    cancels = asked.control is Control.CANCEL or (
        asked.control is Control.STATUS and asked.status in {"CA", "DC"}
    )
    if known is not None:
        order_id = known.id
    else:
        order_id = orders.place_order(tx, patient_id, content, peer, told_at=at)
    if cancels:
        orders.cancel_order(tx, order_id)
    elif known is not None and known.state is not OrderState.CANCELLED:
        if known.told_at is not None and at < known.told_at:
            orders.change_order(tx, order_id, _over(content, known.content))
        else:
            state = _STATES.get(asked.status) if asked.control is Control.STATUS else None
            orders.change_order(tx, order_id, _over(known.content, content), state=state, told_at=at)


def _over(known: orders.OrderContent, stated: orders.OrderContent) -> orders.OrderContent:
    """What is known, with what a message says instead; what it does not speak of stays."""
    names = type(stated).__dataclass_fields__
    return replace(known, **{name: value for name in names if (value := getattr(stated, name))})
