"""What every document says in the same words: headings, states, the parts around a report."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import MappingProxyType

from tetkik.documents.sanitize import calendar_date
from tetkik.documents.statements import statements
from tetkik.language import Language, Sentence, translate
from tetkik.values import (
    DISCLAIMER,
    Draft,
    DraftSentence,
    Figure,
    FigureKind,
    Judgement,
    Measurement,
    MeasurementKind,
    MeasurementUnit,
    ReportDocument,
    ReportState,
    Section,
    SpacingPlane,
    WithdrawalReason,
    label_name,
)
from tetkik.values.common import one_line

_SECTIONS = MappingProxyType(
    {
        Section.TECHNIQUE: Sentence("Technique"),
        Section.FINDINGS: Sentence("Findings"),
        Section.IMPRESSION: Sentence("Impression"),
        Section.RECOMMENDATION: Sentence("Recommendation"),
    }
)
_STATES = MappingProxyType(
    {
        ReportState.DRAFT: Sentence("Draft: not signed by a radiologist"),
        ReportState.FINAL: Sentence("Signed report"),
        ReportState.AMENDED: Sentence("Amended report"),
        ReportState.WITHDRAWN: Sentence("Withdrawn report: issued in error, do not use it"),
    }
)
WITHDRAWN = "GERİ ÇEKİLDİ / WITHDRAWN"
"""Stands on every page of a withdrawn report, in both languages whatever the report's own is."""
_REASONS = MappingProxyType(
    {
        WithdrawalReason.WRONG_PATIENT: Sentence("wrong patient"),
        WithdrawalReason.WRONG_IMAGE: Sentence("wrong image"),
        WithdrawalReason.WRONG_CASE: Sentence("dictated onto the wrong case"),
        WithdrawalReason.WRONG_TEXT: Sentence("text of another report"),
        WithdrawalReason.UNFINISHED: Sentence("signed before it was finished"),
        WithdrawalReason.OTHER: Sentence("another reason"),
    }
)
_KINDS = MappingProxyType(
    {
        MeasurementKind.LENGTH: Sentence("Length"),
        MeasurementKind.ANGLE: Sentence("Angle"),
        MeasurementKind.COBB: Sentence("Cobb angle"),
        MeasurementKind.CARDIOTHORACIC: Sentence("Cardiothoracic ratio"),
        MeasurementKind.ELLIPSE: Sentence("Ellipse"),
        MeasurementKind.RECTANGLE: Sentence("Rectangle"),
        MeasurementKind.ARROW: Sentence("Arrow"),
        MeasurementKind.TEXT: Sentence("Text"),
    }
)
_PLANES = MappingProxyType(
    {
        SpacingPlane.PATIENT: Sentence("in the patient"),
        SpacingPlane.DETECTOR: Sentence("at the detector: smaller in the patient"),
        SpacingPlane.UNSTATED: Sentence("the file does not say whether at the detector or in the patient"),
        None: Sentence("not calibrated"),
    }
)
_JUDGED = (
    (Judgement.ACCEPTED, True, Sentence("Accepted by the radiologist")),
    (Judgement.ADDED, True, Sentence("Added by the radiologist")),
    (Judgement.REJECTED, False, Sentence("Rejected by the radiologist")),
    (Judgement.ACCEPTED, False, Sentence("Not there, the radiologist confirms")),
)
"""A judgement, whether the finding is there by it, and how that is said."""
_UNJUDGED = (None, True, Sentence("Not judged by a radiologist: the model alone says it"))
"""Of drafts: a signed report holds no such finding."""


def heading(section: Section, language: Language) -> str:
    """The name of a part of a report."""
    return _SECTIONS[section].in_language(language)


def state_words(document: ReportDocument) -> str:
    """How far the report is, in its own language; an exercise says that it is about no patient."""
    language = document.draft.language
    if document.draft.exercise:
        return translate("Exercise: about no patient", language)
    return _STATES[document.standing].in_language(language)


def withdrawal_reason(why: WithdrawalReason, language: Language) -> str:
    """Why a report was withdrawn, from the short list."""
    return _REASONS[why].in_language(language)


def withdrawal_words(document: ReportDocument) -> tuple[str, ...]:
    """Who took the report back, when and why, then what they said beside it; nothing where it stands."""
    withdrawal, language = document.withdrawal, document.draft.language
    if withdrawal is None:
        return ()
    who = " ".join(part for part in (withdrawal.signature.title, withdrawal.signature.name) if part)
    sentence = translate(
        "Withdrawn by {name}, {when}: {reason}.",
        language,
        name=who,
        when=moment_words(withdrawal.signature.signed_at),
        reason=withdrawal_reason(withdrawal.why, language),
    )
    return (sentence, withdrawal.words) if withdrawal.words else (sentence,)


def not_assessed_words(draft: Draft) -> str:
    """The line under a report that names what the model was never taught; empty where there is nothing."""
    names = ", ".join(label_name(label, draft.language) for label in draft.not_assessed)
    return translate("Not assessed by the model: {names}", draft.language, names=names) if names else ""


def disclaimer(language: Language) -> str:
    """The sentence that every document ends with."""
    return DISCLAIMER[language.value]


def objections(sentence: DraftSentence, language: Language) -> tuple[str, ...]:
    """What the grounding check says against a sentence and nobody has decided yet."""
    return tuple(
        translate("Objection, not decided: {reason}", language, reason=mark.reason.in_language(language))
        for mark in sentence.marks
        if mark.decision is None
    )


def judged_words(document: ReportDocument) -> tuple[str, ...]:
    """What the radiologist says of the findings, a line for each kind; what nobody judged comes last."""
    language, stated = document.draft.language, statements(document)
    lines = []
    for judgement, present, sentence in (*_JUDGED, _UNJUDGED):
        about = [item.label for item in stated if (item.judgement, item.present) == (judgement, present)]
        if about:
            names = ", ".join(label_name(label, language) for label in about)
            lines.append(f"{sentence.in_language(language)}: {names}")
    return tuple(lines)


def measurement_words(measurement: Measurement, language: Language) -> str:
    """How much was measured, with its unit: `12,3 mm`, `45,0°`, `0,47`, `ort. 45,2 ± 3,1 HU`.

    Empty of an arrow and of a text.
    """
    found = {item.kind: item for item in measurement.figures}
    if (mean := found.get(FigureKind.MEAN)) is None:
        return next((figure_words(item, language) for item in measurement.figures), "")
    deviation = figure_words(found[FigureKind.DEVIATION], language)
    return translate("mean {mean} ± {deviation}", language, mean=_number(mean, language), deviation=deviation)


def figure_words(figure: Figure, language: Language) -> str:
    """A number with its unit, as people write it."""
    number = _number(figure, language)
    if figure.unit is MeasurementUnit.DEGREE:
        return f"{number}°"
    unit = {
        MeasurementUnit.PIXEL: translate("pixels", language),
        MeasurementUnit.GREY: translate("grey", language),
        MeasurementUnit.HOUNSFIELD: "HU",
        MeasurementUnit.SQUARE_MILLIMETRE: "mm²",
        MeasurementUnit.MILLIMETRE: "mm",
    }.get(figure.unit)
    return number if unit is None else f"{number} {unit}"


def _number(figure: Figure, language: Language) -> str:
    number = f"{figure.rounded:.{figure.decimals}f}"
    return number.replace(".", ",") if language is Language.TR else number


def measured_words(measurement: Measurement, language: Language) -> str:
    """How far a measurement is to be trusted, and in which image it was made; empty where nothing is to say.

    An angle and a ratio are the same at the detector and in the patient.
    """
    parts = []
    if measurement.image.earlier:
        day = date_words(measurement.image.study_date)
        parts.append(
            translate("earlier image, {day}", language, day=day)
            if day
            else translate("earlier image", language)
        )
    words = {item.kind.value: figure_words(item, language) for item in measurement.figures}
    if measurement.kind is MeasurementKind.CARDIOTHORACIC:
        parts.append(translate("heart {heart}, thorax {thorax}", language, **words))
        parts.append(translate("up to 0.50 is normal on an adult's PA film", language))
    if measurement.kind.is_region:
        parts.append(translate("{minimum} to {maximum}; area {area}", language, **words))
    if measurement.kind is MeasurementKind.LENGTH or measurement.kind.is_region:
        parts.append(
            _PLANES[measurement.image.plane if measurement.calibrated else None].in_language(language)
        )
    return "; ".join(parts)


def measured_name(measurement: Measurement, language: Language) -> str:
    """The radiologist's name for it, else what it is."""
    return one_line(measurement.label) or _KINDS[measurement.kind].in_language(language)


def heatmap_words(document: ReportDocument) -> str:
    language, label = document.draft.language, document.heatmap_label
    caution = translate("Where the model looked, not where the disease is.", language)
    return caution if label is None else f"{label_name(label, language)}. {caution}"


def patient_name(name: str | None) -> str:
    """DICOM's `FAMILY^GIVEN^MIDDLE` as it is spoken: given names first (PS3.5, section 6.2.1.1)."""
    parts = [part.strip() for part in (name or "").split("=")[0].split("^")]
    family, given = parts[0], " ".join(part for part in parts[1:3] if part)
    prefix, suffix = (parts[3] if len(parts) > 3 else ""), (parts[4] if len(parts) > 4 else "")
    return " ".join(part for part in (prefix, given, family, suffix) if part)


def moment_words(moment: datetime) -> str:
    """A moment with its zone, such as `04.03.2026 08:06 (UTC+3)`."""
    minutes = round((moment.utcoffset() or timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    zone = f"{'-' if minutes < 0 else '+'}{hours}{f':{rest:02d}' if rest else ''}" if minutes else ""
    return f"{moment:%d.%m.%Y %H:%M} (UTC{zone})"


def number_words(value: float, language: Language) -> str:
    """Two digits that count, with the language's decimal sign."""
    text = f"{value:.2g}" if value >= 0.001 else "0"
    return text.replace(".", ",") if language is Language.TR else text


def percent_words(share: float, language: Language) -> str:
    """A share of one as a percentage: whole from ten per cent on, one decimal below."""
    percent = share * 100
    text = f"{percent:.0f}" if percent >= 9.95 else f"{percent:.1f}"
    return f"%{text.replace('.', ',')}" if language is Language.TR else f"{text}%"


def date_words(text: str | None) -> str:
    """DICOM's `YYYYMMDD` as `DD.MM.YYYY`; anything else as it is."""
    day = calendar_date(text)
    return day.strftime("%d.%m.%Y") if day is not None else (text or "").strip()
