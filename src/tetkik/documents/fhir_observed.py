"""The Observations of a report: what is there or not, what the model answered, and what was measured.

A radiologist's word on a label is an Observation of theirs. The model's answer to the same label stays beside
it as an Observation of the model's device, under a code that names an output and no finding, so that nobody
who looks for a finding takes a rejected one for present.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from tetkik.documents.codes import (
    AGE,
    AGE_UNITS,
    DERIVATIONS,
    OWN_JUDGEMENT,
    OWN_JUDGEMENTS,
    OWN_PLANES,
    OWN_SCHEME,
    SIDES,
    SNOMED,
    measure_of,
)
from tetkik.documents.particulars import Age, age_of
from tetkik.documents.report_phrases import measured_words
from tetkik.documents.sanitize import valid_uid
from tetkik.documents.statements import Statement, statements
from tetkik.values import (
    Figure,
    Finding,
    Measurement,
    MeasurementUnit,
    ReportDocument,
    ReportState,
    label_name,
)
from tetkik.values.common import one_line

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


def _age(document: ReportDocument, place: Places, age: Age) -> dict[str, Any]:
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
