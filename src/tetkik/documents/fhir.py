"""A report as FHIR R4B: a DiagnosticReport with its Observations in one Bundle (https://hl7.org/fhir/R4B).

The library that builds the resources checks their structure, not their codes; every code of a required value
set comes from the enumerations here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from tetkik.documents.codes import SNOMED
from tetkik.documents.fields import assessed, calendar_date, printable, side_of, valid_uid
from tetkik.documents.words import disclaimer, heading, objections
from tetkik.values import (
    Finding,
    Identity,
    ReportDocument,
    ReportState,
    Section,
    Sex,
    Side,
    Signature,
    label_name,
)

# https://hl7.org/fhir/R4B/valueset-diagnostic-report-status.html and valueset-observation-status.html
_STATUS = MappingProxyType(
    {ReportState.DRAFT: "preliminary", ReportState.FINAL: "final", ReportState.AMENDED: "amended"}
)
# https://hl7.org/fhir/R4B/valueset-administrative-gender.html
_GENDER = MappingProxyType({Sex.FEMALE: "female", Sex.MALE: "male", Sex.OTHER: "other"})
_LABELS = "https://github.com/tetkik/tetkik/fhir/CodeSystem/finding"
_BUILD = "https://github.com/tetkik/tetkik/fhir/NamingSystem/report"
_SNOMED = "http://snomed.info/sct"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_MODALITY = re.compile(r"[A-Z]{2}", re.ASCII)
# The same concepts as in DICOM's CID 244, Laterality.
_SIDES = MappingProxyType(
    {
        Side.LEFT: ("7771000", "Left"),
        Side.RIGHT: ("24028007", "Right"),
        Side.BOTH: ("51440002", "Bilateral"),
    }
)
_UNKNOWN = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def to_fhir(document: ReportDocument) -> bytes:
    """The report as a Bundle of the type `collection`, JSON in UTF-8.

    Args:
        document: of any state; a draft is `preliminary`.
    """
    from fhir.resources.R4B.bundle import Bundle

    entries = [
        {"fullUrl": f"urn:uuid:{name}", "resource": resource} for name, resource in _resources(document)
    ]
    content = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": _instant(document.created),
        "identifier": {"system": _BUILD, "value": f"{document.id}/{document.version}"},
        "entry": entries,
    }
    Bundle.model_validate(content)
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def _resources(document: ReportDocument) -> Iterator[tuple[UUID, dict[str, Any]]]:
    """The resources with their names; the report first, because it is what the Bundle is about."""
    place = _Places(document)
    found = assessed(document)
    yield place.of("report"), _report(document, place, found)
    yield place.of("patient"), _patient(document.identity)
    if valid_uid(document.identity.study_uid):
        yield place.of("study"), _study(document, place)
    if document.result is not None:
        yield place.of("device"), _device(document.result.model)
    for finding in found:
        yield place.of(f"observation/{finding.label}"), _observation(document, place, finding)
    if document.signature is not None:
        yield place.of("practitioner"), _practitioner(document.signature)
    if printable(document.hospital.name):
        yield (
            place.of("organization"),
            {"resourceType": "Organization", "name": printable(document.hospital.name)},
        )


class _Places:
    """Names of the resources: the same for the same report, and telling nothing of a patient."""

    def __init__(self, document: ReportDocument) -> None:
        self._root = uuid5(NAMESPACE_OID, f"tetkik:{document.id}:{document.version}")

    def of(self, what: str) -> UUID:
        """The UUID of one resource."""
        return uuid5(self._root, what)

    def reference(self, what: str) -> dict[str, str]:
        """A reference to it inside the Bundle."""
        return {"reference": f"urn:uuid:{self.of(what)}"}


def _report(document: ReportDocument, place: _Places, found: tuple[Finding, ...]) -> dict[str, Any]:
    draft, signed = document.draft, document.signature
    impression = " ".join(sentence.text for sentence in draft.section(Section.IMPRESSION))
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "language": draft.language.value,
        "text": {"status": "generated", "div": _narrative(document)},
        "identifier": [{"system": _BUILD, "value": document.id}],
        "status": _STATUS[document.state],
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
                        "code": "RAD",
                        "display": "Radiology",
                    }
                ]
            }
        ],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}
            ]
        },
        "subject": place.reference("patient"),
        "issued": _instant(document.created if signed is None else signed.signed_at),
        "result": [place.reference(f"observation/{item.label}") for item in found],
    }
    made = calendar_date(document.identity.study_date)
    if made is not None:
        report["effectiveDateTime"] = made.isoformat()
    if valid_uid(document.identity.study_uid):
        report["imagingStudy"] = [place.reference("study")]
    if printable(document.hospital.name):
        report["performer"] = [place.reference("organization")]
    if signed is not None:
        report["resultsInterpreter"] = [place.reference("practitioner")]
    if impression:
        report["conclusion"] = impression
    return {name: value for name, value in report.items() if value}


def _narrative(document: ReportDocument) -> str:
    """The sentences as XHTML (https://hl7.org/fhir/R4B/narrative.html); text is escaped."""
    from xml.sax.saxutils import escape

    draft = document.draft
    parts = []
    for section in Section:
        sentences = draft.section(section)
        if sentences:
            text = " ".join(printable(item.text) for item in sentences)
            parts.append(f"<h3>{escape(heading(section, draft.language))}</h3><p>{escape(text)}</p>")
            for words in (words for item in sentences for words in objections(item, draft.language)):
                parts.append(f"<p>{escape(printable(words))}</p>")
    parts.append(f"<p>{escape(disclaimer(draft.language))}</p>")
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{"".join(parts)}</div>'


def _patient(identity: Identity) -> dict[str, Any]:
    family, _, given = (identity.patient_name or "").split("=")[0].partition("^")
    patient: dict[str, Any] = {"resourceType": "Patient"}
    number = printable(identity.patient_id or "")
    if number:
        patient["identifier"] = [{"value": number}]
    name: dict[str, Any] = {}
    if printable(family):
        name["family"] = printable(family)
    givens = [printable(part) for part in given.split("^")[:2] if printable(part)]
    if givens:
        name["given"] = givens
    if name:
        patient["name"] = [name]
    patient["gender"] = _GENDER[identity.sex] if identity.sex is not None else "unknown"
    born = calendar_date(identity.birth_date)
    if born is not None:
        patient["birthDate"] = born.isoformat()
    return patient


def _practitioner(signed: Signature) -> dict[str, Any]:
    name = printable(" ".join(part for part in (signed.title, signed.name) if part))
    practitioner: dict[str, Any] = {"resourceType": "Practitioner"}
    if name:
        practitioner["name"] = [{"text": name}]
    if printable(signed.registration):
        practitioner["identifier"] = [{"value": printable(signed.registration)}]
    return practitioner


def _study(document: ReportDocument, place: _Places) -> dict[str, Any]:
    identity = document.identity
    study: dict[str, Any] = {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{valid_uid(identity.study_uid)}"}],
        "status": "available",
        "subject": place.reference("patient"),
    }
    if printable(identity.accession or ""):
        study["identifier"].append(
            {
                "type": {
                    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]
                },
                "value": printable(identity.accession or ""),
            }
        )
    study |= _series(document)
    return study


def _series(document: ReportDocument) -> dict[str, Any]:
    """Which image of the study the report is about, where the file says enough of it."""
    identity, tags = document.identity, document.tags
    series, instance = valid_uid(identity.series_uid), valid_uid(identity.instance_uid)
    sop_class, modality = valid_uid(tags.sop_class), tags.modality or ""
    if not (series and instance and sop_class and _MODALITY.fullmatch(modality)):
        return {}
    kind = {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{sop_class}"}
    return {
        "series": [
            {
                "uid": series,
                "modality": {"system": _DICOM, "code": modality},
                "instance": [{"uid": instance, "sopClass": kind}],
            }
        ]
    }


def _device(model: str) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        # Findings from elsewhere may not name the model that found them.
        "deviceName": [{"name": printable(model) or "?", "type": "model-name"}],
        "type": {"text": "Software that assesses radiographs; research and education"},
    }


def _observation(document: ReportDocument, place: _Places, finding: Finding) -> dict[str, Any]:
    """One label: what the model says, and its calibrated probability as a component."""
    language = document.draft.language
    coding = [{"system": _LABELS, "code": finding.label, "display": label_name(finding.label, language)}]
    if finding.label in SNOMED:
        known = SNOMED[finding.label]
        coding.insert(0, {"system": _SNOMED, "code": known.value, "display": known.meaning})
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        # What a model says stays preliminary, whatever a radiologist made of it in the report.
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "imaging",
                        "display": "Imaging",
                    }
                ]
            }
        ],
        "code": {"coding": coding, "text": label_name(finding.label, language)},
        "subject": place.reference("patient"),
        "device": place.reference("device"),
        "valueBoolean": finding.positive,
    }
    probability: dict[str, Any] = {"code": {"text": "Calibrated probability"}}
    if finding.probability is not None:
        probability["valueQuantity"] = {
            "value": round(finding.probability, 4),
            "system": "http://unitsofmeasure.org",
            "code": "1",
        }
    else:
        probability["dataAbsentReason"] = {"coding": [{"system": _UNKNOWN, "code": "not-performed"}]}
    observation["component"] = [probability, *_laterality(document, finding)]
    return observation


def _laterality(document: ReportDocument, finding: Finding) -> list[dict[str, Any]]:
    """The side, where the draft's evidence has one."""
    side = side_of(document, finding)
    if side is None:
        return []
    code, meaning = _SIDES[side]
    return [
        {
            "code": {"coding": [{"system": _SNOMED, "code": "272741003", "display": "Laterality"}]},
            "valueCodeableConcept": {"coding": [{"system": _SNOMED, "code": code, "display": meaning}]},
        }
    ]


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
