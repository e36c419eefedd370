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

from tetkik.documents.codes import MEASURES, OWN_JUDGEMENT, OWN_JUDGEMENTS, OWN_PLANES, SNOMED
from tetkik.documents.report_phrases import measured_words
from tetkik.documents.sanitize import valid_uid
from tetkik.documents.statements import Statement, statements
from tetkik.values import (
    Finding,
    Measurement,
    MeasurementUnit,
    ReportDocument,
    ReportState,
    Side,
    label_name,
)
from tetkik.values.common import one_line
from tetkik.values.finding_labels import Code

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
_UCUM = "http://unitsofmeasure.org"
_UNKNOWN = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
# The same concepts as in DICOM's CID 244, Laterality.
_SIDES = MappingProxyType(
    {
        Side.LEFT: ("7771000", "Left"),
        Side.RIGHT: ("24028007", "Right"),
        Side.BOTH: ("51440002", "Bilateral"),
    }
)
_UNITS = MappingProxyType(
    {MeasurementUnit.MILLIMETRE: "mm", MeasurementUnit.PIXEL: "pixels", MeasurementUnit.DEGREE: "degrees"}
)


class Places:
    """Names of the resources: the same for the same report, and telling nothing of a patient."""

    def __init__(self, document: ReportDocument) -> None:
        self._root = uuid5(NAMESPACE_OID, f"tetkik:{document.id}:{document.version}")

    def of(self, what: str) -> UUID:
        """The UUID of one resource."""
        return uuid5(self._root, what)

    def reference(self, what: str) -> dict[str, str]:
        """A reference to it inside the Bundle."""
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
    for measurement in document.measurements:
        yield Observed(f"measurement/{measurement.id}", _measured(document, place, measurement))


def _observation(place: Places, status: str, code: dict[str, Any]) -> dict[str, Any]:
    category = {
        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
        "code": "imaging",
        "display": "Imaging",
    }
    return {
        "resourceType": "Observation",
        "status": status,
        "category": [{"coding": [category]}],
        "code": code,
        "subject": place.reference("patient"),
    }


def _by_itself(document: ReportDocument) -> str:
    """Of what a model says: preliminary whatever is signed, and withdrawn with the report that carries it."""
    return STATUS[ReportState.DRAFT if document.withdrawal is None else ReportState.WITHDRAWN]


def _by_model(document: ReportDocument, place: Places, item: Statement) -> dict[str, Any]:
    """A label that nobody judged: what the model says."""
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
    code = {
        "coding": [{"system": _OUTPUTS, "code": finding.label, "display": f"Output of the model: {name}"}],
        "text": f"Output of the model: {name}",
    }
    found = _observation(place, _by_itself(document), code)
    found["device"] = place.reference("device")
    reached = {"code": {"text": "Reaches the threshold of the model"}, "valueBoolean": finding.positive}
    found["component"] = [_probability(finding), reached]
    return found


def _measured(document: ReportDocument, place: Places, item: Measurement) -> dict[str, Any]:
    """A length or an angle, and the image that it was made in."""
    language = document.draft.language
    known = MEASURES[item.kind]
    code: dict[str, Any] = {
        "coding": [{"system": _SNOMED, "code": known.value, "display": known.meaning}],
        "text": one_line(item.label) or known.meaning,
    }
    found = _observation(place, STATUS[document.standing], code)
    found |= _performer(document, place)
    found["valueQuantity"] = {
        "value": item.rounded,
        "unit": _UNITS[item.unit],
        "system": _UCUM,
        "code": item.unit.value,
    }
    about = measured_words(item, language)
    if item.unit is not MeasurementUnit.DEGREE:
        plane = OWN_PLANES[item.image.plane if item.calibrated else None]
        found["method"] = {"coding": [_word(plane)], "text": about}
    elif about:
        found["note"] = [{"text": about}]
    if not item.image.earlier and valid_uid(document.identity.study_uid):
        found["derivedFrom"] = [place.reference("study")]
    points = "; ".join(f"{column:g}, {row:g}" for column, row in item.points)
    image = valid_uid(item.image.instance_uid)
    found["component"] = [
        {"code": {"text": "Points in the image: column, row in pixels"}, "valueString": points},
        *([{"code": {"text": "SOP Instance UID of the image"}, "valueString": image}] if image else []),
    ]
    return found


def _performer(document: ReportDocument, place: Places) -> dict[str, Any]:
    return {} if document.signature is None else {"performer": [place.reference("practitioner")]}


def _code(document: ReportDocument, label: str) -> dict[str, Any]:
    """A label: our own code, and the SNOMED CT concept where one is certain."""
    name = label_name(label, document.draft.language)
    coding = [{"system": _LABELS, "code": label, "display": name}]
    if label in SNOMED:
        known = SNOMED[label]
        coding.insert(0, {"system": _SNOMED, "code": known.value, "display": known.meaning})
    return {"coding": coding, "text": name}


def _word(code: Code) -> dict[str, str]:
    return {"system": _WORDS, "code": code.value, "display": code.meaning}


def _judgement(item: Statement) -> dict[str, Any]:
    own = OWN_JUDGEMENTS[item.judgement]
    return {
        "code": {"coding": [_word(OWN_JUDGEMENT)], "text": OWN_JUDGEMENT.meaning},
        "valueCodeableConcept": {"coding": [_word(own)], "text": own.meaning},
    }


def _probability(finding: Finding) -> dict[str, Any]:
    """The model's calibrated probability, or that it has none."""
    probability: dict[str, Any] = {"code": {"text": "Calibrated probability"}}
    if finding.probability is not None:
        value = round(finding.probability, 4)
        return probability | {"valueQuantity": {"value": value, "system": _UCUM, "code": "1"}}
    return probability | {"dataAbsentReason": {"coding": [{"system": _UNKNOWN, "code": "not-performed"}]}}


def _laterality(item: Statement) -> list[dict[str, Any]]:
    """The side, where the draft's evidence has one."""
    if item.side is None:
        return []
    code, meaning = _SIDES[item.side]
    return [
        {
            "code": {"coding": [{"system": _SNOMED, "code": "272741003", "display": "Laterality"}]},
            "valueCodeableConcept": {"coding": [{"system": _SNOMED, "code": code, "display": meaning}]},
        }
    ]
