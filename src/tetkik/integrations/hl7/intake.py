"""A message becomes patients, encounters and orders, in one transaction with its acknowledgment.

A message that comes again (its sender did not get the answer) gets the same answer and is not done twice; one
that is older than what is known of a patient changes nothing of it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.exc import DataError, SQLAlchemyError

from tetkik.documents.hl7 import MessageForm, escaped, to_hl7
from tetkik.documents.pdf import to_pdf
from tetkik.errors import Conflict, InputError, NotFound, TetkikError
from tetkik.integrations.dicom.spool import TURKISH, codec_of
from tetkik.integrations.hl7.content import (
    EVENTS,
    VERSIONS,
    Content,
    Control,
    Hl7Event,
    Level,
    Mapping,
    Reader,
    Remark,
    RequestedOrder,
    load_mapping,
)
from tetkik.integrations.hl7.message import Message, Place, Refused, read_message
from tetkik.integrations.systems import HospitalSystem
from tetkik.language import Language, Sentence
from tetkik.privacy.rules import is_tckn
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person, records_of, survivor_of
from tetkik.records.database import Records, Transaction
from tetkik.records.lifecycle.idempotent_responses import Replay, keep_response, kept_response
from tetkik.records.orders import orders
from tetkik.records.orders.orders import OrderContent
from tetkik.turkish import fold
from tetkik.values.access import Actor
from tetkik.values.document import ReportDocument
from tetkik.values.states import LinkReason, OrderState
from tetkik.workflow.patients import compare_unaudited, link

# The acknowledgment of a message (ACK, chapter 2.9 and 2.14): whether it was taken, and why not.


CONDITIONS = MappingProxyType(
    {
        0: "Message accepted",
        100: "Segment sequence error",
        101: "Required field missing",
        102: "Data type error",
        103: "Table value not found",
        104: "Value too long",
        200: "Unsupported message type",
        201: "Unsupported event code",
        203: "Unsupported version id",
        204: "Unknown key identifier",
        205: "Duplicate key identifier",
        207: "Application internal error",
    }
)
"""Table 0357."""


def acknowledge(
    message: Message | None,
    now: datetime,
    *,
    code: str = "AA",
    condition: int = 0,
    place: str = "",
    why: str = "",
) -> bytes:
    """An ACK in the version and the character set of the message that it answers.

    Args:
        message: None where it could not be read.
        code: `AA` taken, `AE` not for what it says, `AR` not for what it is (table 0008).
        place: of the fault, such as `PID-3`.
        why: one sentence for whoever reads the sender's log; nothing of a patient.
    """
    head = message.head if message is not None else None
    version = VERSIONS.get(message.version, "2.3.1") if message is not None else "2.3.1"
    event = escaped(head.value(9, 2)) if head is not None else ""
    control = escaped(message.control_id[:199]) if message is not None else ""
    made = now.strftime("%Y%m%d%H%M%S%z")
    to, facility = (escaped(head.value(number)[:180]) for number in (3, 4)) if head is not None else ("", "")
    kind = f"ACK^{event}" + ("^ACK" if version == "2.5.1" else "")
    processing = escaped(head.value(11)) or "P" if head is not None else "P"
    declared = head.raw(18) if head is not None else ""
    ours = ["MSH", "^~\\&", "TETKIK", "", to, facility, made, "", kind, f"A{control}"[:199], processing]
    segments = ["|".join([*ours, version, *([""] * 5 + [declared] if declared else [])])]
    segments.append("|".join(["MSA", code, control, escaped(why)]).rstrip("|"))
    if code != "AA":
        meaning = CONDITIONS[condition]
        where = Place.parse(place) if "-" in place else None
        if version == "2.5.1":  # chapter 2.15.5
            location = f"{where.segment}^1^{where.field}" if where else place
            segments.append(f"ERR||{location}|{condition}^{meaning}^HL70357|E||||{escaped(why)}")
        else:  # 2.3.1, chapter 2.16.5
            location = f"{where.segment}^1^{where.field}" if where else f"{place}^^"
            segments.append(f"ERR|{location}^{condition}&{meaning}&HL70357")
    text = "\r".join(segments) + "\r"
    return text.encode(message.character_set if message is not None else "utf-8", "replace")


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

    peer: HospitalSystem
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
        case Hl7Event.MERGED:
            _merge(tx, content, patient_id)
        case Hl7Event.OPENED | Hl7Event.MOVED | Hl7Event.REOPENED:
            orders.open_encounter(tx, _holder(tx, patient_id, number), number, department, at)
        case Hl7Event.CLOSED:
            orders.close_encounter(tx, _holder(tx, patient_id, number), number, at)
        case Hl7Event.ORDERED:
            for asked in content.orders:
                _order(tx, source, patient_id, asked, at)
        case Hl7Event.UPDATED:
            pass


def _holder(tx: Transaction, patient_id: str, number: str) -> str:
    """The record that an encounter was opened for: it may have been merged into another since."""
    return orders.find_holder(tx, records_of(tx, patient_id), number) or patient_id


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


# Says of a message what Tetkik takes of it, segment by segment, and what is missing or wrong.


_READ = frozenset({"MSH", "EVN", "PID", "MRG", "PV1", "ORC", "OBR", "IPC", "TQ1", "DG1"})
_RESULTS = frozenset({"ORU^R01"})


@dataclass(frozen=True, slots=True)
class Checked:
    """What is sentence of one message; `answer` is the code of its acknowledgment."""

    kind: str
    version: str
    answer: str
    remarks: tuple[Remark, ...]

    @property
    def sound(self) -> bool:
        """Whether all of it that Tetkik could use is taken."""
        return not any(remark.level in {Level.WRONG, Level.REFUSED} for remark in self.remarks)


def check_message(data: bytes, mapping: Mapping, zone: ZoneInfo, character_set: str | None = None) -> Checked:
    """What becomes of a message, without doing it; the remarks name places and no contents."""
    message: Message | None = None
    try:
        message = read_message(data, character_set)
        remarks = (
            *Reader(mapping, zone).read(message).remarks,
            *_unnamed(message, mapping),
            *_others(message),
        )
    except Refused as error:
        remark = Remark(Level.REFUSED, error.place, Sentence(error.template, error.values), error.condition)
        kind, version = (message.kind, message.version) if message is not None else ("", "")
        if kind in _RESULTS:
            known = {"known": ", ".join(EVENTS)}
            what = Sentence("This is a result; Tetkik sends such messages, and takes {known}.", known)
            remark = Remark(Level.REFUSED, "MSH-9", what, 200)
        return Checked(kind, version, error.code, (remark,))
    refused = any(remark.level is Level.REFUSED for remark in remarks)
    order = {segment.name: place for place, segment in reversed(list(enumerate(message.segments)))}
    ordered = sorted(remarks, key=lambda remark: order.get(remark.place[:3], len(order)))
    return Checked(message.kind, message.version, "AE" if refused else "AA", tuple(ordered))


def _unnamed(message: Message, mapping: Mapping) -> tuple[Remark, ...]:
    """Types of numbers in PID-3 that the mapping names nowhere: the numbers are not read."""
    wanted, segment = mapping.patient, message.first("PID")
    if segment is None:
        return ()
    numbers = [(segment.part(text, 1), segment.part(text, 5)) for text in segment.repetitions(3)]
    kinds = [kind for value, kind in numbers if value and (kind or not is_tckn(value))]
    if any(kind in wanted.number_types for kind in kinds):
        return ()  # the hospital's number is found; others beside it are usual
    sentence = "A number has the type {kind}, which number_types does not name; add it there."
    return tuple(
        Remark(Level.WRONG, "PID-3", Sentence(sentence, {"kind": f'"{kind[:20]}"'}))
        for kind in dict.fromkeys(kinds)
        if kind not in wanted.tckn_types
    )


def _others(message: Message) -> tuple[Remark, ...]:
    """Segments of which nothing is read."""
    names = dict.fromkeys(segment.name for segment in message.segments if segment.name not in _READ)
    return tuple(Remark(Level.UNREAD, name, Sentence("Nothing is read of this segment.")) for name in names)


# A signed report as the message that a peer wants: its version, codes and character set, with the PDF.


def oru_for(peer: HospitalSystem, document: ReportDocument, order: OrderContent | None = None) -> bytes:
    """ORU^R01 for a peer.

    Args:
        order: that the report answers, where there is one: its number and its procedure go back to the
            system that placed it.

    Raises:
        SettingError: the peer's mapping cannot be used.
    """
    mapping = load_mapping(peer.mapping)
    known = mapping.procedures.get(order.procedure_code) if order is not None else None
    form = MessageForm(
        version=peer.hl7_version,
        turkish=codec_of(peer.character_set or "") == codec_of(TURKISH),
        receiver=peer.name,
        placer_number=order.placer_number if order is not None else "",
        text=mapping.results.text,
        pdf=to_pdf(document) if mapping.results.pdf else None,
    )
    if known is not None and known.loinc:
        form = replace(form, procedure=(known.loinc, known.name))
    if known is not None and known.sut:
        form = replace(form, local=(known.sut, known.name, mapping.results.code_system))
    elif order is not None and order.procedure_code:
        form = replace(form, local=(order.procedure_code, order.procedure, "L"))
    return to_hl7(document, form)
