"""What Tetkik takes of a message: who the patient is, the encounter, the orders; and remarks on the rest."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from functools import cached_property
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from tetkik.errors import InputError, SettingError
from tetkik.integrations.hl7.message import NULL, Message, Place, Refused, Segment, moment_of
from tetkik.language import Sentence
from tetkik.privacy.rules import is_tckn
from tetkik.records.cases.patients import Person, phone_of, validate_person
from tetkik.records.orders.orders import OrderContent
from tetkik.settings import validation_fault
from tetkik.values.radiograph import Sex

# Where a hospital's system puts what, and what its codes mean: a file in TOML beside the built-in one.


_MOST_BYTES = 2_000_000

Text = Annotated[str, Field(max_length=200)]


def _place(text: object) -> object:
    try:
        return Place.parse(text) if isinstance(text, str) else text
    except ValueError:
        raise PydanticCustomError("place", "no place") from None


Places = tuple[Annotated[Place, BeforeValidator(_place)], ...]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class PatientPlaces(_Part):
    number_types: tuple[str, ...]
    number_authorities: tuple[str, ...]
    tckn_types: tuple[str, ...]
    tckn: Places
    phone: Places


class VisitPlaces(_Part):
    number: Places
    department: Places


class OrderPlaces(_Part):
    accession: Places
    placer_number: Places
    filler_number: Places
    procedure_code: Places
    procedure: Places
    question: Places
    referrer: Places
    modality: Places
    body_part: Places
    department: Places
    scheduled_at: Places
    station_ae: Places


class Procedure(_Part):
    """What a hospital's code of a procedure means, and the codes under which its result goes out."""

    code: Annotated[str, Field(min_length=1, max_length=64)]
    name: Text = ""
    modality: Annotated[str, Field(pattern=r"^([A-Z]{2,4})?$")] = ""
    body_part: Annotated[str, Field(pattern=r"^[A-Z0-9 ]{0,16}$")] = ""
    loinc: Annotated[str, Field(pattern=r"^(\d{1,7}-\d)?$")] = ""
    sut: Annotated[str, Field(max_length=32)] = ""


class Results(_Part):
    code_system: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,20}$")]
    pdf: bool
    text: Literal["FT", "TX"]


class Mapping(_Part):
    """The whole file, over the built-in one."""

    patient: PatientPlaces
    visit: VisitPlaces
    order: OrderPlaces
    departments: dict[str, Text] = {}
    procedure: tuple[Procedure, ...] = ()
    results: Results

    @cached_property
    def procedures(self) -> dict[str, Procedure]:
        return {item.code: item for item in self.procedure}


def load_mapping(file: Path | None = None) -> Mapping:
    """The built-in mapping, with what a hospital's file says instead.

    Raises:
        SettingError: a file that is no such mapping; it names the key.
    """
    table = tomllib.loads(resources.files(__package__).joinpath("default.toml").read_text("utf-8"))
    if file is None:
        return Mapping.model_validate(table)
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES} bytes")
        for name, part in tomllib.loads(content.decode("utf-8")).items():
            known = table.get(name)
            both = isinstance(known, dict) and isinstance(part, dict)
            table[name] = (known or {}) | part if both else part
        return Mapping.model_validate(table)
    except (OSError, ValueError) as error:
        raise SettingError(
            "The HL7 mapping {file} cannot be used ({fault}); correct it.", file=file, fault=_fault(error)
        ) from None


def _fault(error: OSError | ValueError) -> object:
    if isinstance(error, OSError):
        return error.strerror
    if not isinstance(error, ValidationError):
        return error
    first = error.errors()[0]
    fault = validation_fault(first)
    if first["type"] == "place":
        fault = Sentence("a place such as PID-3 or OBR-4.1 is needed")
    return Sentence("{key}: {fault}", {"key": ".".join(map(str, first["loc"])), "fault": fault})


class Hl7Event(StrEnum):
    """What a message tells."""

    OPENED = "opened"
    MOVED = "moved"
    CLOSED = "closed"
    REOPENED = "reopened"
    UPDATED = "updated"
    MERGED = "merged"
    ORDERED = "ordered"


EVENTS = MappingProxyType(
    {
        "ADT^A01": Hl7Event.OPENED,
        "ADT^A02": Hl7Event.MOVED,
        "ADT^A03": Hl7Event.CLOSED,
        "ADT^A04": Hl7Event.OPENED,
        "ADT^A05": Hl7Event.UPDATED,
        "ADT^A08": Hl7Event.UPDATED,
        "ADT^A11": Hl7Event.CLOSED,
        "ADT^A13": Hl7Event.REOPENED,
        "ADT^A28": Hl7Event.UPDATED,
        "ADT^A31": Hl7Event.UPDATED,
        "ADT^A40": Hl7Event.MERGED,
        "ORM^O01": Hl7Event.ORDERED,
        "OMG^O19": Hl7Event.ORDERED,
    }
)
"""The messages that are taken (tables 0076 and 0003); A05 announces an encounter and opens none."""
VERSIONS = MappingProxyType(
    {"2.3": "2.3.1", "2.3.1": "2.3.1", "2.4": "2.3.1", "2.5": "2.5.1", "2.5.1": "2.5.1"}
)
"""Versions that are read, and the one by which they are answered."""


class Control(StrEnum):
    """What is asked of an order (ORC-1, table 0119)."""

    NEW = "NW"
    CHANGE = "XO"
    CANCEL = "CA"
    STATUS = "SC"


class Level(StrEnum):
    """How a remark is meant."""

    TAKEN = "taken"
    ABSENT = "absent"
    """Tetkik could use it, and the message does not have it."""
    UNREAD = "unread"
    """Nothing that Tetkik knows stands there."""
    WRONG = "wrong"
    """It is left out; the rest of the message is taken."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Remark:
    level: Level
    place: str
    what: Sentence
    condition: int = 0
    """Of table 0357, where the message is refused for it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The encounter; a department that is not mapped is empty."""

    number: str = field(repr=False)
    department: str


@dataclass(frozen=True, slots=True)
class RequestedOrder:
    """One order of a message, and the status that a `SC` tells (ORC-5, table 0038)."""

    control: Control
    status: str
    content: OrderContent = field(repr=False)


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says; `stated` are the traits of the patient that it speaks of, be it to delete them."""

    event: Hl7Event
    at: datetime | None
    person: Person = field(repr=False)
    stated: frozenset[str]
    replaced: Person | None = field(repr=False)
    visit: Visit
    orders: tuple[RequestedOrder, ...]
    remarks: tuple[Remark, ...]

    def refuse_faulty(self) -> None:
        """Raise the first remark for which the message is refused."""
        for remark in self.remarks:
            if remark.level is Level.REFUSED:
                fault = Refused(remark.what.template, **remark.what.values)
                raise fault.as_fault(remark.condition, remark.place)


_SEXES = MappingProxyType({"F": Sex.FEMALE, "M": Sex.MALE, "O": Sex.OTHER, "K": Sex.FEMALE, "E": Sex.MALE})
"""Table 0001; and `K` and `E`, which Turkish systems write (kadın, erkek)."""
_MODALITIES = frozenset(["CR", "DX", "CT", "MR", "US", "MG", "XA", "RF", "NM", "PT", "PX", "IO", "ES", "OT"])
_CONTEXT = frozenset({"MSH", "PID", "PV1"})


class Reader:
    """Reads one message by a hospital's mapping.

    Args:
        zone: of times without their own.
        issuer: whose the patient numbers and accession numbers of the sender are.
        ahead: how far its clock is ahead.
    """

    def __init__(
        self, mapping: Mapping, zone: tzinfo, issuer: str = "", ahead: timedelta = timedelta()
    ) -> None:
        self.mapping, self.zone, self.issuer, self.ahead = mapping, zone, issuer, ahead
        self._remarks: list[Remark] = []

    def read(self, message: Message) -> Content:
        """Everything of a message, with its faults as remarks; raises `Refused` where it is none of ours."""
        self._remarks = []
        if message.version not in VERSIONS:
            raise Refused(
                "The version {version} of HL7 is not read; send 2.3.1 or 2.5.1.", version=message.version[:20]
            ).as_fault(203, "MSH-12", "AR")
        event = EVENTS.get(message.kind)
        if event is None:
            known = message.kind.partition("^")[0] in {kind.partition("^")[0] for kind in EVENTS}
            raise Refused(
                "Messages {kind} are not taken; send {known}.",
                kind=message.kind[:20],
                known=", ".join(EVENTS),
            ).as_fault(201 if known else 200, "MSH-9", "AR")
        if not message.control_id:
            self._note(Level.REFUSED, "MSH-10", Sentence("The message has no control id."), 101)
        if message.misdeclared:
            self._note(
                Level.WRONG,
                "MSH-18",
                Sentence(
                    "The text is not in the character set that MSH-18 declares; correct that, or set "
                    "character_set of the peer."
                ),
            )
        return self._content(message, event)

    def _content(self, message: Message, event: Hl7Event) -> Content:
        at = next((found for found in map(self._moment(message), ("EVN-2", "MSH-7")) if found), None)
        if at is None:
            self._note(Level.REFUSED, "MSH-7", Sentence("The message has no time."), 101)
        person, stated = self._person(message)
        replaced = self._replaced(message) if event is Hl7Event.MERGED else None
        visit = self._visit(message, event)
        orders = tuple(self._orders(message)) if event is Hl7Event.ORDERED else ()
        if event is Hl7Event.ORDERED and not orders:
            self._note(Level.REFUSED, "ORC", Sentence("The message has no order (ORC, OBR)."), 100)
        return Content(event, at, person, stated, replaced, visit, orders, tuple(self._remarks))

    # The patient

    def _person(self, message: Message) -> tuple[Person, frozenset[str]]:
        segment = message.first("PID")
        if segment is None:
            self._note(Level.REFUSED, "PID", Sentence("The message has no patient (PID)."), 100)
            return Person(), frozenset()
        number, tckn = self._numbers(segment, 3)
        tckn = tckn or self._found(message, self.mapping.patient.tckn)[0]
        sex = segment.value(8)
        texts = {
            "number": number,
            "tckn": tckn,
            "name": self._name(segment),
            "birth_date": segment.value(7)[:8],
            "phone": self._found(message, self.mapping.patient.phone)[0],
        }
        places = {
            "number": "PID-3",
            "tckn": "PID-3",
            "name": "PID-5",
            "birth_date": "PID-7",
            "phone": "PID-13",
        }
        person, stated = Person(), set[str]()
        for trait, text in texts.items():
            person = self._trait(person, trait, text, places[trait], stated)
        if sex and sex not in {NULL, "U", "A", "N"} and sex not in _SEXES:
            self._note(Level.WRONG, "PID-8", Sentence("The sex is none of F, M, O, U."))
        elif sex in _SEXES:
            person = replace(person, sex=_SEXES[sex])
            stated.add("sex")
        if not (person.number or person.tckn):
            self._note(
                Level.REFUSED, "PID-3", Sentence("The patient has neither a hospital number nor a TCKN."), 101
            )
        elif not person.name:
            self._note(Level.REFUSED, "PID-5", Sentence("The patient has no name."), 101)
        return replace(person, issuer=self.issuer if person.number else ""), frozenset(stated)

    def _trait(self, person: Person, trait: str, text: str, place: str, stated: set[str]) -> Person:
        if not text:
            self._note(Level.ABSENT, place, _shown(trait))
            return person
        stated.add(trait)
        if text == NULL:
            return person
        try:
            known = phone_of(text) if trait == "phone" else text
            valid = validate_person(Person(**{trait: known}))  # type: ignore[arg-type]
        except InputError as error:
            stated.discard(trait)
            self._note(Level.WRONG, place, Sentence(error.template, error.values))
            return person
        self._note(Level.TAKEN, place, _shown(trait))
        return replace(person, **{trait: getattr(valid, trait)})

    def _numbers(self, segment: Segment, field_number: int) -> tuple[str, str]:
        """The hospital's number and the TCKN of a field of numbers (CX, chapter 2A.14)."""
        wanted, found, tckn = self.mapping.patient, dict[str, str](), ""
        for text in segment.repetitions(field_number):
            value, authority, kind = (segment.part(text, part) for part in (1, 4, 5))
            if value == NULL:
                continue
            if value and (kind in wanted.tckn_types or (not kind and is_tckn(value))):
                tckn = value
            elif value and (not wanted.number_authorities or authority in wanted.number_authorities):
                found.setdefault(kind, value)
        return next((found[kind] for kind in wanted.number_types if kind in found), ""), tckn

    @staticmethod
    def _name(segment: Segment) -> str:
        """Given names before the family's, as they are kept here (XPN, chapter 2A.89)."""
        family, given, second = (segment.value(5, part) for part in (1, 2, 3))
        return NULL if family == NULL else " ".join(filter(None, (given, second, family)))

    def _replaced(self, message: Message) -> Person | None:
        """Whom an A40 replaces (MRG-1)."""
        segment = message.first("MRG")
        number, tckn = self._numbers(segment, 1) if segment is not None else ("", "")
        if not (number or tckn):
            self._note(Level.REFUSED, "MRG-1", Sentence("The number that is merged is missing."), 101)
            return None
        return Person(number=number, tckn=tckn, issuer=self.issuer)

    # Encounter and orders

    def _visit(self, message: Message, event: Hl7Event) -> Visit:
        number, place = self._found(message, self.mapping.visit.number)
        opens = event in {Hl7Event.OPENED, Hl7Event.MOVED, Hl7Event.CLOSED, Hl7Event.REOPENED}
        if opens and not number:
            self._note(Level.REFUSED, place, Sentence("The encounter has no number."), 101)
        if number:
            self._taken(_shown("visit"), number, place)
        department = self._department(message, self.mapping.visit.department) if opens else ""
        return Visit(number, department)

    def _orders(self, message: Message) -> Iterator[RequestedOrder]:
        for group in _order_groups(message):
            control = group.value(Place("ORC", 1)) or Control.NEW
            if control not in list(Control):
                self._note(
                    Level.REFUSED,
                    "ORC-1",
                    Sentence("The order control is none of {known}.", {"known": ", ".join(Control)}),
                    103,
                )
                continue
            yield RequestedOrder(Control(control), group.value(Place("ORC", 5)), self._order(group))

    def _order(self, group: Message) -> OrderContent:
        places = self.mapping.order
        texts = {
            name: self._found(group, getattr(places, name))
            for name in type(places).model_fields
            if name not in {"department", "scheduled_at", "modality", "body_part"}
        }
        for name, (text, place) in texts.items():
            self._taken(_shown(name), text, place)
        found = {name: text for name, (text, _) in texts.items()}
        if not (found["accession"] or found["placer_number"] or found["filler_number"]):
            self._note(Level.REFUSED, "OBR-2", Sentence("The order has no number."), 101)
        procedure = self.mapping.procedures.get(found["procedure_code"])
        modality, place = self._found(group, places.modality, lambda text: text in _MODALITIES)
        modality = (procedure.modality if procedure else "") or modality
        body_part, _ = self._found(group, places.body_part)
        body_part = (procedure.body_part if procedure else "") or body_part.upper()
        self._taken(_shown("modality"), modality, place)
        self._taken(_shown("body_part"), body_part, str(places.body_part[0]) if places.body_part else "")
        found["procedure"] = found["procedure"] or (procedure.name if procedure else "")
        found["referrer"] = self._referrer(group) or found["referrer"]
        return OrderContent(
            **found,
            issuer=self.issuer,
            modality=modality,
            body_part=body_part,
            department=self._department(group, places.department),
            scheduled_at=self._scheduled(group),
        )

    def _referrer(self, group: Message) -> str:
        """A name of XCN (number, family, given, second; chapter 2A.88)."""
        for place in self.mapping.order.referrer:
            segment = group.first(place.segment)
            if segment is not None and not place.component and segment.value(place.field, 2):
                family, given, second, title = (segment.value(place.field, part) for part in (2, 3, 4, 6))
                return " ".join(filter(None, (title, given, second, family)))
        return ""

    def _scheduled(self, group: Message) -> datetime | None:
        text, place = self._found(group, self.mapping.order.scheduled_at)
        at = moment_of(text, self.zone, self.ahead) if text else None
        if text and at is None:
            self._note(Level.WRONG, place, Sentence("This is no time; write it as 202611231400."))
        else:
            self._taken(_shown("scheduled_at"), text, place)
        return at

    def _department(self, message: Message, places: Places) -> str:
        codes = [(message.value(place), str(place)) for place in places]
        named = next((name for code, _ in codes if (name := self.mapping.departments.get(code))), "")
        if named:
            return named
        code, place = next((pair for pair in codes if pair[0]), ("", str(places[0]) if places else ""))
        if code:
            self._note(
                Level.WRONG,
                place,
                Sentence("The code of the department is not in the mapping; add it under [departments]."),
            )
        else:
            self._note(Level.ABSENT, place, _shown("department"))
        return ""

    def _moment(self, message: Message) -> Callable[[str], datetime | None]:
        return lambda place: moment_of(message.value(Place.parse(place)), self.zone, self.ahead)

    def _found(self, message: Message, places: Places, fits: Callable[[str], bool] = bool) -> tuple[str, str]:
        """The first text of several places that fits, and where it stands."""
        for place in places:
            text = "".join(char for char in message.value(place) if char.isprintable() or char in "\n\t")
            if text != NULL and fits(text):
                return text, str(place)
        return "", str(places[0]) if places else ""

    def _taken(self, trait: Sentence, text: str, place: str) -> None:
        if text:
            self._note(Level.TAKEN, place, trait)
        else:
            self._note(Level.ABSENT, place, trait)

    def _note(self, level: Level, place: str, what: Sentence, condition: int = 0) -> None:
        self._remarks.append(Remark(level, place, what, condition))


def _order_groups(message: Message) -> Iterator[Message]:
    """Each order as a message of its own: what stands before the first, with its own segments."""
    before = tuple(segment for segment in message.segments if segment.name in _CONTEXT)
    group: list[Segment] = []
    for segment in message.segments:
        if segment.name in _CONTEXT:
            continue
        begins = segment.name == "ORC" or (segment.name == "OBR" and any(one.name == "OBR" for one in group))
        if begins and group:
            yield replace(message, segments=(*before, *group))
            group = []
        if begins or segment.name == "OBR" or group:
            group.append(segment)
    if group:
        yield replace(message, segments=(*before, *group))


_TRAITS = MappingProxyType(
    {
        "number": Sentence("the hospital number"),
        "tckn": Sentence("the TCKN"),
        "name": Sentence("the name"),
        "birth_date": Sentence("the date of birth"),
        "phone": Sentence("the telephone number"),
        "visit": Sentence("the number of the encounter"),
        "accession": Sentence("the accession number"),
        "placer_number": Sentence("the placer's order number"),
        "filler_number": Sentence("the filler's order number"),
        "procedure_code": Sentence("the code of the procedure"),
        "procedure": Sentence("the name of the procedure"),
        "question": Sentence("the clinical question"),
        "referrer": Sentence("who asks for it"),
        "modality": Sentence("the modality"),
        "body_part": Sentence("the body part"),
        "department": Sentence("the department"),
        "scheduled_at": Sentence("the time of the appointment"),
        "station_ae": Sentence("the station's AE title"),
    }
)


def _shown(trait: str) -> Sentence:
    return _TRAITS[trait]
