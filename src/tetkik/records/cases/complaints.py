"""Complaints: what the patient said, what the model made of it, and what a person decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from tetkik.bundle.card import ComplaintReference
from tetkik.errors import Conflict, InputError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.drift import RECENT, REFERENCE, BundleUsage, Drift
from tetkik.records.ids import new_id, new_id_like
from tetkik.records.schema.cases import Case, Complaint
from tetkik.records.schema.models import TriageTally
from tetkik.records.schema.people import User
from tetkik.records.serialization import to_json
from tetkik.statistics.drift import SeenComplaint, Tally, compare_complaints, described
from tetkik.triage.age_and_duration import is_child
from tetkik.turkish import fold
from tetkik.values.complaint import (
    DepartmentScore,
    Destination,
    DestinationKind,
    Evidence,
    MeasuredComplaint,
    RedFlag,
    Span,
    TriageResult,
    Urgency,
    UrgencyLevel,
)
from tetkik.values.states import Capability, UrgencyReason

# Drift of complaints: how many a week fall into each bin of each measure.
#
# A complaint is counted once, when it is kept; what is typed and never kept is not. Why counts, and not
# rows: a row for each complaint, even without a name, has as many figures as an answer has departments, and
# would be found again among the cases of its day. Counts of a week say how many complaints were of so many
# words and how many were thought to be for so and so, and never both of one. They refer to no case: moving
# a case to another patient counts nothing twice, and erasure has nothing to take out. Where there was one
# complaint in a whole week, its bins can be read: a length, a share of known words, departments and
# urgency, which `complaints` keeps of an erased patient, too.


def count_complaint(
    tx: Transaction, sha256: str, result: TriageResult, measured: MeasuredComplaint | None
) -> None:
    """Count a complaint that is being kept; one that nobody measured is not counted.

    The week's row is locked until the transaction ends. Two first complaints of a week cannot both make it:
    whoever opens a case holds the running number of cases.
    """
    if measured is None:
        return
    key = (sha256, _week(tx.now))
    row = tx.session.get(TriageTally, key, with_for_update=True)
    if row is None:
        row = TriageTally(bundle_sha256=sha256, week=key[1], bundle=result.model, counts="{}")
        tx.session.add(row)
    tally = _tally(row)
    tally.add(_counted(measured, result))
    row.counts = pack_tally(tally)
    tx.session.flush()


def pack_tally(tally: Tally) -> str:
    """Counts as a row keeps them."""
    return json.dumps(tally.as_json(), ensure_ascii=False, separators=(",", ":"))


def list_bundles(tx: Transaction) -> tuple[BundleUsage, ...]:
    """The bundles that answered complaints here, the latest first; their moments are weeks."""
    by_bundle: dict[str, list[TriageTally]] = {}
    for row in tx.session.scalars(select(TriageTally).order_by(TriageTally.week)):
        by_bundle.setdefault(row.bundle_sha256, []).append(row)
    found = (
        BundleUsage(
            rows[0].bundle,
            sha256,
            _sum(rows).total,
            rows[0].week,
            rows[-1].week,
            Capability.TRIAGE,
        )
        for sha256, rows in by_bundle.items()
    )
    return tuple(sorted(found, key=lambda one: one.last, reverse=True))


def measure_drift(tx: Transaction, bundle: BundleUsage, reference: ComplaintReference | None = None) -> Drift:
    """Hold the complaints of the last four weeks against the bundle's reference.

    Without one, against the first weeks here: as many as hold `REFERENCE` complaints.
    """
    query = select(TriageTally).where(TriageTally.bundle_sha256 == bundle.sha256).order_by(TriageTally.week)
    rows = tx.session.scalars(query).all()
    # The week of four weeks ago is left out: part of it is older.
    latest = [row for row in rows if row.week > tx.now - RECENT]
    if reference is not None:
        now = _described(bundle, latest)
        return Drift(reference, True, now.complaints if now else 0, compare_complaints(reference, now))
    first = rows[: _enough(rows)]
    now = _described(bundle, [row for row in latest if row not in first])
    before = _described(bundle, first)
    return Drift(
        before, False, now.complaints if now else 0, compare_complaints(before, now) if before else None
    )


def _enough(rows: Sequence[TriageTally]) -> int:
    """How many weeks hold as many complaints as are compared with, or all of them."""
    total = 0
    for place, row in enumerate(rows, 1):
        total += _tally(row).total
        if total >= REFERENCE:
            return place
    return len(rows)


def _described(bundle: BundleUsage, rows: Sequence[TriageTally]) -> ComplaintReference | None:
    tally = _sum(rows)
    if not tally.total:
        return None
    created = bundle.first.date().isoformat()
    return described(
        tally, data=bundle.bundle, split=(Sentence("the first complaints here"),), created=created
    )


def _sum(rows: Sequence[TriageTally]) -> Tally:
    tally = Tally()
    for row in rows:
        tally.more(_tally(row))
    return tally


def _tally(row: TriageTally) -> Tally:
    return Tally.from_json(json.loads(row.counts))


def _week(moment: datetime) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def _counted(measured: MeasuredComplaint, result: TriageResult) -> SeenComplaint:
    return SeenComplaint(
        measured.words,
        measured.plain,
        measured.unknown,
        {one.name: one.probability for one in result.departments},
        result.urgency.level,
        result.abstain,
    )


_CARRIED = set(Complaint.__table__.columns.keys()) - {"id", "case_id", "patient_id", "text", "answer"}
"""What a complaint says beside its sealed words."""


@dataclass(frozen=True, slots=True)
class TriagedComplaint:
    """An answer about a complaint, and which model gave it."""

    result: TriageResult = field(repr=False)
    bundle_sha256: str
    """Of the manifest of the model's bundle, which holds the hash of every file of it."""
    measured: MeasuredComplaint | None = None
    """What the complaint is like, for telling drift; None counts it nowhere."""


@dataclass(frozen=True, slots=True)
class UrgencyChoice:
    """What a person says of the urgency; a level of None lets that of triage stand, or stand again."""

    level: UrgencyLevel | None
    reason: UrgencyReason | None = None
    sure: bool = False
    """Whether the person confirmed that a red is lowered."""

    def __post_init__(self) -> None:
        if self.level is not None and self.reason is None:
            raise InputError("Say why you set another level of urgency.")


@dataclass(frozen=True, slots=True)
class ChosenUrgency:
    """The level that a person set instead of that of triage."""

    level: UrgencyLevel
    reason: UrgencyReason
    at: datetime
    by: str | None
    """Their name; None where the program did it."""


@dataclass(frozen=True, slots=True)
class ComplaintView:
    id: str
    result: TriageResult = field(repr=False)
    bundle_sha256: str
    department_chosen: str | None
    chosen_by: str | None
    chosen_at: datetime | None
    created_at: datetime
    urgency_chosen: ChosenUrgency | None

    @property
    def department_model(self) -> str | None:
        """The first department of the model; None where it could not read the text."""
        return self.result.departments[0].name if self.result.departments else None


def store_complaint(tx: Transaction, case: Case, triaged: TriagedComplaint) -> Complaint:
    """Keep the complaint of a new case with its answer, and the department that a person chose."""
    result = triaged.result
    first = result.departments[0] if result.departments else None
    chosen = case.department is not None
    row = Complaint(
        id=new_id(),
        case_id=case.id,
        patient_id=case.patient_id,
        bundle=result.model,
        bundle_sha256=triaged.bundle_sha256,
        urgency=result.urgency.level,
        urgency_rules=" ".join(
            flag.id for flag in result.urgency.flags if flag.level is result.urgency.level
        ),
        department_model=first.name if first else None,
        probability=first.probability if first else None,
        abstained=result.abstain,
        department_chosen=case.department,
        chosen_by=tx.actor.user_id if chosen else None,
        chosen_at=tx.now if chosen else None,
        created_at=tx.now,
        created_by=tx.actor.user_id,
    )
    tx.seal_column(row, "text", result.text.encode())
    tx.seal_column(row, "answer", to_json(_packed(result)))
    tx.session.add(row)
    count_complaint(tx, triaged.bundle_sha256, result, triaged.measured)
    tx.audit_about(
        Action.COMPLAINT_TRIAGED,
        row,
        model=result.model,
        urgency=row.urgency,
        department=row.department_model,
        abstained=result.abstain,
    )
    return row


def load_complaint(tx: Transaction, case_id: str) -> ComplaintView | None:
    """The last complaint of a case; None where it has none. The caller has asked whether it may be seen."""
    row = complaint_row(tx, case_id)
    if row is None or row.text is None or row.answer is None:
        return None
    known = json.loads(tx.open_text(row, "answer"))
    return row.to_value(
        ComplaintView,
        result=_unpacked(tx.open_text(row, "text"), known),
        urgency_chosen=_chosen_urgency(tx, row),
    )


def _chosen_urgency(tx: Transaction, row: Complaint) -> ChosenUrgency | None:
    if row.urgency_chosen is None or row.urgency_reason is None or row.urgency_chosen_at is None:
        return None
    by = tx.session.get(User, row.urgency_chosen_by) if row.urgency_chosen_by else None
    return ChosenUrgency(
        row.urgency_chosen, row.urgency_reason, row.urgency_chosen_at, by.name if by else None
    )


def set_urgency(tx: Transaction, row: Complaint, choice: UrgencyChoice) -> UrgencyLevel | None:
    """Set another level of urgency than triage, or take that back; gives the level that holds.

    Raises:
        Conflict: a red becomes lower, and the person has not confirmed it.
    """
    own = choice.level if choice.level is not row.urgency else None
    held = row.urgency_chosen, row.urgency_reason
    before, after = row.urgency_chosen or row.urgency, own or row.urgency
    if before is UrgencyLevel.KIRMIZI is not after and not choice.sure:
        raise Conflict("The urgency is red; see the patient, and confirm that you lower it.")
    reason = choice.reason if own is not None else None
    if (own, reason) == held:
        return after
    row.urgency_chosen, row.urgency_reason = own, reason
    row.urgency_chosen_by, row.urgency_chosen_at = (
        (tx.actor.user_id, tx.now) if own is not None else (None, None)
    )
    tx.audit_about(
        Action.URGENCY_CHOSEN, row, urgency=after, before=before, of_triage=row.urgency, reason=choice.reason
    )
    return after


def choose_department(tx: Transaction, case_id: str, department: str) -> None:
    """Note beside the model's answer which department a person chose, where there is a complaint."""
    row = complaint_row(tx, case_id)
    if row is not None:
        row.department_chosen, row.chosen_by, row.chosen_at = department, tx.actor.user_id, tx.now


def copy_complaint(tx: Transaction, case_id: str, other: Case) -> None:
    """Let what was said in a case have been said in another patient's; nothing of it stays in the first.

    Who took it down, what they chose and when stay; so does the answer that they saw.
    """
    rows = tx.session.scalars(select(Complaint).where(Complaint.case_id == case_id).order_by(Complaint.id))
    for row in rows.all():
        same = {column: getattr(row, column) for column in _CARRIED}
        fresh = Complaint(id=new_id_like(row.id), case_id=other.id, patient_id=other.patient_id, **same)
        for column in ("text", "answer"):
            tx.seal_column(fresh, column, tx.open_column(row, column))
        tx.session.add(fresh)
        tx.session.delete(row)
    tx.session.flush()


def complaint_row(tx: Transaction, case_id: str) -> Complaint | None:
    last = select(Complaint).where(Complaint.case_id == case_id).order_by(Complaint.id.desc()).limit(1)
    return tx.session.scalar(last)


def _packed(result: TriageResult) -> dict[str, Any]:
    """The contract's keys without the text, which is sealed beside it, and two that only the records keep."""
    answer = result.as_json() | {"question_id": result.question_id, "child": result.child}
    del answer["text"]
    return answer


def _unpacked(text: str, known: Mapping[str, Any]) -> TriageResult:
    to = known.get("destination")  # not in answers of before
    return TriageResult(
        text,
        tuple(DepartmentScore(**item) for item in known["departments"]),
        Urgency(
            UrgencyLevel(known["urgency"]["level"]) if known["urgency"]["level"] else None,
            tuple(_flag(item) for item in known["urgency"]["flags"]),
        ),
        known["abstain"],
        known["reason"],
        known["question"],
        tuple(
            Evidence(Span(item["start"], item["end"]), item["text"], item["weight"])
            for item in known["evidence"]
        ),
        known["model"],
        known.get("question_id"),
        # Answers that were stored before the key was.
        known["child"] if "child" in known else is_child(fold(text)),
        destination=Destination(DestinationKind(to["kind"]), to["text"]) if to else None,
    )


def _flag(item: Mapping[str, Any]) -> RedFlag:
    return RedFlag(
        item["id"],
        UrgencyLevel(item["level"]),
        item["reason"],
        Span(item["start"], item["end"]),
        item["source"],
    )
