"""Entries of the audit trail as people and programs read them: filtered, newest first, or all in order."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Select, select

from tetkik.errors import NotFound
from tetkik.files import written_whole
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.schema.base import fitting, within
from tetkik.records.schema.cases import Case
from tetkik.records.schema.people import BrokenGlass, User
from tetkik.records.schema.trail import AuditHead, AuditRow
from tetkik.values.access import SYSTEM, Actor
from tetkik.values.common import DESCRIBED

_BATCH = 1_000
_GLASS_PLACE = "break_glass.reason"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the audit trail."""  # nothing in it names a patient

    __pydantic_config__ = DESCRIBED

    seq: int
    at: datetime
    action: str
    user_id: str | None
    """Who; null for the program itself."""
    user: str | None
    """The name of that person."""
    case_id: str | None
    case: str | None
    patient_id: str | None
    """To whose data, as an id."""
    object_id: str | None
    """To which image, report, user."""
    roles: tuple[str, ...]
    """That the person had then."""
    method: str | None
    """How the person had proved who they are."""
    address: str | None
    request: str | None
    """Joins the entry with the log."""
    detail: Mapping[str, str | int | float | bool | None]
    """More, in codes and numbers."""
    erased: bool
    """Whether an erasure emptied it."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; what is None is not looked at."""

    user_id: str | None = None
    case: str | None = None
    patient_id: str | None = None
    action: Action | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EmergencyAccess:
    user: str
    case_id: str
    case: str
    at: datetime
    expires_at: datetime
    reason: str | None = field(repr=False)
    """That the person gave; None where the patient was erased."""


def load_newest(
    tx: Transaction, wanted: AuditFilter, *, limit: int, before: int | None = None
) -> tuple[AuditEntry, ...]:
    """The newest entries that fit, the newest first."""
    query = _query(wanted).order_by(AuditRow.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRow.seq < before)
    return tuple(_event(row) for row in tx.session.execute(query))


def iterate_events(tx: Transaction, wanted: AuditFilter) -> Iterator[AuditEntry]:
    """Every entry that fits, the oldest first, read in batches."""
    last = 0
    while True:
        query = _query(wanted).where(AuditRow.seq > last).order_by(AuditRow.seq).limit(_BATCH)
        batch = tx.session.execute(query).all()
        yield from (_event(row) for row in batch)
        if len(batch) < _BATCH:
            return
        last = batch[-1].seq


def load_case_history(tx: Transaction, case_id: str) -> tuple[AuditEntry, ...]:
    """Every step of one case, from the desk to the last person who read its report."""
    return tuple(iterate_events(tx, AuditFilter(case=case_id)))


def count_events(tx: Transaction) -> int:
    """How many entries the trail has."""
    return tx.session.scalar(select(AuditHead.seq).where(AuditHead.id == 1)) or 0


def list_emergency_accesses(tx: Transaction, limit: int = 20) -> tuple[EmergencyAccess, ...]:
    """The last times that somebody broke the glass, the last first."""
    query = (
        select(BrokenGlass, User.name, Case.number, Case.patient_id)
        .join(User, User.id == BrokenGlass.user_id)
        .join(Case, Case.id == BrokenGlass.case_id)
        .order_by(BrokenGlass.at.desc(), BrokenGlass.id.desc())
        .limit(limit)
    )
    return tuple(
        EmergencyAccess(name, row.case_id, number, row.at, row.expires_at, _reason(tx, patient_id, row))
        for row, name, number, patient_id in tx.session.execute(query)
    )


def list_users(tx: Transaction) -> tuple[tuple[str, str], ...]:
    """Id and name of everybody who ever had an account, for a filter."""
    return tuple(
        (row.id, row.name) for row in tx.session.execute(select(User.id, User.name).order_by(User.name))
    )


def _reason(tx: Transaction, patient_id: str, row: BrokenGlass) -> str | None:
    if row.reason is None:
        return None
    try:
        return tx.open(patient_id, _GLASS_PLACE, row.id, row.reason).decode()
    except NotFound:
        return None


def _query(wanted: AuditFilter) -> Select[Any]:
    query = (
        select(AuditRow.__table__, User.name.label("user_name"), Case.number.label("case_number"))
        .join(User, User.id == AuditRow.user_id, isouter=True)
        .join(Case, Case.id == AuditRow.case_id, isouter=True)
    )
    same = ((getattr(AuditRow, name), getattr(wanted, name)) for name in ("user_id", "patient_id", "action"))
    query = query.where(*fitting(*same), *within(AuditRow.at, wanted.since, wanted.until))
    if wanted.case is not None:
        named = select(Case.id).where(Case.number == wanted.case).scalar_subquery()
        query = query.where((AuditRow.case_id == wanted.case) | (AuditRow.case_id == named))
    return query


_EMPTIED: dict[str, Any] = dict.fromkeys(("method", "address", "request", "object")) | {
    "detail": {},
    "roles": (),
}


def _event(row: Row[Any]) -> AuditEntry:
    content = json.loads(row.content) if row.content is not None else _EMPTIED
    known = {name: getattr(row, name) for name in ("seq", "at", "action", "user_id", "case_id", "patient_id")}
    same = {name: content[name] for name in ("method", "address", "request", "detail")}
    return AuditEntry(
        **known,
        **same,
        user=row.user_name,
        case=row.case_number,
        object_id=content["object"],
        roles=tuple(content["roles"]),
        erased=row.content is None,
    )


# Entries of the audit trail as FHIR R4 AuditEvents, the way IHE's Basic Audit Log Patterns write them.
#
# https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP. Users, cases and patients
# appear by their ids in these records, never by name.


_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_NAMING = "https://github.com/tetkik/tetkik/fhir/NamingSystem"
_ACTIONS = "https://github.com/tetkik/tetkik/fhir/CodeSystem/audit-action"
_HL7 = "http://terminology.hl7.org/CodeSystem"

_CODES = tomllib.loads(resources.files(__package__).joinpath("audit_actions.toml").read_text("utf-8"))
_KINDS: dict[str, str] = _CODES["kinds"]
_KIND = {action: kind for kind, actions in _CODES["actions"].items() for action in actions}
_LETTER = {action: letter for letter, actions in _CODES["letters"].items() for action in actions}
_PERSON, _SYSTEM_OBJECT = ("1", "Person"), ("2", "System Object")
_PATIENT, _RESOURCE = ("1", "Patient"), ("4", "Domain Resource")


def to_audit_event(event: AuditEntry) -> dict[str, Any]:
    """One entry as an AuditEvent: structure and codes are those that the tests check for every action."""
    known = event.action in list(Action)
    kind = _KIND.get(event.action, "110110") if known else "110100"
    content: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": f"audit-{event.seq}",
        "type": _coding(_DICOM, kind, _KINDS[kind]),
        "subtype": list(_subtypes(event)),
        "action": _LETTER.get(event.action, "U") if known else "E",
        "recorded": event.at.isoformat(),
        "outcome": "4" if event.action in _CODES["outcomes"]["failed"] else "0",
        "agent": [_agent(event)],
        "source": {
            "observer": {"display": "Tetkik"},
            "type": [_coding(f"{_HL7}/security-source-type", "4", "Application Server")],
        },
    }
    if event.action == Action.BREAK_GLASS:
        content["purposeOfEvent"] = [{"coding": [_coding(f"{_HL7}/v3-ActReason", "BTG", "break the glass")]}]
    if entities := list(_entities(event)):
        content["entity"] = entities
    return content


def to_line(event: AuditEntry) -> str:
    """One entry as a line of NDJSON."""
    return json.dumps(to_audit_event(event), ensure_ascii=False, separators=(",", ":"))


def export_trail(
    records: Records,
    target: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: Actor = SYSTEM,
) -> int:
    """Write the entries of a time."""
    count = 0
    with records.read(actor) as tx, written_whole(target) as file:
        for event in iterate_events(tx, AuditFilter(since=since, until=until)):
            file.write(f"{to_line(event)}\n".encode())
            count += 1
    with records.write(actor) as tx:
        tx.audit(Action.AUDIT_EXPORTED, entries=count)
    return count


def _subtypes(event: AuditEntry) -> Iterator[dict[str, str]]:
    if event.action in _CODES["subkinds"]:
        yield _coding(_DICOM, *_CODES["subkinds"][event.action])
    yield _coding(_ACTIONS, event.action)


def _agent(event: AuditEntry) -> dict[str, Any]:
    agent: dict[str, Any] = {"requestor": True}
    if event.user_id is not None:
        agent["who"] = {"identifier": {"system": f"{_NAMING}/user", "value": event.user_id}}
    else:
        agent["who"] = {"display": "Tetkik" if event.method == "system" else "unknown"}
    if event.roles:
        agent["role"] = [{"text": role} for role in event.roles]
    if event.address is not None:
        # https://hl7.org/fhir/R4/valueset-network-type.html: an IP address.
        agent["network"] = {"address": event.address, "type": "2"}
    return agent


def _entities(event: AuditEntry) -> Iterator[dict[str, Any]]:
    if event.patient_id is not None:
        yield _entity("patient", event.patient_id, _PERSON, _PATIENT)
    if event.case_id is not None:
        yield _entity("case", event.case_id, _SYSTEM_OBJECT, _RESOURCE)
    if event.object_id is not None:
        yield _entity("object", event.object_id, _SYSTEM_OBJECT, _RESOURCE)
    if event.detail or event.erased:
        detail = {"erased": "true"} if event.erased else event.detail
        yield {
            "type": _coding(f"{_HL7}/audit-entity-type", "4", "Other"),
            "detail": [{"type": name, "valueString": str(value)} for name, value in detail.items()],
        }


def _entity(naming: str, value: str, kind: tuple[str, str], role: tuple[str, str]) -> dict[str, Any]:
    return {
        "what": {"identifier": {"system": f"{_NAMING}/{naming}", "value": value}},
        "type": _coding(f"{_HL7}/audit-entity-type", *kind),
        "role": _coding(f"{_HL7}/object-role", *role),
    }


def _coding(system: str, code: str, display: str | None = None) -> dict[str, str]:
    coding = {"system": system, "code": code}
    return coding if display is None else coding | {"display": display}
