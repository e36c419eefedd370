"""An HL7 v2 message as segments, fields and their parts (chapter 2), read within limits.

The package hl7 reads messages, too; it writes field contents into the log where an escape sequence is wrong
and ends in errors of its own kind, so that it frames messages here (MLLP) and this reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from tetkik.errors import InputError
from tetkik.integrations.dicom.spool import codec_of, decode_text
from tetkik.records.orders.orders import YEARS

MOST_BYTES = 4_000_000
"""Of a message; reports with a PDF go out, and nothing as long comes in."""
_MOST_SEGMENTS = 2_000
_MOST_FIELDS = 400
NULL = '""'
"""What a field holds whose value is to be deleted (chapter 2.5.3)."""
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}", re.ASCII)
_MOMENT = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})-(\d{1,3})(?:\.(\d{1,2}))?(?:\.(\d{1,2}))?", re.ASCII)


class Refused(InputError):
    """A message, or what it says, that is not taken.

    Attributes:
        code: of the acknowledgment (table 0008): `AE` for what it says, `AR` for what it is.
        condition: of table 0357, such as 101, "required field missing".
        place: such as `PID-3`; empty for the message.
    """

    code = "AE"
    condition = 207
    place = ""

    def as_fault(self, condition: int, place: str = "", code: str = "AE") -> Refused:
        self.condition, self.place, self.code = condition, place, code
        return self


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: `PID-5.1.1`, counted from 1; a component or subcomponent of 0 is all of it."""

    segment: str
    field: int
    component: int = 0
    subcomponent: int = 0

    @classmethod
    def parse(cls, text: str) -> Place:
        found = _PLACE.fullmatch(text)
        if found is None:
            raise ValueError(f"{text} is no place of a message such as PID-3 or OBR-4.1")
        return cls(found[1], int(found[2]), int(found[3] or 0), int(found[4] or 0))

    def __str__(self) -> str:
        parts = "".join(f".{number}" for number in (self.component, self.subcomponent) if number)
        return f"{self.segment}-{self.field}{parts}"


@dataclass(frozen=True, slots=True)
class Separators:
    """Of MSH-1 and MSH-2: what stands between the parts."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment; `fields[3]` is its third field as it is written, and `fields[0]` its name."""

    name: str
    fields: tuple[str, ...]
    separators: Separators

    def raw(self, number: int) -> str:
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> tuple[str, ...]:
        return tuple(self.raw(number).split(self.separators.repetition))

    def value(self, number: int, component: int = 0, subcomponent: int = 0, repetition: int = 0) -> str:
        """The text there, without its escapes; of a composite where one part is asked for, the first."""
        found = self.repetitions(number)
        text = found[repetition] if repetition < len(found) else ""
        return self.part(text, component or 1, subcomponent or 1)

    def part(self, text: str, component: int, subcomponent: int = 1) -> str:
        """A part of one repetition, unescaped and without the spaces around it."""
        for separator, number in (
            (self.separators.component, component),
            (self.separators.subcomponent, subcomponent),
        ):
            parts = text.split(separator, number)
            text = parts[number - 1] if number <= len(parts) else ""
        return unescaped(text, self.separators).strip()


@dataclass(frozen=True, slots=True)
class Message:
    """A message; its text may be anybody's illness, so it shows in no log."""

    segments: tuple[Segment, ...]
    character_set: str
    """The codec that MSH-18 declares; UTF-8 where it declares none that is known."""
    misdeclared: bool
    """Whether its text is, or seems to be, in another."""

    @property
    def head(self) -> Segment:
        return self.segments[0]

    @property
    def kind(self) -> str:
        """Such as `ADT^A01` (MSH-9)."""
        return f"{self.head.value(9, 1)}^{self.head.value(9, 2)}"

    @property
    def control_id(self) -> str:
        return self.head.value(10)

    @property
    def version(self) -> str:
        return self.head.value(12, 1)

    def first(self, name: str) -> Segment | None:
        return next((segment for segment in self.segments if segment.name == name), None)

    def all(self, name: str) -> tuple[Segment, ...]:
        return tuple(segment for segment in self.segments if segment.name == name)

    def value(self, place: Place) -> str:
        """The text at a place of the first such segment; empty where there is none."""
        segment = self.first(place.segment)
        return segment.value(place.field, place.component, place.subcomponent) if segment else ""

    def __repr__(self) -> str:
        return f"Message({self.kind})"


def read_message(data: bytes, really: str | None = None) -> Message:
    """The message in these bytes.

    Args:
        data: segments that end with carriage returns (line feeds are taken, too).
        really: the character set of whoever sends it, whatever MSH-18 says; a defined term of DICOM such as
            `ISO_IR 148`, or None to believe the message where it can be right.

    Raises:
        Refused: no message, or one beyond the limits.
    """
    if len(data) > MOST_BYTES:
        raise Refused(
            "The message has more than {most} bytes; send it without attachments.", most=MOST_BYTES
        ).as_fault(207, code="AR")
    data = data.lstrip(b"\r\n \x0b")
    if data[:3] != b"MSH" or len(data) < 8 or len(set(data[3:8])) != 5 or not _are_separators(data[3:8]):
        raise Refused("This is no HL7 message; it begins with MSH and its separators (MSH|^~\\&).").as_fault(
            100, "MSH-2", "AR"
        )
    separators = Separators(*data[3:8].decode("ascii"))
    first = re.split(rb"[\r\n]", data, maxsplit=1)[0].split(data[3:4])
    declared = first[17].split(data[5:6])[0].decode("ascii", "replace").strip() if len(first) > 17 else ""
    decoded = decode_text(data, declared, really)
    text = decoded.text
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    if len(lines) > _MOST_SEGMENTS:
        raise Refused("The message has more than {most} segments; split it.", most=_MOST_SEGMENTS).as_fault(
            207, code="AR"
        )
    return Message(
        tuple(_segment(line, separators) for line in lines),
        codec_of(declared) or "utf-8",
        decoded.repaired or decoded.proposed is not None,
    )


def _are_separators(data: bytes) -> bool:
    """Printable ASCII that is neither letter nor digit."""
    return all(0x21 <= octet <= 0x7E and not chr(octet).isalnum() for octet in data)


def _segment(line: str, separators: Separators) -> Segment:
    fields = line.split(separators.field)
    if not _NAME.fullmatch(fields[0]):
        raise Refused("A segment has no name of three capital letters or digits; correct it.").as_fault(
            104, code="AR"
        )
    if len(fields) > _MOST_FIELDS:
        raise Refused(
            "The segment {name} has more than {most} fields; correct it.", name=fields[0], most=_MOST_FIELDS
        ).as_fault(207, fields[0], "AR")
    if fields[0] == "MSH":  # MSH-1 is the separator itself (chapter 2.15.9.1)
        fields.insert(1, separators.field)
    return Segment(fields[0], tuple(fields), separators)


def unescaped(text: str, separators: Separators) -> str:
    """Text with its escape sequences (chapter 2.7) replaced; what none is known for is left out.

    Of `\\X..\\` the octets are not text of the message's character set, and are left out as well.
    """
    if separators.escape not in text:
        return text
    meant = {
        "F": separators.field,
        "S": separators.component,
        "T": separators.subcomponent,
        "R": separators.repetition,
        "E": separators.escape,
        ".br": "\n",
        ".sp": "\n",
    }
    parts = text.split(separators.escape)
    if len(parts) % 2 == 0:  # one without its end: it is text
        parts[-2:] = [separators.escape.join(parts[-2:])]
    return "".join(part if place % 2 == 0 else meant.get(part, "") for place, part in enumerate(parts))


def moment_of(text: str, zone: tzinfo, ahead: timedelta = timedelta()) -> datetime | None:
    """A time stamp (TS, chapter 2A.77) as UTC; one without its zone is of `zone`; None for none.

    Args:
        ahead: how far the clock of whoever wrote it is ahead.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (
        int(part or default) for part, default in zip(found.groups()[:6], (0, 1, 1, 0, 0, 0), strict=True)
    )
    if year not in YEARS:
        return None
    try:
        at = datetime(year, month, day, hour, minute, second)
        if offset := found[7]:
            minutes = int(offset[1:3]) * 60 + int(offset[3:])
            at = at.replace(tzinfo=timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))
        else:
            at = at.replace(tzinfo=zone)
        return at.astimezone(UTC) - ahead
    except (ValueError, OverflowError):
        return None
