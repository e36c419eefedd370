"""A report as an HL7 v2 message (2.5.1, or 2.3.1): an unsolicited observation, ORU^R01 (chapter 7.3.1)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType

from tetkik.documents.parts import (
    AGE,
    AGE_UNITS,
    DERIVATIONS,
    OWN_SCHEME,
    SNOMED,
    WITHDRAWN,
    Identifier,
    age_of,
    dicom_date,
    disclaimer,
    examined_at,
    family_and_given,
    identifiers_of,
    measure_of,
    measured_name,
    measured_words,
    parts_of,
    replaced_words,
    statements,
    withdrawal_words,
)
from tetkik.language import Language
from tetkik.values import ReportDocument, ReportState, Sex, Signature, label_name

_RESULT = MappingProxyType(
    {
        ReportState.DRAFT: "P",
        ReportState.FINAL: "F",
        ReportState.AMENDED: "C",
        ReportState.WITHDRAWN: "X",
    }
)
"""Result status of the whole (OBR-25), table 0123: preliminary, final, correction, no results available.

No word of the table says wrong. A correction would let a receiver that reads this field alone show the old
text as the corrected one; `X` lets it show none. The report that is signed anew comes as a correction.
"""
_OBSERVED = MappingProxyType({**_RESULT, ReportState.WITHDRAWN: "W"})
"""Status of each observation (OBX-11), table 0085: `W`, "Post original as wrong, e.g., transmitted for wrong
patient"; the rest as above."""

_SEX = MappingProxyType({Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O"})
_PRESENT, _ABSENT = "52101004^Present^SCT", "2667000^Absent^SCT"
_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
_SPECIAL = re.compile(r"[\\|^&~]|\r\n|\r|\n|[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class MessageForm:
    """How a receiver wants a report.

    Attributes:
        version: `2.3.1` or `2.5.1`.
        turkish: whether it is in ISO 8859-9; `≥` is written `>=` there, and the like. Nothing is left out.
        receiver: its application (MSH-5).
        procedure: LOINC code and meaning of the examination.
        local: code, meaning and system of the same in the receiver's terms, such as of the SUT.
        placer_number: of the order that it answers (OBR-2).
        text: type of the report's text, `FT` or `TX`.
        pdf: the report as a file, in an observation of its own.
    """

    version: str = "2.5.1"
    turkish: bool = False
    receiver: str = ""
    procedure: tuple[str, str] = ("18748-4", "Diagnostic imaging study")
    local: tuple[str, str, str] | None = None
    placer_number: str = field(default="", repr=False)
    text: str = "FT"
    pdf: bytes | None = field(default=None, repr=False)


_IN_LATIN = str.maketrans(
    {
        "≥": ">=",
        "≤": "<=",
        "≠": "!=",
        "≈": "ca. ",
        "–": "-",
        "—": "-",
        "−": "-",
        "‑": "-",
        "…": "...",
        "•": "-",
    }
    | {"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "→": "->", "\u2009": " ", "\u202f": " ", "€": "EUR"}
)
"""What reports have and ISO 8859-9 does not, where a `?` would say something else; without delimiters."""


def to_hl7(document: ReportDocument, form: MessageForm = MessageForm()) -> bytes:
    """The report as one message, its segments ended by carriage returns.

    A draft is sent as preliminary, a withdrawn report with its text as wrong. ValueError where the receiver's
    character set lacks a character that nothing stands for: a report that says something else is not sent.
    """
    message = "\r".join(_segments(document, form)) + "\r"
    return message.translate(_IN_LATIN).encode("iso8859_9") if form.turkish else message.encode("utf-8")


def _segments(document: ReportDocument, form: MessageForm) -> Iterator[str]:
    identity = document.identity
    sender = escaped(document.hospital.name)
    created, control = _made(document)
    processing = "T" if document.hospital.demonstration else "P"  # training or production (table 0103)
    kind = "ORU^R01^ORU_R01" if form.version == "2.5.1" else "ORU^R01"
    head = ["MSH", "^~\\&", "TETKIK", sender, escaped(form.receiver), "", created, "", kind, control]
    head += [processing, form.version]
    yield _joined([*head, *[""] * 5, "8859/9" if form.turkish else "UNICODE UTF-8"])
    name = _name(identity.patient_name)
    number = "~".join(_identifier(item, sender) for item in identifiers_of(identity, document.hospital))
    sex = _SEX[identity.sex] if identity.sex is not None else "U"
    yield _joined(["PID", "1", "", number, "", name, "", dicom_date(identity.birth_date), sex])
    referrer = _physician(identity.referrer)
    if referrer or document.department:
        # Who refers and from where (PV1-8, PV1-10); the class of the patient (PV1-2, table 0004) is unknown.
        yield _joined(["PV1", "1", "U", *[""] * 5, referrer, "", escaped(document.department)])
    signed = document.signature
    observer = "" if signed is None else _observer(signed)
    when = created if signed is None or document.withdrawal is not None else _moment(signed.signed_at)
    order = {
        1: "1",
        2: escaped(form.placer_number),
        3: escaped(document.id),
        4: "^".join((*map(escaped, form.procedure), "LN", *map(escaped, form.local or ()))),
        7: _examined(document),
        16: referrer,
        18: escaped(identity.accession or ""),
        20: escaped(document.number),
        22: when,
        24: "RAD",
        25: _RESULT[document.standing],
        32: observer,
    }
    yield _joined(["OBR", *(order.get(place, "") for place in range(1, 33))])
    seal = ("ST", f"VERIFICATION^SHA-256 of the report^{OWN_SCHEME}", "", document.verification, "")
    observed = [*_observations(document), *_measured(document), *_age(document), *_file(form), seal]
    for place, (kind, code, part, value, unit) in enumerate((_fitting(item, form) for item in observed), 1):
        yield _joined(
            ["OBX", str(place), kind, code, part, value, unit, "", "", "", "", _OBSERVED[document.standing]]
        )
    language = document.draft.language
    lines = (line for part in parts_of(document.content) for line in part.lines)
    marked = [words for line in lines for words in line.objections]
    taken = [f"{WITHDRAWN}: {' '.join(withdrawal_words(document))}"] if document.withdrawal else []
    for place, words in enumerate([*taken, *replaced_words(document), *marked, disclaimer(language)], 1):
        yield _joined(["NTE", str(place), "", escaped(words)])


def _made(document: ReportDocument) -> tuple[str, str]:
    """When the message was made, and its control id (MSH-7, MSH-10): that of a withdrawal is its own."""
    if document.withdrawal is None:
        return _moment(document.created), document.verification[:20]
    made = _moment(document.withdrawal.signature.signed_at)
    return made, sha256(f"{document.verification} withdrawn {made}".encode()).hexdigest()[:20]


_Observed = tuple[str, str, str, str, str]
"""Type, code, sub-id, value and unit of an observation."""


def _observations(document: ReportDocument) -> Iterator[_Observed]:
    """The parts of the report; then what is there or not by the radiologist, and the model's probabilities.

    Of what a radiologist rejected no probability is sent: alone it would read as found.
    """
    for part in parts_of(document.content):
        if part.loinc is not None:
            value = escaped("\n".join(line.text for line in part.lines))
            yield "FT", f"{part.loinc.value}^{part.loinc.meaning}^LN", "", value, ""
    for item in statements(document):
        code = _coded(item.label, document.draft.language)
        if item.judgement is not None:
            yield "CWE", code, "", _PRESENT if item.present else _ABSENT, ""
        finding = item.finding
        if item.present and finding is not None and finding.positive and finding.probability is not None:
            yield "NM", code, "", f"{finding.probability:.4f}".rstrip("0").rstrip("."), "1^^UCUM"


def _age(document: ReportDocument) -> Iterator[_Observed]:
    if (age := age_of(document)) is not None:
        unit = AGE_UNITS[age.unit]
        units = f"{unit.value}^{unit.meaning}^UCUM"
        yield "NM", f"{AGE.value}^{AGE.meaning}^LN", "", str(age.count), units


def _fitting(item: _Observed, form: MessageForm) -> _Observed:
    """In a type that the receiver has: TX, whose lines are repetitions (chapter 2A.78), or CE."""
    kind, code, part, value, unit = item
    if kind == "FT" and form.text == "TX":
        return "TX", code, part, value.replace("\\.br\\", "~"), unit
    if kind == "CWE" and form.version == "2.3.1":
        return "CE", code, part, value, unit
    return item


def _file(form: MessageForm) -> Iterator[_Observed]:
    """The PDF as encapsulated data (ED, chapter 2A.24)."""
    if form.pdf is not None:
        data = b64encode(form.pdf).decode("ascii")
        yield "ED", f"PDF^Report as PDF^{OWN_SCHEME}", "", f"^application^pdf^Base64^{data}", ""


def _identifier(item: Identifier, sender: str) -> str:
    """A number with its authority and type, as CX (chapter 2A.14)."""
    authority = escaped(item.authority) or sender
    universal = f"&{item.oid}&ISO" if item.oid else ""
    return f"{escaped(item.value)}^^^{authority}{universal}^{item.kind}"


def _physician(name: str | None) -> str:
    """A name without a number, as XCN (chapter 2A.88)."""
    spoken = _name(name)
    return f"^{spoken}" if spoken else ""


def _examined(document: ReportDocument) -> str:
    at = examined_at(document.identity, document.hospital)
    return _moment(at) if isinstance(at, datetime) else dicom_date(document.identity.study_date)


def _measured(document: ReportDocument) -> Iterator[_Observed]:
    """The measurements, each with its number as the sub-id, and in words what it is and where it holds."""
    language = document.draft.language
    for place, item in enumerate(document.measurements, 1):
        code = ""
        for figure in item.figures:
            (known, scheme), derived = measure_of(figure.kind, figure.unit), DERIVATIONS.get(figure.kind)
            # What a figure of a region's pixels is derived by stands beside the code, as its alternate.
            also = f"^{derived.value}^{derived.meaning}^SCT" if derived else ""
            named = f"{known.value}^{known.meaning}^{scheme}{also}"
            code = code or named
            unit = f"{escaped(figure.unit.value)}^^UCUM"
            yield "NM", named, str(place), f"{figure.rounded:.10g}", unit
        about = (measured_name(item, language), measured_words(item, language))
        yield "ST", code, str(place), escaped("; ".join(filter(None, about))), ""


def _joined(fields: list[str]) -> str:
    return "|".join(fields).rstrip("|")


def _coded(label: str, language: Language) -> str:
    """A label as CWE: our own code, and the SNOMED CT concept as the alternate where one is certain."""
    own = f"{escaped(label)}^{escaped(label_name(label, language))}^{OWN_SCHEME}"
    known = SNOMED.get(label)
    return own if known is None else f"{own}^{known.value}^{escaped(known.meaning)}^SCT"


def _name(name: str | None) -> str:
    """DICOM's family, given, middle, prefix, suffix as XPN, which has the suffix before the prefix."""
    parts = [*(name or "").split("=")[0].split("^")[:5], *[""] * 5]
    family, given, middle, prefix, suffix = (escaped(part) for part in parts[:5])
    return "^".join((family, given, middle, suffix, prefix)).rstrip("^")


def _observer(signed: Signature) -> str:
    """Who signed as the first component of NDL: number, family, given, second name, suffix, prefix."""
    family, given = family_and_given(signed.name)
    return "&".join(
        escaped(part) for part in (signed.registration, family, given, "", "", signed.title)
    ).rstrip("&")


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S%z")


def escaped(text: str) -> str:
    """Escaped (chapter 2.7): delimiters, line breaks; other control characters are left out."""

    def replaced(match: re.Match[str]) -> str:
        char = match[0]
        return _ESCAPES.get(char) or ("\\.br\\" if char in {"\r", "\n", "\r\n"} else "")

    return _SPECIAL.sub(replaced, text)
