"""Entries of the audit trail as FHIR R4 AuditEvents, the way IHE's Basic Audit Log Patterns write them.

https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP. Users, cases and patients appear
by their ids in these records, never by name.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from tetkik.files import written_whole
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.trail.audit_events import AuditEvent, AuditFilter, iterate_events
from tetkik.values import SYSTEM, Actor

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


def to_audit_event(event: AuditEvent) -> dict[str, Any]:
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


def to_line(event: AuditEvent) -> str:
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


def _subtypes(event: AuditEvent) -> Iterator[dict[str, str]]:
    if event.action in _CODES["subkinds"]:
        yield _coding(_DICOM, *_CODES["subkinds"][event.action])
    yield _coding(_ACTIONS, event.action)


def _agent(event: AuditEvent) -> dict[str, Any]:
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


def _entities(event: AuditEvent) -> Iterator[dict[str, Any]]:
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
