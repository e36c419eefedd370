"""Whose report it is and what it is about, once for all documents: numbers, age, times, who referred."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from enum import StrEnum

from tetkik.documents.sanitize import calendar_date
from tetkik.language import Language, translate
from tetkik.values import Hospital, Identity, ReportDocument
from tetkik.values.common import one_line

NATIONAL_OID = "2.16.840.1.113883.3.129.1.1.1"
"""Of Turkish identity numbers: the root that the Ministry of Health's HL7 v3 messages (Sağlık-NET) give the
identity numbers of persons; docs/how-to/documents.md says where it was found."""
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)?([0-5]\d)?(?:\.\d{1,6})?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d)([0-5]\d)", re.ASCII)
_INFANT_DAYS, _INFANT_MONTHS = 28, 24
_OLDEST = 130


class NumberKind(StrEnum):
    """Identifier types of HL7 v2 (table 0203)."""

    NATIONAL = "NNTUR"
    """National person identifier, of Turkey."""
    HOSPITAL = "PI"
    """Patient internal identifier."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number of the patient, and under whose authority it is unique."""

    value: str
    kind: NumberKind
    authority: str
    oid: str

    @property
    def assigned(self) -> bool:
        """Whether it is said who assigns it."""
        return bool(self.authority or self.oid)


class AgeUnit(StrEnum):
    """Units of an age, as DICOM's AS writes them (PS3.5, section 6.2)."""

    YEARS = "Y"
    MONTHS = "M"
    DAYS = "D"


@dataclass(frozen=True, slots=True)
class Age:
    """At the examination: days in the first four weeks, months up to two years, then years."""

    count: int
    unit: AgeUnit

    @property
    def dicom(self) -> str:
        return f"{min(self.count, 999):03d}{self.unit}"

    def in_language(self, language: Language) -> str:
        if self.unit is AgeUnit.DAYS:
            return translate("{n} days old", language, n=self.count)
        if self.unit is AgeUnit.MONTHS:
            return translate("{n} months old", language, n=self.count)
        return translate("{n} years old", language, n=self.count)


def identifiers_of(identity: Identity, hospital: Hospital) -> tuple[Identifier, ...]:
    """Every number that is known, the one first that a DICOM object has as its Patient ID."""
    number, national = one_line(identity.patient_id or ""), one_line(identity.national_id or "")
    own = Identifier(number, NumberKind.HOSPITAL, one_line(hospital.authority), hospital.oid)
    known = (own, Identifier(national, NumberKind.NATIONAL, "TCKN", NATIONAL_OID))
    return tuple(item for item in known if item.value)


def age_at(identity: Identity, created: datetime) -> Age | None:
    """On the day of the examination, else of the report; by the birth date where that is known."""
    born, seen = calendar_date(identity.birth_date), calendar_date(identity.study_date) or created.date()
    if born is None or born > seen:
        years = identity.age_years
        if born is not None or years is None or not 0 <= years < _OLDEST:
            return None
        days, months = round(years * 365.2425), int(years * 12 + 1e-6)
        if days < _INFANT_DAYS:
            return Age(days, AgeUnit.DAYS)
        return Age(months, AgeUnit.MONTHS) if months < _INFANT_MONTHS else Age(int(years), AgeUnit.YEARS)
    months = (seen.year - born.year) * 12 + seen.month - born.month - (seen.day < born.day)
    if (seen - born).days < _INFANT_DAYS:
        return Age((seen - born).days, AgeUnit.DAYS)
    if months < _INFANT_MONTHS:
        return Age(months, AgeUnit.MONTHS)
    return Age(months // 12, AgeUnit.YEARS) if months < _OLDEST * 12 else None


def age_of(document: ReportDocument) -> Age | None:
    """The age that a document states."""
    return age_at(document.identity, document.created)


def examined_at(identity: Identity, hospital: Hospital) -> datetime | date | None:
    """When the image was made: a moment by the hospital's clocks, a day where no time is known, or None."""
    day, found = calendar_date(identity.study_date), _TIME.fullmatch((identity.study_time or "").strip())
    if day is None or found is None:
        return day
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    at = datetime.combine(day, time(hours, minutes, seconds))
    zone = _OFFSET.fullmatch((identity.study_offset or "").strip())
    if zone is None:
        return at.replace(tzinfo=hospital.local(datetime.now().astimezone()).tzinfo)
    offset = timedelta(hours=int(zone[2]), minutes=int(zone[3])) * (-1 if zone[1] == "-" else 1)
    if abs(offset) > timedelta(hours=14):
        return day
    return hospital.local(at.replace(tzinfo=timezone(offset)))
