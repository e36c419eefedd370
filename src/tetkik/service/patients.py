"""Records of a patient: looked at, compared with another's, joined into one, and taken apart again."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.records.cases import patients
from tetkik.records.cases.patients import LONGEST_NAME, LONGEST_NUMBER, Match, Person
from tetkik.records.database import Transaction
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import Date, Shape
from tetkik.values.access import Permission
from tetkik.values.radiograph import Sex
from tetkik.values.states import LinkReason, SplitReason
from tetkik.workflow import patients as patient_comparison
from tetkik.workflow import patients as patient_merge
from tetkik.workflow.patients import Agreement, PatientComparison, PatientRecord, PatientTrait, RecordCase

_DAY_FIRST = re.compile(r"(\d{1,2})[./\- ]+(\d{1,2})[./\- ]+(\d{4})", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_DIGITS = re.compile(r"(\d{2})(\d{2})(\d{4})", re.ASCII)


Short = Annotated[str, Field(max_length=400, repr=False)]


class TypedPerson(BaseModel):
    """Who a patient is, as it was typed, so that a fault loses nothing of it."""

    name: Short = ""
    tckn: Short = ""
    number: Short = ""
    birth_date: Short = ""
    sex: Short = ""
    phone: Short = ""

    @classmethod
    def of(cls, person: Person) -> TypedPerson:
        born = person.birth_date
        shown = f"{born[6:]}.{born[4:6]}.{born[:4]}" if born else ""
        return cls(
            name=person.name,
            tckn=person.tckn,
            number=person.number,
            birth_date=shown,
            sex=person.sex or "",
            phone=person.phone_shown,
        )

    def person(self) -> Person:
        born = date_of(self.birth_date)
        return Person(self.name, self.tckn, self.number, born, sex_of(self.sex), self.phone)


def date_of(typed: str) -> str:
    """A date as people here type it (`1.2.1970`, `01021970`, `1970-02-01`) as `YYYYMMDD`; empty for none.

    Whether there is such a day is asked where it is kept.
    """
    typed = typed.strip()
    if not typed:
        return ""
    if found := _YEAR_FIRST.fullmatch(typed):
        year, month, day = found.groups()
    elif found := _DAY_FIRST.fullmatch(typed) or _DIGITS.fullmatch(typed):
        day, month, year = found.groups()
    else:
        raise InputError("This is no date of birth; give day, month and year.").at("birth_date")
    return f"{year}{month:0>2}{day:0>2}"


def sex_of(code: str) -> Sex | None:
    """The sex that a form names; None for none."""
    if code and code not in list(Sex):
        raise InputError("There is no such sex; choose one of the list.")
    return Sex(code) if code else None


ID_PATTERN = r"^[0-9a-hjkmnp-tv-z]{26}$"


class PersonShape(BaseModel):
    """Who a patient is."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=LONGEST_NAME, repr=False)
    tckn: Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]{10})?$")] = Field(
        default="", repr=False, description="Turkish identity number; its check digits are checked."
    )
    number: str = Field(default="", max_length=LONGEST_NUMBER, repr=False)
    birth_date: Date | None = Field(default=None, repr=False)
    sex: Sex | None = Field(default=None, repr=False)
    phone: str = Field(
        default="",
        max_length=40,
        repr=False,
        description="Telephone, such as `+905321234567`; a Turkish one may be written as people write it.",
    )

    def value(self) -> Person:
        born = f"{self.birth_date:%Y%m%d}" if self.birth_date else ""
        return Person(self.name, self.tckn, self.number, born.zfill(8) if born else "", self.sex, self.phone)

    @classmethod
    def of(cls, person: Person) -> PersonShape:
        """The shape of a person; a date that is not one is left out."""
        return cls.model_construct(
            name=person.name,
            tckn=person.tckn,
            number=person.number,
            birth_date=person.born,
            sex=person.sex,
            phone=person.phone,
        )


class RecordShape(Shape):
    """One record of a patient."""

    id: str
    patient: PersonShape
    created_at: datetime
    replaced_by: str | None = Field(description="The record that stands for it; None for the surviving one.")
    reason: LinkReason | None
    linked_at: datetime | None
    cases: list[RecordCase]
    count: int

    @classmethod
    def of(cls, record: PatientRecord) -> RecordShape:
        return cls.from_value(record, patient=PersonShape.of(record.person), cases=list(record.cases))


class PatientRecords(BaseModel):
    """Every record of one patient."""

    records: list[RecordShape]


class ComparedTrait(BaseModel):
    """On what two records agree or not."""

    trait: PatientTrait = Field(description="What they are compared by.")
    agreement: Agreement = Field(
        description="The same, alike (written differently), said by one alone, or different."
    )


class PatientsCompared(Shape):
    """Two patients side by side."""

    one: list[RecordShape] = Field(description="Records of the first, the surviving one first.")
    other: list[RecordShape]
    traits: list[ComparedTrait] = Field(
        description="On what the surviving ones agree; what neither says is left out."
    )
    survivor: str = Field(description="The record that had better stand for both.")
    obstacle: bool = Field(
        description="Whether two identity numbers say that they are two people; then they cannot be joined."
    )
    seen: str = Field(description="Names what was shown; a link is made of it.")

    @classmethod
    def of(cls, found: PatientComparison) -> PatientsCompared:
        return cls.from_value(found, **sides_of(found))


def sides_of(people: PatientComparison) -> dict[str, Any]:
    """The fields `one`, `other` and `traits` of a comparison."""
    return {
        "one": [RecordShape.of(record) for record in people.one],
        "other": [RecordShape.of(record) for record in people.other],
        "traits": [ComparedTrait(trait=trait, agreement=agreement) for trait, agreement in people.traits],
    }


class NewLink(BaseModel):
    """Which record stands for this one, and why."""

    model_config = ConfigDict(extra="forbid")

    survivor: Annotated[str, StringConstraints(pattern=ID_PATTERN)] = Field(
        description="The record that stands for both."
    )
    reason: LinkReason
    seen: str = Field(max_length=64, description="Of the comparison that a person looked at.")


class LinkShape(BaseModel):
    """A link that was made. Ids alone: the answer is kept for a day, and the two may be separated before."""

    replaced: str = Field(description="The record that another one stands for now.")
    survivor: str = Field(description="The record that stands for both.")
    reason: LinkReason


api = APIRouter(prefix="/patients", tags=["patients"])
Merger = Annotated[RequestContext, allowed(Permission.PATIENTS_MERGE)]
PatientId = Annotated[str, Path(max_length=26, description="Of a record of the patient.")]


@api.get("/{patient_id}")
def read_patient(ctx: Merger, patient_id: PatientId) -> PatientRecords:
    """Every record of a patient, by any of them; the trail notes the look."""
    with ctx.write() as tx:
        found = patient_comparison.load_records(tx, patient_id)
    return PatientRecords(records=[RecordShape.of(record) for record in found])


@api.get("/{patient_id}/comparison/{other_id}")
def compare_patients(ctx: Merger, patient_id: PatientId, other_id: PatientId) -> PatientsCompared:
    """Two patients side by side, to be looked at before their records are joined."""
    with ctx.write() as tx:
        return PatientsCompared.of(patient_comparison.compare_patients(tx, patient_id, other_id))


@api.post("/{patient_id}/link", status_code=201, response_model=LinkShape)
def link_patient(ctx: Merger, patient_id: PatientId, wanted: NewLink, once: IdempotentDep) -> Response:
    """Let another record stand for this one; nothing of either is changed, and the link can be undone."""

    def work(tx: Transaction) -> LinkShape:
        patient_merge.link(tx, patient_id, wanted.survivor, wanted.reason, wanted.seen)
        return LinkShape(replaced=patient_id, survivor=wanted.survivor, reason=wanted.reason)

    return once.run(ctx.records, ctx.actor, work).response()


@api.delete("/{patient_id}/link", status_code=204)
def unlink_patient(ctx: Merger, patient_id: PatientId, reason: SplitReason) -> None:
    """Take this record out of the other's stead: it is again what it was."""
    with ctx.write() as tx:
        patient_merge.unlink(tx, patient_id, reason)


pages = APIRouter(prefix="/patients")


@pages.get("/{patient_id}")
def records(
    ctx: Merger, patient_id: str, joined: str | None = None, separated: str | None = None
) -> HTMLResponse:
    done = "joined" if joined is not None else "separated" if separated is not None else ""
    return _records(ctx, patient_id, done=done)


@pages.post("/{patient_id}/find")
def find(ctx: Merger, patient_id: str, words: Annotated[str, Form(max_length=400)] = "") -> HTMLResponse:
    return _records(ctx, patient_id, words=words.strip())


def _records(
    ctx: RequestContext,
    patient_id: str,
    *,
    words: str | None = None,
    done: str = "",
    error: TetkikError | None = None,
) -> HTMLResponse:
    with ctx.write() as tx:
        held = patient_comparison.load_records(tx, patient_id)
        alike = patient_comparison.find_possible_duplicates(tx, patient_id)
        found: tuple[Match, ...] = ()
        if words and patients.is_searchable(words):
            found = tuple(match for match in patients.search(tx, words) if match.id != held[0].id)
    return ctx.render(
        "patients/records.html.jinja",
        records=held,
        alike=alike,
        found=found,
        words=words,
        most=patients.MOST_MATCHES,
        done=done,
        error=error,
        reasons=list(SplitReason),
    )


@pages.get("/{patient_id}/with/{other_id}")
def compare(ctx: Merger, patient_id: str, other_id: str) -> HTMLResponse:
    return _compared(ctx, patient_id, other_id)


@pages.post("/{patient_id}/with/{other_id}")
def join(
    ctx: Merger,
    patient_id: str,
    other_id: str,
    reason: Annotated[LinkReason, Form()],
    survivor: Annotated[str, Form(max_length=26)] = "",
    seen: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Let the one that was chosen stand for both, or show them again with what is wrong."""
    try:
        if survivor not in (patient_id, other_id):
            raise InputError("Nobody can tell which record stands for both; choose one of the two.")
        replaced = other_id if survivor == patient_id else patient_id
        with ctx.write() as tx:
            patient_merge.link(tx, replaced, survivor, reason, seen)
    except (Conflict, InputError) as error:
        return _compared(ctx, patient_id, other_id, error=error, reason=reason)
    return RedirectResponse(f"/patients/{survivor}?joined", 303)


def _compared(
    ctx: RequestContext,
    patient_id: str,
    other_id: str,
    *,
    error: TetkikError | None = None,
    reason: LinkReason | None = None,
) -> HTMLResponse:
    try:
        with ctx.write() as tx:
            found = patient_comparison.compare_patients(tx, patient_id, other_id)
    except Conflict as already:
        return _records(ctx, patient_id, error=already)
    # One record that knows no number is likely of somebody who was unknown.
    unknown = any(not (side[0].person.tckn or side[0].person.number) for side in (found.one, found.other))
    likely = LinkReason.IDENTIFIED if unknown else LinkReason.REGISTERED_TWICE
    return ctx.render(
        "patients/compare.html.jinja",
        found=found,
        agreements={trait.value: agreement.value for trait, agreement in found.traits},
        reasons=list(LinkReason),
        reason=reason or likely,
        error=error,
    )


@pages.post("/{patient_id}/separate")
def separate(ctx: Merger, patient_id: str, reason: Annotated[SplitReason, Form()]) -> Response:
    try:
        with ctx.write() as tx:
            survivor = patient_merge.unlink(tx, patient_id, reason)
    except Conflict as error:
        return _records(ctx, patient_id, error=error)
    return RedirectResponse(f"/patients/{survivor}?separated", 303)
