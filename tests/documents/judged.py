"""A report whose findings a radiologist judged and in whose image they measured: one of every kind."""

from __future__ import annotations

from dataclasses import replace

from tests.documents.sample import IDENTITY, RESULT, TAGS, document, draft, finding
from tetkik.language import Language
from tetkik.values import (
    DraftSentence,
    JudgedFinding,
    Judgement,
    MeasuredImage,
    Measurement,
    MeasurementKind,
    ReportDocument,
    ReportState,
    Section,
    SpacingPlane,
)

FILM = MeasuredImage(
    "01J0000000000000000000000A",
    rows=2000,
    columns=1600,
    spacing=(0.4, 0.2),
    plane=SpacingPlane.DETECTOR,
    study_date="20260304",
    study_uid=IDENTITY.study_uid,
    series_uid=IDENTITY.series_uid,
    instance_uid=IDENTITY.instance_uid,
    sop_class=TAGS.sop_class,
)
EARLIER = replace(
    FILM,
    id="01J0000000000000000000000B",
    spacing=(0.5, 0.5),
    plane=SpacingPlane.PATIENT,
    earlier=True,
    study_date="20240102",
    study_uid="1.2.826.0.1.3680043.8.498.11",
    series_uid="1.2.826.0.1.3680043.8.498.12",
    instance_uid="1.2.826.0.1.3680043.8.498.13",
    sop_class="1.2.840.10008.5.1.4.1.1.4.1",  # of several frames
    frame=3,
)
PICTURE = MeasuredImage("01J0000000000000000000000C", rows=202, columns=240)
"""A file that says nothing of itself, twice as large as `sample.picture`."""

LENGTH = Measurement(
    "01J0000000000000000000001A",
    MeasurementKind.LENGTH,
    FILM,
    ((100.0, 200.0), (400.0, 400.25)),
    "Sağ alt zon",
)
ANGLE = Measurement(
    "01J0000000000000000000001B",
    MeasurementKind.ANGLE,
    FILM,
    ((300.0, 100.0), (100.0, 100.0), (100.0, 200.0)),
)
BEFORE = replace(LENGTH, id="01J0000000000000000000001C", image=EARLIER, label="")
UNCALIBRATED = Measurement(
    "01J0000000000000000000001D", MeasurementKind.LENGTH, PICTURE, ((10.0, 10.0), (110.0, 10.0))
)
MEASURED = (LENGTH, ANGLE, BEFORE)

JUDGED = (
    JudgedFinding("Effusion", Judgement.REJECTED),
    JudgedFinding("Cardiomegaly", Judgement.ACCEPTED),
    JudgedFinding("Mass", Judgement.ACCEPTED),  # below its threshold: it is not there
    JudgedFinding("Nodule", Judgement.ADDED),  # that the model does not know
    JudgedFinding("Tuberculosis", Judgement.ADDED),  # that it did not assess
    JudgedFinding("Fibrosis", Judgement.ADDED),  # that it put below its threshold
)
FOUND = replace(RESULT, findings=(*RESULT.findings, finding("Fibrosis", 0.3), finding("Edema", 0.7)))


SAID = {
    Language.TR: (
        "Nodül, tüberküloz ve fibrozis izlendi.",
        "Kitle ve plevral efüzyon izlenmedi.",
    ),
    Language.EN: ("A nodule, tuberculosis and fibrosis.", "No mass and no pleural effusion."),
}


HEART = {Language.TR: "Kardiyomegali.", Language.EN: "Cardiomegaly."}


def judged(
    state: ReportState = ReportState.FINAL, language: Language = Language.TR, **changes: object
) -> ReportDocument:
    """The report, whose text says what was judged; Pneumothorax and Edema are what nobody judged."""
    given: dict[str, object] = {"result": FOUND, "judgements": JUDGED, "measurements": MEASURED}
    first = draft(language)
    kept = tuple(item for item in first.sentences if "Effusion" not in str(item.evidence))
    heart = DraftSentence(HEART[language], Section.IMPRESSION, ("finding:Cardiomegaly",))
    kept += (heart, DraftSentence("Klinik bilgiyle.", Section.RECOMMENDATION))
    said = tuple(DraftSentence(text, Section.FINDINGS) for text in SAID[language])
    given["draft"] = replace(first, sentences=kept[:1] + said + kept[1:])
    return document(state, language, **(given | changes))
