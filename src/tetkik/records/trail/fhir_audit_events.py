"""Entries of the audit trail as FHIR R4 AuditEvents, the way IHE's Basic Audit Log Patterns write them.

https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP. Users, cases and patients appear
by their ids in these records, never by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from tetkik.records.audit_chain import Action
from tetkik.records.trail.audit_events import AuditEvent

_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_NAMING = "https://github.com/tetkik/tetkik/fhir/NamingSystem"
_ACTIONS = "https://github.com/tetkik/tetkik/fhir/CodeSystem/audit-action"
_HL7 = "http://terminology.hl7.org/CodeSystem"

# Terms of DICOM PS3.15, A.5.2, and PS3.16, CID 400.
_KINDS = MappingProxyType(
    {
        "110100": "Application Activity",
        "110101": "Audit Log Used",
        "110103": "DICOM Instances Accessed",
        "110106": "Export",
        "110107": "Import",
        "110110": "Patient Record",
        "110112": "Query",
        "110113": "Security Alert",
        "110114": "User Authentication",
    }
)
_SUBKINDS = MappingProxyType(
    {
        Action.SIGN_IN: ("110122", "Login"),
        Action.SIGN_IN_FAILED: ("110122", "Login"),
        Action.SIGN_OUT: ("110123", "Logout"),
        Action.BREAK_GLASS: ("110127", "Emergency Override Started"),
    }
)
_KIND = MappingProxyType(
    {
        **dict.fromkeys(
            (
                Action.SIGN_IN,
                Action.SIGN_IN_FAILED,
                Action.SIGN_OUT,
                Action.SCREEN_LOCKED,
                Action.SCREEN_UNLOCKED,
            ),
            "110114",
        ),
        **dict.fromkeys(
            (
                Action.PASSWORD_CHANGED,
                Action.PASSKEY_ADDED,
                Action.PASSKEY_REMOVED,
                Action.TOKEN_CREATED,
                Action.TOKEN_REVOKED,
                Action.USER_CREATED,
                Action.USER_CHANGED,
                Action.USER_DISABLED,
                Action.INVITED,
                Action.FORBIDDEN,
                Action.BREAK_GLASS,
            ),
            "110113",
        ),
        **dict.fromkeys((Action.CASES_LISTED, Action.PATIENT_SEARCHED), "110112"),
        **dict.fromkeys((Action.AUDIT_READ, Action.AUDIT_EXPORTED), "110101"),
        **dict.fromkeys(
            (
                Action.PATIENT_EXPORTED,
                Action.DOCUMENT_EXPORTED,
                Action.FEEDBACK_EXPORTED,
                Action.BACKUP_MADE,
            ),
            "110106",
        ),
        **dict.fromkeys((Action.IMAGE_UPLOADED, Action.BACKUP_RESTORED), "110107"),
        Action.IMAGE_OPENED: "110103",
        **dict.fromkeys(
            (Action.RETENTION_APPLIED, Action.TEMPLATE_CHANGED, Action.MASTER_KEY_REPLACED), "110100"
        ),
    }
)
"""What kind of event an action is; anything else concerns the record of a patient."""
_CREATES = frozenset(
    {
        Action.CASE_CREATED,
        Action.USER_CREATED,
        Action.TOKEN_CREATED,
        Action.INVITED,
        Action.IMAGE_UPLOADED,
        Action.DRAFT_WRITTEN,
        Action.REPORT_SIGNED,
        Action.REPORT_AMENDED,
        Action.BACKUP_MADE,
    }
)
_READS = frozenset(
    {
        Action.CASE_OPENED,
        Action.CASES_LISTED,
        Action.PATIENT_SEARCHED,
        Action.PATIENT_OPENED,
        Action.IMAGE_OPENED,
        Action.DRAFT_OPENED,
        Action.REPORT_OPENED,
        Action.DOCUMENT_EXPORTED,
        Action.PATIENT_EXPORTED,
        Action.FEEDBACK_EXPORTED,
        Action.AUDIT_READ,
        Action.AUDIT_EXPORTED,
        Action.SLIP_PRINTED,
    }
)
_DELETES = frozenset({Action.PATIENT_ERASED, Action.PASSKEY_REMOVED, Action.TOKEN_REVOKED})
_RUNS = frozenset(
    {
        Action.SIGN_IN,
        Action.SIGN_IN_FAILED,
        Action.SIGN_OUT,
        Action.SCREEN_LOCKED,
        Action.SCREEN_UNLOCKED,
        Action.MODEL_RAN,
        Action.MODEL_FAILED,
        Action.COMPLAINT_TRIAGED,
        Action.BREAK_GLASS,
        Action.FORBIDDEN,
        Action.RETENTION_APPLIED,
        Action.BACKUP_RESTORED,
    }
)
_FAILS = frozenset({Action.SIGN_IN_FAILED, Action.FORBIDDEN, Action.MODEL_FAILED})
_PERSON, _SYSTEM_OBJECT = ("1", "Person"), ("2", "System Object")
_PATIENT, _RESOURCE = ("1", "Patient"), ("4", "Domain Resource")


def to_audit_event(event: AuditEvent) -> dict[str, Any]:
    """One entry as an AuditEvent: structure and codes are those that the tests check for every action."""
    action = Action(event.action) if event.action in list(Action) else None
    kind = _KIND.get(action, "110110") if action is not None else "110100"
    content: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": f"audit-{event.seq}",
        "type": _coding(_DICOM, kind, _KINDS[kind]),
        "subtype": list(_subtypes(event, action)),
        "action": _letter(action),
        "recorded": event.at.isoformat(),
        "outcome": "4" if action in _FAILS else "0",
        "agent": [_agent(event)],
        "source": {
            "observer": {"display": "Tetkik"},
            "type": [_coding(f"{_HL7}/security-source-type", "4", "Application Server")],
        },
    }
    if action is Action.BREAK_GLASS:
        content["purposeOfEvent"] = [{"coding": [_coding(f"{_HL7}/v3-ActReason", "BTG", "break the glass")]}]
    if entities := list(_entities(event)):
        content["entity"] = entities
    return content


def to_line(event: AuditEvent) -> str:
    """One entry as a line of NDJSON."""
    return json.dumps(to_audit_event(event), ensure_ascii=False, separators=(",", ":"))


def _subtypes(event: AuditEvent, action: Action | None) -> Iterator[dict[str, str]]:
    if action is not None and action in _SUBKINDS:
        yield _coding(_DICOM, *_SUBKINDS[action])
    yield _coding(_ACTIONS, event.action)


def _letter(action: Action | None) -> str:
    """https://hl7.org/fhir/R4/valueset-audit-event-action.html."""
    if action in _CREATES:
        return "C"
    if action in _READS:
        return "R"
    if action in _DELETES:
        return "D"
    return "E" if action in _RUNS or action is None else "U"


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
