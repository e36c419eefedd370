"""What a signed report says of a study, as far as it is compared: labels, and which parts it belongs to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tetkik.errors import DataError
from tetkik.lab.engine.tables import read_table
from tetkik.lab.trial.limits import Limits
from tetkik.language import Language
from tetkik.report.labeler import Context, Polarity, read_report
from tetkik.values import FINDING_LABELS, NORMAL_LABELS, Sex, route_of

_STRENGTH = {Polarity.ABSENT: 0, Polarity.UNCERTAIN: 1, Polarity.PRESENT: 2}
_SEXES = {**{sex.value: sex.value for sex in Sex}, "K": Sex.FEMALE.value, "E": Sex.MALE.value}
"""Also as Turkish tables have them: kadın, erkek."""
_AGES = ((18, "under_18"), (40, "18_to_39"), (65, "40_to_64"), (200, "65_or_more"))
_DATE = re.compile(r"(\d{4})-?(\d{2})-?\d{2}")
_AGE = re.compile(r"0*(\d{1,3})(?:\.\d+)?([YMWD]?)", re.IGNORECASE)
_LONGEST = 64
DIMENSIONS = ("site", "device", "sex", "age", "quarter", "language", "reader")


@dataclass(frozen=True, slots=True)
class Reference:
    """A signed report.

    Attributes:
        study: which row of the table of reports it is, or the study's pseudonym in the records.
        truth: 1 or 0 by label; what is not known is left out.
        patient: whose it is; None where the image has to tell.
        parts: by the names of `DIMENSIONS`; what is not there the image may tell.
    """

    study: str
    truth: Mapping[str, int]
    patient: str | None = field(repr=False)
    parts: Mapping[str, str]


def read_truth(text: str, language: Language | None, limits: Limits) -> dict[str, int]:
    """What a report says of each shared label: 1, 0, or nothing where it is not known.

    Of several statements an assertion outweighs a doubt and a doubt a denial; what is only implied counts
    where nothing is said outright. A report without words says nothing at all.
    """
    stated: dict[str, Polarity] = {}
    implied: dict[str, Polarity] = {}
    open_labels: set[str] = set()
    readings = read_report(text, language)
    if not any(reading.text.strip() for reading in readings):
        return {}
    for reading in readings:
        for mention in reading.mentions:
            if mention.context is Context.NOT_ASSESSED:
                open_labels.add(mention.label)
            if mention.context is not Context.CURRENT:
                continue
            found = implied if mention.implied else stated
            known = found.get(mention.label)
            if known is None or _STRENGTH[mention.polarity] > _STRENGTH[known]:
                found[mention.label] = mention.polarity
    strongest = implied | stated
    values = {
        Polarity.PRESENT: 1,
        Polarity.ABSENT: 0,
        Polarity.UNCERTAIN: {"present": 1, "absent": 0}.get(limits.uncertain),
    }
    truth: dict[str, int] = {}
    for label in FINDING_LABELS:
        if label in NORMAL_LABELS:
            value = _normal(label, strongest)
        elif label in strongest:
            value = values[strongest[label]]
        else:
            value = None if label in open_labels or limits.unmentioned == "unknown" else 0
        if value is not None:
            truth[label] = value
    return truth


def _normal(label: str, stated: Mapping[str, Polarity]) -> int | None:
    """Whether the report calls the image normal; None where it says neither that nor a finding."""
    route = route_of(label)
    if any(
        polarity is Polarity.PRESENT and other in FINDING_LABELS and route_of(other) is route
        for other, polarity in stated.items()
        if other not in NORMAL_LABELS
    ):
        return 0
    return 1 if stated.get(label) is Polarity.PRESENT else None


def parts_of(**cells: str | None) -> dict[str, str]:
    """The parts that a study belongs to, of cells or tags: `site`, `device`, `sex`, `age`, `date`, ….

    A date becomes its quarter and an age its group: neither names a day that a patient could be found by.
    """
    found: dict[str, str] = {}
    for name, cell in cells.items():
        text = " ".join((cell or "").split())
        if name == "sex":
            text = _SEXES.get(text.upper(), "")
        elif name == "age":
            text = _age_group(text)
        elif name == "date":
            text = _quarter(text)
        text = "".join(char for char in text if char.isprintable())[:_LONGEST]
        if text:
            found["quarter" if name == "date" else name] = text
    return found


def _age_group(text: str) -> str:
    match = _AGE.fullmatch(text)
    if match is None:
        return ""
    years = int(match[1]) if match[2].upper() in ("", "Y") else 0
    return next((name for below, name in _AGES if years < below), "")


def _quarter(text: str) -> str:
    match = _DATE.match(text)
    if match is None or not 1 <= int(match[2]) <= 12:
        return ""
    return f"{match[1]}-Q{(int(match[2]) + 2) // 3}"


@dataclass(frozen=True, slots=True, eq=False)
class ReportTable:
    """The reports of an archive, by what their studies are called; their texts are not kept."""

    by_study: Mapping[str, Reference] = field(repr=False)
    empty: int
    """Reports that say nothing of any label."""
    broken: int
    """Rows that could not be read."""
    sha256: str


_OPTIONAL = ("language", "patient_id", "site", "device", "sex", "age", "date")


def read_reports(path: Path, limits: Limits) -> ReportTable:
    """Read a table of reports: `study` and `report`, and what else is known of the study.

    Rows of one study (an addendum) are one report. `study` is its accession number, its Study Instance UID,
    or the path or name of its file.

    Raises:
        DataError: a column is missing, a language is unknown, or no row has a report.
    """
    table = read_table(path, need=("study", "report"), wanted=("study", "report", *_OPTIONAL))
    columns = {name: table[name] for name in _OPTIONAL if name in table.columns}
    rows: dict[str, list[int]] = {}
    for row, study in enumerate(table["study"]):
        if study:
            rows.setdefault(study, []).append(row)
    found: dict[str, Reference] = {}
    empty = 0
    for study, own in rows.items():
        first = own[0]
        cells = {name: column[first] for name, column in columns.items()}
        cells["language"] = cells.get("language", "").lower()
        truth = read_truth("\n".join(table["report"][row] for row in own), _language(cells, path), limits)
        empty += not truth
        patient = cells.pop("patient_id", "") or None
        found[study] = Reference(str(table.places[first]), truth, patient, parts_of(**cells))
    if not found:
        raise DataError("{path} has no row with a study; fill its column study.", path=path)
    with path.open("rb") as file:
        return ReportTable(found, empty, table.broken, hashlib.file_digest(file, "sha256").hexdigest())


def _language(cells: Mapping[str, str], path: Path) -> Language | None:
    given = cells["language"]
    if not given:
        return None
    try:
        return Language(given)
    except ValueError:
        raise DataError(
            "{path} has the language {given}; write tr or en, or leave it empty.",
            path=path,
            given=given,
        ) from None
