"""A report as FHIR R4B: a DiagnosticReport with its Observations in one Bundle (https://hl7.org/fhir/R4B).

The library that builds the resources checks their structure, not their codes; every code of a required value
set comes from the enumerations here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_OID, UUID, uuid5

from tetkik.documents.dicom import source, study_images
from tetkik.documents.parts import (
    AGE,
    AGE_UNITS,
    DERIVATIONS,
    OWN_JUDGEMENT,
    OWN_JUDGEMENTS,
    OWN_PLANES,
    OWN_SCHEME,
    SIDES,
    SNOMED,
    WITHDRAWN,
    Identifier,
    PatientAge,
    Statement,
    age_of,
    calendar_date,
    disclaimer,
    examined_at,
    identifiers_of,
    measure_of,
    measured_words,
    parts_of,
    patient_name,
    replaced_words,
    statements,
    valid_uid,
    withdrawal_words,
)
from tetkik.values.common import one_line
from tetkik.values.document import Hospital, ReportDocument, ReportState, Signature
from tetkik.values.finding import Finding
from tetkik.values.finding_labels import label_name
from tetkik.values.measurement import Figure, Measurement, MeasurementUnit
from tetkik.values.radiograph import Identity, Sex
from tetkik.values.report import KeyImage, Section

# The Observations of a report: what is there or not, what the model answered, and what was measured.
#
# A radiologist's word on a label is an Observation of theirs. The model's answer to the same label stays
# beside it as an Observation of the model's device, under a code that names an output and no finding, so
# that nobody who looks for a finding takes a rejected one for present.


# https://hl7.org/fhir/R4B/valueset-diagnostic-report-status.html and valueset-observation-status.html
STATUS = MappingProxyType(
    {
        ReportState.DRAFT: "preliminary",
        ReportState.FINAL: "final",
        ReportState.AMENDED: "amended",
        ReportState.WITHDRAWN: "entered-in-error",
    }
)
"""Of the report, and of what a radiologist observed."""
_OWN = "https://github.com/tetkik/tetkik/fhir/CodeSystem"
_LABELS = f"{_OWN}/finding"
_OUTPUTS = f"{_OWN}/model-output"
_WORDS = f"{_OWN}/report"
_SNOMED = "http://snomed.info/sct"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_UCUM = "http://unitsofmeasure.org"
_UNKNOWN = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_UNITS = MappingProxyType(
    {
        MeasurementUnit.MILLIMETRE: "mm",
        MeasurementUnit.PIXEL: "pixels",
        MeasurementUnit.DEGREE: "degrees",
        MeasurementUnit.RATIO: "ratio",
        MeasurementUnit.HOUNSFIELD: "HU",
        MeasurementUnit.GREY: "grey values",
        MeasurementUnit.SQUARE_MILLIMETRE: "mm²",
    }
)
_SYSTEMS = MappingProxyType({"SCT": _SNOMED, "DCM": _DCM, OWN_SCHEME: _WORDS})


class Places:
    """Names of the resources: the same for the same report, and telling nothing of a patient."""

    def __init__(self, document: ReportDocument) -> None:
        self._report = document.id
        self._root = uuid5(NAMESPACE_OID, f"tetkik:{document.id}:{document.version}")

    def of(self, what: str) -> UUID:
        return uuid5(self._root, what)

    def lasting(self, what: str) -> UUID:
        """The same in all versions of the report."""
        return uuid5(uuid5(NAMESPACE_OID, f"tetkik:{self._report}"), what)

    def reference(self, what: str) -> dict[str, str]:
        return {"reference": f"urn:uuid:{self.of(what)}"}


@dataclass(frozen=True, slots=True)
class Observed:
    """An Observation named by `what`; the report lists it as a `result`, or one that it lists leads to it."""

    what: str
    resource: dict[str, Any] = field(repr=False)
    result: bool = True


def observations(document: ReportDocument, place: Places) -> Iterator[Observed]:
    """Every Observation of a report, findings first."""
    for item in statements(document):
        if item.judgement is None:
            yield Observed(f"observation/{item.label}", _by_model(document, place, item))
            continue
        yield Observed(f"observation/{item.label}", _by_radiologist(document, place, item))
        if item.finding is not None:
            output = _output(document, place, item.finding)
            yield Observed(f"output/{item.label}", output, result=False)
    if (age := age_of(document)) is not None:
        yield Observed("age", _age(document, place, age))
    for measurement in document.measurements:
        yield Observed(f"measurement/{measurement.id}", _measured(document, place, measurement))


def _observation(place: Places, status: str, code: dict[str, Any]) -> dict[str, Any]:
    category = coded("http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging")
    return {
        "resourceType": "Observation",
        "status": status,
        "category": [category],
        "code": code,
        "subject": place.reference("patient"),
    }


def _by_itself(document: ReportDocument) -> str:
    """Of what a model says: preliminary whatever is signed, and withdrawn with the report that carries it."""
    return STATUS[ReportState.DRAFT if document.withdrawal is None else ReportState.WITHDRAWN]


def _by_model(document: ReportDocument, place: Places, item: Statement) -> dict[str, Any]:
    assert item.finding is not None
    found = _observation(place, _by_itself(document), _code(document, item.label))
    found |= {"device": place.reference("device"), "valueBoolean": item.present}
    unjudged = [_judgement(item)] if document.signature is not None else []
    found["component"] = [_probability(item.finding), *_laterality(item), *unjudged]
    return found


def _by_radiologist(document: ReportDocument, place: Places, item: Statement) -> dict[str, Any]:
    """A label that the radiologist judged: whether it is there is theirs to say."""
    found = _observation(place, STATUS[document.standing], _code(document, item.label))
    found |= _performer(document, place) | {"valueBoolean": item.present}
    if item.finding is not None:
        found["derivedFrom"] = [place.reference(f"output/{item.label}")]
    found["component"] = [_judgement(item), *_laterality(item)]
    return found


def _output(document: ReportDocument, place: Places, finding: Finding) -> dict[str, Any]:
    """What the model had answered to a label that was judged: a figure, and no finding."""
    name = label_name(finding.label, document.draft.language)
    words = f"Output of the model: {name}"
    found = _observation(place, _by_itself(document), coded(_OUTPUTS, finding.label, words, text=words))
    found["device"] = place.reference("device")
    reached = {"code": {"text": "Reaches the threshold of the model"}, "valueBoolean": finding.positive}
    found["component"] = [_probability(finding), reached]
    return found


def _age(document: ReportDocument, place: Places, age: PatientAge) -> dict[str, Any]:
    """How old the patient was at the examination."""
    found = _observation(place, STATUS[document.standing], coded("http://loinc.org", AGE.value, AGE.meaning))
    del found["category"]
    unit = AGE_UNITS[age.unit]
    found["valueQuantity"] = {
        "value": age.count,
        "unit": unit.meaning,
        "system": _UCUM,
        "code": unit.value,
    }
    return found


def _measured(document: ReportDocument, place: Places, item: Measurement) -> dict[str, Any]:
    """What was measured, and the image that it was made in; its other figures are components."""
    language, main = document.draft.language, item.figures[0]
    code = _measure(main)
    code["text"] = one_line(item.label) or code["text"]
    found = _observation(place, STATUS[document.standing], code)
    found |= _performer(document, place)
    found["valueQuantity"] = _quantity(main)
    about = measured_words(item, language)
    if item.unit not in (MeasurementUnit.DEGREE, MeasurementUnit.RATIO):
        plane = OWN_PLANES[item.image.plane if item.calibrated else None]
        found["method"] = coded(_WORDS, plane.value, plane.meaning, text=about)
    elif about:
        found["note"] = [{"text": about}]
    if not item.image.earlier and valid_uid(document.identity.study_uid):
        found["derivedFrom"] = [place.reference("study")]
    points = "; ".join(f"{column:g}, {row:g}" for column, row in item.points)
    image = valid_uid(item.image.instance_uid)
    found["component"] = [
        *({"code": _measure(one), "valueQuantity": _quantity(one)} for one in item.figures[1:]),
        {"code": {"text": "Points in the image: column, row in pixels"}, "valueString": points},
        *([{"code": {"text": "SOP Instance UID of the image"}, "valueString": image}] if image else []),
    ]
    return found


def _measure(figure: Figure) -> dict[str, Any]:
    """What a figure says; of the pixels of a region, how it was derived as well."""
    known, scheme = measure_of(figure.kind, figure.unit)
    derived = DERIVATIONS.get(figure.kind)
    text = f"{known.meaning}: {derived.meaning.lower()}" if derived else known.meaning
    code = coded(_SYSTEMS[scheme], known.value, known.meaning, text=text)
    if derived is not None:
        code["coding"] += coded(_SNOMED, derived.value, derived.meaning)["coding"]
    return code


def _quantity(figure: Figure) -> dict[str, Any]:
    return {
        "value": figure.rounded,
        "unit": _UNITS[figure.unit],
        "system": _UCUM,
        "code": figure.unit.value,
    }


def _performer(document: ReportDocument, place: Places) -> dict[str, Any]:
    return {} if document.signature is None else {"performer": [place.reference("practitioner")]}


def _code(document: ReportDocument, label: str) -> dict[str, Any]:
    """A label: our own code, and the SNOMED CT concept where one is certain."""
    name = label_name(label, document.draft.language)
    code = coded(_LABELS, label, name, text=name)
    if label in SNOMED:
        code["coding"] = coded(_SNOMED, SNOMED[label].value, SNOMED[label].meaning)["coding"] + code["coding"]
    return code


def coded(system: str, code: str, display: str, text: str | None = None) -> dict[str, Any]:
    """A CodeableConcept of one code."""
    concept: dict[str, Any] = {"coding": [{"system": system, "code": code, "display": display}]}
    return concept if text is None else concept | {"text": text}


def _judgement(item: Statement) -> dict[str, Any]:
    own = OWN_JUDGEMENTS[item.judgement]
    return {
        "code": coded(_WORDS, OWN_JUDGEMENT.value, OWN_JUDGEMENT.meaning, text=OWN_JUDGEMENT.meaning),
        "valueCodeableConcept": coded(_WORDS, own.value, own.meaning, text=own.meaning),
    }


def _probability(finding: Finding) -> dict[str, Any]:
    probability: dict[str, Any] = {"code": {"text": "Calibrated probability"}}
    if finding.probability is not None:
        value = round(finding.probability, 4)
        return probability | {"valueQuantity": {"value": value, "system": _UCUM, "code": "1"}}
    return probability | {"dataAbsentReason": {"coding": [{"system": _UNKNOWN, "code": "not-performed"}]}}


def _laterality(item: Statement) -> list[dict[str, Any]]:
    if item.side is None:
        return []
    side = SIDES[item.side]
    return [
        {
            "code": coded(_SNOMED, "272741003", "Laterality"),
            "valueCodeableConcept": coded(_SNOMED, side.value, side.meaning),
        }
    ]


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
    found = {
        item.what: {name: item.resource[name] for name in kept if name in item.resource}
        for item in observations(version, place)
    }
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
    parts += [f"<p>{escape(words)}</p>" for words in replaced_words(document)]
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
