"""A report as FHIR R4B: a DiagnosticReport with its Observations in one Bundle (https://hl7.org/fhir/R4B).

The library that builds the resources checks their structure, not their codes; every code of a required value
set comes from the enumerations here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_OID, UUID, uuid5

from tetkik.documents.dicom import source, study_images
from tetkik.documents.fhir_observed import STATUS, Places, coded, observations
from tetkik.documents.particulars import Identifier, examined_at, identifiers_of
from tetkik.documents.parts import parts_of
from tetkik.documents.report_phrases import WITHDRAWN, disclaimer, patient_name, withdrawal_words
from tetkik.documents.sanitize import calendar_date, valid_uid
from tetkik.values import Hospital, Identity, KeyImage, ReportDocument, ReportState, Section, Sex, Signature
from tetkik.values.common import one_line

# https://hl7.org/fhir/R4B/valueset-administrative-gender.html
_GENDER = MappingProxyType({Sex.FEMALE: "female", Sex.MALE: "male", Sex.OTHER: "other"})
_BUILD = "https://github.com/tetkik/tetkik/fhir/NamingSystem/report"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_OF_THE_HOSPITAL = frozenset(
    {"Patient", "Practitioner", "PractitionerRole", "Organization", "Device", "ImagingStudy"}
)
"""Whose own records a server keeps, the archive's of a study among them: a report changes none of them."""
_MODALITY = re.compile(r"[A-Z]{2}", re.ASCII)


def to_fhir(document: ReportDocument) -> bytes:
    """The report as a Bundle of the type `collection`, JSON in UTF-8.

    A draft is `preliminary`, and everything in a withdrawn report `entered-in-error`.
    """
    place = Places(document)
    entries = [
        {"fullUrl": f"urn:uuid:{place.of(what)}", "resource": resource}
        for what, resource in _resources(document, place)
    ]
    return _bundle(document, "collection", entries)


def to_fhir_transaction(document: ReportDocument, earlier: Sequence[ReportDocument] = ()) -> bytes:
    """The same as a `transaction` (https://hl7.org/fhir/R4B/http.html#transaction), safe to be sent again.

    What a server has already of the patient, the people and the devices is taken as it is (conditional
    create); the report and what it says are brought up to date (conditional update), an amendment over the
    version before it. What `earlier` versions said and this one no longer says is `entered-in-error`. What
    has no identifier of its own gets one that is the same each time.
    """
    place, entries = Places(document), []
    resources = dict(_resources(document, place))
    for version in earlier:
        resources |= {what: one for what, one in _dropped(version, place).items() if what not in resources}
    for what, resource in resources.items():
        kind = resource["resourceType"]
        lasting = _lasting(document.hospital, resource) or place.lasting(what)
        own = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{lasting}"}
        known = next((item for item in resource.get("identifier", ()) if "system" in item), None)
        if kind == "Media":  # what the report says of an image: two may be of one, and others may say more
            known = None
        if known is None:
            resource["identifier"] = [*resource.get("identifier", ()), own]
        query = "identifier=" + quote("{system}|{value}".format(**(known or own)), safe="")
        request = {"method": "PUT", "url": f"{kind}?{query}"}
        if kind in _OF_THE_HOSPITAL:
            request = {"method": "POST", "url": kind, "ifNoneExist": query}
        entries.append({"fullUrl": f"urn:uuid:{place.of(what)}", "resource": resource, "request": request})
    return _bundle(document, "transaction", entries)


def _dropped(version: ReportDocument, place: Places) -> dict[str, dict[str, Any]]:
    """Observations and key images of a version, in error; an Observation without what it said."""
    kept = ("resourceType", "status", "category", "code", "subject")
    found = {item.what: {name: item.resource[name] for name in kept} for item in observations(version, place)}
    for number, key in enumerate(version.content.key_images, 1):
        found[f"key-image/{key.id}"] = _filled(_key_image(version, place, number, key)) | {"partOf": None}
    return {what: _filled(one | {"status": STATUS[ReportState.WITHDRAWN]}) for what, one in found.items()}


def _lasting(hospital: Hospital, resource: dict[str, Any]) -> UUID | None:
    """What tells a person, a hospital or a device apart in all its reports, where no number has a system.

    None where nothing does: without a hospital's name, of a person without a number, of what a report says.
    """
    kind, name = resource["resourceType"], one_line(hospital.name)
    by: object = {
        "Patient": [item["value"] for item in resource.get("identifier", ()) if item.get("use") != "old"][:1],
        "Practitioner": resource.get("identifier"),
        "Organization": resource.get("name"),
        "Device": resource.get("deviceName"),
    }.get(kind)
    if not (name and by):
        return None
    return uuid5(NAMESPACE_OID, "/".join(("tetkik", kind, name, json.dumps(by, ensure_ascii=False))))


def _bundle(document: ReportDocument, kind: str, entries: list[dict[str, Any]]) -> bytes:
    from fhir.resources.R4B.bundle import Bundle

    issued, version = document.created, f"{document.id}/{document.version}"
    if document.withdrawal is not None:
        issued, version = document.withdrawal.signature.signed_at, f"{version}/withdrawn"
    content = {
        "resourceType": "Bundle",
        "type": kind,
        "timestamp": _instant(issued),
        "identifier": {"system": _BUILD, "value": version},
        "entry": entries,
    }
    if document.hospital.demonstration:
        content["meta"] = {"tag": [{"system": _REASON, "code": "HTEST", "display": "test health data"}]}
    Bundle.model_validate(content)
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def _resources(document: ReportDocument, place: Places) -> Iterator[tuple[str, dict[str, Any]]]:
    """The resources with their names; the report first, because it is what the Bundle is about."""
    observed = tuple(observations(document, place))
    yield "report", _report(document, place, tuple(item.what for item in observed if item.result))
    yield "patient", _patient(document.identity, document.hospital)
    if _referred(document):
        yield "request", _request(document, place)
    if _refers(document):
        yield "referrer", _referrer(document)
    if valid_uid(document.identity.study_uid):
        yield "study", _study(document, place)
    if document.result is not None:
        yield "device", _device(document.result.model)
    for item in observed:
        yield item.what, item.resource
    for number, key in enumerate(document.content.key_images, 1):
        yield f"key-image/{key.id}", _filled(_key_image(document, place, number, key))
    if document.signature is not None:
        yield "practitioner", _practitioner(document.signature)
    if hospital := one_line(document.hospital.name):
        yield "organization", {"resourceType": "Organization", "name": hospital}


def _report(document: ReportDocument, place: Places, results: tuple[str, ...]) -> dict[str, Any]:
    draft, signed = document.draft, document.signature
    last = document.withdrawal.signature if document.withdrawal is not None else signed
    impression = " ".join(sentence.text for sentence in draft.section(Section.IMPRESSION))
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "language": draft.language.value,
        "text": {"status": "generated", "div": _narrative(document)},
        "identifier": [{"system": _BUILD, "value": document.id}, *_number(document)],
        "status": STATUS[document.standing],
        "category": [coded("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD", "Radiology")],
        "code": coded("http://loinc.org", "18748-4", "Diagnostic imaging study"),
        "subject": place.reference("patient"),
        "issued": _instant(document.created if last is None else last.signed_at),
        "result": [place.reference(what) for what in results],
    }
    report |= {
        "basedOn": [place.reference("request")] if _referred(document) else None,
        "effectiveDateTime": _examined(document),
        "imagingStudy": [place.reference("study")] if valid_uid(document.identity.study_uid) else None,
        "performer": [place.reference("organization")] if one_line(document.hospital.name) else None,
        "resultsInterpreter": [place.reference("practitioner")] if signed is not None else None,
        "media": [
            _filled({"comment": one_line(item.note), "link": place.reference(f"key-image/{item.id}")})
            for item in document.content.key_images
        ],
        # Who reads the conclusion and no status must see it, too.
        "conclusion": f"{WITHDRAWN}: {impression}" if impression and document.withdrawal else impression,
    }
    return _filled(report)


def _filled(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if value}


def _narrative(document: ReportDocument) -> str:
    """The sentences as XHTML (https://hl7.org/fhir/R4B/narrative.html); text is escaped."""
    from xml.sax.saxutils import escape

    parts = []
    if document.withdrawal is not None:
        words = " ".join(map(one_line, withdrawal_words(document)))
        parts.append(f"<p><b>{escape(WITHDRAWN)}</b> {escape(words)}</p>")
    for part in parts_of(document.content):
        lines = [escape(one_line(line.text)) for line in part.lines]
        rows = "".join(f"<li>{words}</li>" for words in lines)
        body = f"<ol>{rows}</ol>" if part.numbered else f"<p>{' '.join(lines)}</p>"
        parts.append(f"<h3>{escape(part.label)}</h3>{body}")
        objected = (words for line in part.lines for words in line.objections)
        parts += [f"<p>{escape(one_line(words))}</p>" for words in objected]
    parts.append(f"<p>{escape(disclaimer(document.draft.language))}</p>")
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{"".join(parts)}</div>'


def _number(document: ReportDocument) -> list[dict[str, Any]]:
    """The report's own number, as people call it."""
    number = {"type": _typed("FILL"), "value": document.number, "assigner": _shown(document.hospital.name)}
    return [_filled(number)] if document.number else []


def _typed(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": code}]}


def _shown(name: str) -> dict[str, str]:
    return {"display": one_line(name)} if one_line(name) else {}


def _examined(document: ReportDocument) -> str | None:
    at = examined_at(document.identity, document.hospital)
    if isinstance(at, datetime):
        return _instant(at)
    return at.isoformat() if at is not None else None


def _identifier(item: Identifier) -> dict[str, Any]:
    """A number under its system; where nobody is said to assign it, the bare number."""
    if not item.assigned:
        return {"value": item.value}
    return _filled(
        {
            "type": _typed(item.kind),
            "system": f"urn:oid:{item.oid}" if item.oid else "",
            "value": item.value,
            "assigner": _shown(item.authority),
        }
    )


def _patient(identity: Identity, hospital: Hospital) -> dict[str, Any]:
    family, _, given = (identity.patient_name or "").split("=")[0].partition("^")
    born = calendar_date(identity.birth_date)
    old = [{"use": "old", "value": one} for one in map(one_line, identity.other_ids) if one]
    givens = [part for part in map(one_line, given.split("^")[:2]) if part]
    name = _filled({"family": one_line(family), "given": givens})
    return _filled(
        {
            "resourceType": "Patient",
            "identifier": [*map(_identifier, identifiers_of(identity, hospital)), *old],
            "name": [name] if name else None,
            "gender": _GENDER[identity.sex] if identity.sex is not None else "unknown",
            "birthDate": born and born.isoformat(),
            # https://hl7.org/fhir/R4B/valueset-link-type.html: this record stands for those.
            "link": [{"other": {"identifier": one}, "type": "replaces"} for one in old],
        }
    )


def _practitioner(signed: Signature) -> dict[str, Any]:
    name, number = one_line(f"{signed.title} {signed.name}"), one_line(signed.registration)
    return _filled(
        {
            "resourceType": "Practitioner",
            "name": [{"text": name}] if name else None,
            "identifier": [{"value": number}] if number else None,
        }
    )


def _referred(document: ReportDocument) -> bool:
    """Whether anything is known of the order of the examination."""
    accession = document.identity.accession
    return bool(accession or _refers(document))


def _refers(document: ReportDocument) -> bool:
    return bool(document.department or document.identity.referrer)


def _request(document: ReportDocument, place: Places) -> dict[str, Any]:
    """That the examination was asked for (https://hl7.org/fhir/R4B/servicerequest.html), and by whom."""
    accession = one_line(document.identity.accession or "")
    return _filled(
        {
            "resourceType": "ServiceRequest",
            "identifier": [{"type": _typed("ACSN"), "value": accession}] if accession else None,
            "status": "completed",
            "intent": "order",
            "subject": place.reference("patient"),
            "requester": place.reference("referrer") if _refers(document) else None,
        }
    )


def _referrer(document: ReportDocument) -> dict[str, Any]:
    """The referring physician, the department, or both."""
    return _filled(
        {
            "resourceType": "PractitionerRole",
            "practitioner": _shown(patient_name(document.identity.referrer)),
            "organization": _shown(document.department),
        }
    )


def _study(document: ReportDocument, place: Places) -> dict[str, Any]:
    identity = document.identity
    study: dict[str, Any] = {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{valid_uid(identity.study_uid)}"}],
        "status": "available",
        "subject": place.reference("patient"),
    }
    if accession := one_line(identity.accession or ""):
        study["identifier"].append({"type": _typed("ACSN"), "value": accession})
    if examined := _examined(document):
        study["started"] = examined
    study |= _series(document)
    return study


def _series(document: ReportDocument) -> dict[str, Any]:
    """Which images of the study the report is about, where the files say enough of them."""
    known, modality = source(document), document.tags.modality or ""
    if known is None or not _MODALITY.fullmatch(modality):
        return {}
    series: dict[str, list[dict[str, Any]]] = {}
    for one in dict.fromkeys((known, *study_images(document).values())):
        kind = {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{one.sop_class}"}
        series.setdefault(one.series, []).append({"uid": one.uid, "sopClass": kind})
    return {
        "series": [
            {"uid": uid, "modality": {"system": _DICOM, "code": modality}, "instance": instances}
            for uid, instances in series.items()
        ]
    }


def _key_image(document: ReportDocument, place: Places, number: int, item: KeyImage) -> dict[str, Any]:
    """A key image (https://hl7.org/fhir/R4B/media.html): which object an archive has, not its pixels."""
    uid = valid_uid(item.image.instance_uid)
    frame = f", frame {item.image.frame}" if item.image.frame is not None else ""
    title = one_line(item.note) or f"Key image {number}{frame}"
    study = {"partOf": [place.reference("study")]} if not item.image.earlier and _has_study(document) else {}
    return {
        "resourceType": "Media",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}] if uid else [],
        "status": "entered-in-error" if document.withdrawal is not None else "completed",
        "subject": place.reference("patient"),
        "height": item.image.rows,
        "width": item.image.columns,
        "content": _filled(
            {
                "contentType": "application/dicom" if uid else "",
                "url": f"urn:oid:{uid}" if uid else "",
                "title": title,
            }
        ),
        "note": [{"text": f"Frame {item.image.frame}"}] if item.image.frame is not None else [],
        **study,
    }


def _has_study(document: ReportDocument) -> bool:
    return valid_uid(document.identity.study_uid) is not None


def _device(model: str) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        # Findings from elsewhere may not name the model that found them.
        "deviceName": [{"name": one_line(model) or "?", "type": "model-name"}],
        "type": {"text": "Software that assesses radiographs; research and education"},
    }


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
