"""The parts of a report that every document shows, each with its label, its text and its codes.

A field that is added to `ReportContent` becomes a part here, and stands in all five documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from enum import StrEnum
from types import MappingProxyType

from tetkik.language import Language, Sentence, translate
from tetkik.report.labeler.read import read_report
from tetkik.report.labeler.rules import Context, Polarity
from tetkik.values.common import DISCLAIMER, one_line
from tetkik.values.document import Hospital, ReportDocument, ReportState, WithdrawalReason
from tetkik.values.finding import Finding
from tetkik.values.finding_labels import FINDING_LABELS, NORMAL_LABELS, REGISTRY, Code, label_name
from tetkik.values.measurement import Figure, FigureKind, Measurement, MeasurementKind, MeasurementUnit
from tetkik.values.radiograph import Identity, Sex, SpacingPlane
from tetkik.values.report import BasisKind, Draft, DraftSentence, Passage, ReportContent, Section, Side
from tetkik.values.states import Judgement

# What documents read from a report's values, cleaned: a file may say anything of its patient.


_UID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+", re.ASCII)
_LONGEST_UID = 64


def calendar_date(text: str | None) -> date | None:
    """DICOM's `YYYYMMDD`; None for anything that is no day of the calendar."""
    digits = (text or "").strip()
    if len(digits) != len("YYYYMMDD") or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def dicom_date(text: str | None) -> str:
    """The same day as `YYYYMMDD`, or empty."""
    day = calendar_date(text)
    return f"{day:%Y%m%d}" if day is not None else ""


def valid_uid(text: str | None) -> str | None:
    """A DICOM UID (PS3.5, section 9.1); None for anything else."""
    uid = (text or "").strip()
    return uid if len(uid) <= _LONGEST_UID and _UID.fullmatch(uid) else None


def family_and_given(name: str) -> tuple[str, str]:
    """A name as people write it, parted: the last word is taken for the family's."""
    words = name.split()
    return (words[-1], " ".join(words[:-1])) if words else ("", "")


# What a report says of each label: the radiologist's word where they gave one, the model's where not.
#
# Every format that codes findings starts here, so that none of them calls present what a radiologist
# rejected.
# The model's own answer stays beside it, as the model's.


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said of one label; whether it is there a radiologist's judgement decides, else the model."""

    label: str
    present: bool
    judgement: Judgement | None  # None where no radiologist judged it
    finding: Finding | None  # what the model said; None where it did not assess the label
    side: Side | None  # where it is, if it is there and that was measured


def statements(document: ReportDocument) -> tuple[Statement, ...]:
    """All that a document may code: of a draft what the model may say and what a radiologist judged.

    Of a signed report what its sentences say, and nothing else: there, where one states it, whoever found it;
    not there, where a radiologist judged it and one denies it.

    Normality beside something that is there is left out, unless the radiologist rejected it: no document
    contradicts itself.
    """
    judged = {item.label: item.judgement for item in document.judgements}
    findings = () if document.result is None else document.result.findings
    known = {item.label: item if item.assessed else None for item in findings}
    polarities = _text_polarities(document.draft) if document.signature is not None else {}
    added = [label for label in dict.fromkeys((*judged, *polarities)) if label not in known]
    added.sort(key=lambda label: FINDING_LABELS.index(label) if label in FINDING_LABELS else -1)
    stated = []
    for label in (*known, *added):
        finding, judgement = known.get(label), judged.get(label)
        present = _present(finding, judgement)
        side = _side(document, label)
        if document.signature is not None:
            polarity, side = polarities.get(label, (None, None))
            present = _present_by(polarity, present if label in judged else None)
            judgement = _judgement_by(finding, judgement, present)
        if present is not None:
            side = side if present else None
            stated.append(Statement(label, present, judgement, finding, side))
    ill = any(item.present and item.label not in NORMAL_LABELS for item in stated)
    return tuple(
        item
        for item in stated
        if not ill or item.label not in NORMAL_LABELS or item.judgement is Judgement.REJECTED
    )


def _present(finding: Finding | None, judgement: Judgement | None) -> bool | None:
    """Whether a label is there; None where nobody may say."""
    if judgement is Judgement.ADDED:
        return True
    if judgement is Judgement.REJECTED:
        return False
    if finding is None:
        return None
    if judgement is Judgement.ACCEPTED:
        return finding.positive
    return finding.asserted if finding.asserted or finding.rules_out else None


_WEIGHT = (Polarity.ABSENT, Polarity.UNCERTAIN, Polarity.PRESENT)
_LEANS = MappingProxyType({BasisKind.FINDING: Polarity.PRESENT, BasisKind.ABSENCE: Polarity.ABSENT})


def _text_polarities(draft: Draft) -> dict[str, tuple[Polarity, Side | None]]:
    """What the sentences of a report say of each label, and its side: what is stated first.

    A label that only one model has is known by the evidence of its sentences.
    """
    polarities: dict[str, tuple[Polarity, Side | None]] = {}
    for sentence in (*draft.section(Section.FINDINGS), *draft.section(Section.IMPRESSION)):
        read = [
            (item.label, item.polarity, item.side)
            for reading in read_report(sentence.text, draft.language)
            for item in reading.mentions
            if item.context is Context.CURRENT and not item.implied and item.label in REGISTRY
        ]
        read += [
            (basis.key, _LEANS[basis.kind], basis.side)
            for basis in draft.evidence
            if basis.id in sentence.evidence and basis.kind in _LEANS and basis.key not in REGISTRY
        ]
        for label, polarity, side in read:
            before, known = polarities.get(label, (polarity, side))
            stronger = max(before, polarity, key=_WEIGHT.index)
            polarities[label] = stronger, known or side if stronger is before else side
    return polarities


def _present_by(polarity: Polarity | None, judged: bool | None) -> bool | None:
    """Whether a signed report says that a label is there; of a doubt its radiologist's judgement decides."""
    if polarity is Polarity.PRESENT or (polarity is Polarity.UNCERTAIN and judged):
        return True
    return False if polarity is Polarity.ABSENT and judged is not None else None


def _judgement_by(finding: Finding | None, judged: Judgement | None, present: bool | None) -> Judgement:
    """What a signed sentence makes of the model's answer; accepted is only what was."""
    positive = finding is not None and finding.positive
    if present:
        return Judgement.ACCEPTED if positive and judged is Judgement.ACCEPTED else Judgement.ADDED
    return Judgement.REJECTED if positive else Judgement.ACCEPTED


def _side(document: ReportDocument, label: str) -> Side | None:
    """Where it is, as far as the draft's evidence says."""
    wanted = (BasisKind.FINDING, label)
    return next((item.side for item in document.draft.evidence if (item.kind, item.key) == wanted), None)


# What every document says in the same words: headings, states, the parts around a report.


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


def replaced_words(document: ReportDocument) -> tuple[str, ...]:
    """Which version the report takes the place of, of when, and why; nothing where it is the first."""
    old, language = document.replaces, document.draft.language
    if old is None:
        return ()
    replaces = translate(
        "Replaces version {number} of {when}.", language, number=old.number, when=moment_words(old.signed_at)
    )
    why = translate("Reason of the amendment: {reason}", language, reason=one_line(old.reason))
    return (replaces, why) if old.reason else (replaces,)


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


# Whose report it is and what it is about, once for all documents: numbers, age, times, who referred.


NATIONAL_OID = "2.16.840.1.113883.3.129.1.1.1"
"""Of Turkish identity numbers: the root that the Ministry of Health's HL7 v3 messages (Sağlık-NET) give the
identity numbers of persons; docs/how-to/documents.md says where it was found."""
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d)?([0-5]\d)?(?:\.\d{1,6})?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d)([0-5]\d)", re.ASCII)
_INFANT_DAYS, _INFANT_MONTHS = 28, 24
_OLDEST = 130


class NumberKind(StrEnum):
    """Identifier types of HL7 v2 (table 0203)."""

    NATIONAL = "NNTUR"
    """National person identifier, of Turkey."""
    HOSPITAL = "PI"
    """Patient internal identifier."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number of the patient, and under whose authority it is unique."""

    value: str
    kind: NumberKind
    authority: str
    oid: str

    @property
    def assigned(self) -> bool:
        """Whether it is said who assigns it."""
        return bool(self.authority or self.oid)


class AgeUnit(StrEnum):
    """Units of an age, as DICOM's AS writes them (PS3.5, section 6.2)."""

    YEARS = "Y"
    MONTHS = "M"
    DAYS = "D"


@dataclass(frozen=True, slots=True)
class PatientAge:
    """At the examination: days in the first four weeks, months up to two years, then years."""

    count: int
    unit: AgeUnit

    @property
    def dicom(self) -> str:
        return f"{min(self.count, 999):03d}{self.unit}"

    def in_language(self, language: Language) -> str:
        if self.unit is AgeUnit.DAYS:
            return translate("{n} days old", language, n=self.count)
        if self.unit is AgeUnit.MONTHS:
            return translate("{n} months old", language, n=self.count)
        return translate("{n} years old", language, n=self.count)


def identifiers_of(identity: Identity, hospital: Hospital) -> tuple[Identifier, ...]:
    """Every number that is known, the one first that a DICOM object has as its Patient ID."""
    number, national = one_line(identity.patient_id or ""), one_line(identity.national_id or "")
    own = Identifier(number, NumberKind.HOSPITAL, one_line(hospital.authority), hospital.oid)
    known = (own, Identifier(national, NumberKind.NATIONAL, "TCKN", NATIONAL_OID))
    return tuple(item for item in known if item.value)


def age_at(identity: Identity, created: datetime) -> PatientAge | None:
    """On the day of the examination, else of the report; by the birth date where that is known."""
    born, seen = calendar_date(identity.birth_date), calendar_date(identity.study_date) or created.date()
    if born is None or born > seen:
        years = identity.age_years
        if born is not None or years is None or not 0 <= years < _OLDEST:
            return None
        days, months = round(years * 365.2425), int(years * 12 + 1e-6)
        if days < _INFANT_DAYS:
            return PatientAge(days, AgeUnit.DAYS)
        return (
            PatientAge(months, AgeUnit.MONTHS)
            if months < _INFANT_MONTHS
            else PatientAge(int(years), AgeUnit.YEARS)
        )
    months = (seen.year - born.year) * 12 + seen.month - born.month - (seen.day < born.day)
    if (seen - born).days < _INFANT_DAYS:
        return PatientAge((seen - born).days, AgeUnit.DAYS)
    if months < _INFANT_MONTHS:
        return PatientAge(months, AgeUnit.MONTHS)
    return PatientAge(months // 12, AgeUnit.YEARS) if months < _OLDEST * 12 else None


def age_of(document: ReportDocument) -> PatientAge | None:
    """The age that a document states."""
    return age_at(document.identity, document.created)


def examined_at(identity: Identity, hospital: Hospital) -> datetime | date | None:
    """When the image was made: a moment by the hospital's clocks, a day where no time is known, or None."""
    day, found = calendar_date(identity.study_date), _TIME.fullmatch((identity.study_time or "").strip())
    if day is None or found is None:
        return day
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    at = datetime.combine(day, time(hours, minutes, seconds))
    zone = _OFFSET.fullmatch((identity.study_offset or "").strip())
    if zone is None:
        return at.replace(tzinfo=hospital.local(datetime.now().astimezone()).tzinfo)
    offset = timedelta(hours=int(zone[2]), minutes=int(zone[3])) * (-1 if zone[1] == "-" else 1)
    if abs(offset) > timedelta(hours=14):
        return day
    return hospital.local(at.replace(tzinfo=timezone(offset)))


# Codes in standard terminologies: only those that are certain; the rest are our own words.


SNOMED = MappingProxyType(
    {label: known.snomed for label, known in REGISTRY.items() if known.snomed is not None}
)
"""SNOMED CT by shared label, for the labels that it has an equal concept for."""

OWN_SCHEME = "99TETKIK"
"""Our own words: the shared labels, and what no standard code says. DICOM keeps `99` for private schemes."""

OWN_CALIBRATED = Code("PROBABILITY", "Calibrated probability")
"""DICOM has none: `Probability of cancer` is about cancer, and `Certainty of Finding` is not calibrated."""

OWN_JUDGEMENT = Code("JUDGEMENT", "Judgement of the radiologist")
OWN_JUDGEMENTS = MappingProxyType(
    {
        Judgement.ACCEPTED: Code("ACCEPTED", "Accepted by the radiologist as the model said it"),
        Judgement.REJECTED: Code("REJECTED", "Rejected by the radiologist"),
        Judgement.ADDED: Code("ADDED", "Added by the radiologist"),
        None: Code("NOT_JUDGED", "Not judged by the radiologist: the model alone says it"),
    }
)
"""What became of the model's statement; a radiologist's word on a model's has no standard code."""

OWN_PLANES = MappingProxyType(
    {
        SpacingPlane.PATIENT: Code("IN_PATIENT", "In the patient"),
        SpacingPlane.DETECTOR: Code("AT_DETECTOR", "At the detector: larger than in the patient"),
        SpacingPlane.UNSTATED: Code("PLANE_UNKNOWN", "At the detector or in the patient: not stated"),
        None: Code("NOT_CALIBRATED", "Not calibrated"),
    }
)
"""How a length was calibrated (PS3.3, section 10.7.1.3), for which there are attributes and no concepts."""

SIDES = MappingProxyType(
    {
        Side.LEFT: Code("7771000", "Left"),
        Side.RIGHT: Code("24028007", "Right"),
        Side.BOTH: Code("51440002", "Bilateral"),
    }
)
"""In SNOMED CT: the concepts of DICOM's CID 244, Laterality."""

MEASURES = MappingProxyType(
    {
        FigureKind.LENGTH: (Code("410668003", "Length"), "SCT"),
        FigureKind.ANGLE: (Code("1483009", "Angle"), "SCT"),
        FigureKind.COBB: (Code("285285000", "Cobb angle"), "SCT"),
        FigureKind.CARDIOTHORACIC: (Code("CARDIOTHORACIC_RATIO", "Cardiothoracic ratio"), OWN_SCHEME),
        FigureKind.HEART: (Code("HEART_WIDTH", "Transverse diameter of the heart"), OWN_SCHEME),
        FigureKind.THORAX: (Code("THORAX_WIDTH", "Transverse inner diameter of the thorax"), OWN_SCHEME),
        FigureKind.AREA: (Code("42798000", "Area"), "SCT"),
    }
)
"""What a figure says, with its scheme. LOINC has ratios of the heart to the thorax in fetal echocardiography
alone, by area and by circumference; the one of diameters on a radiograph has no code that is certain."""

ATTENUATION = (Code("112031", "Attenuation Coefficient"), "DCM")
"""Of which the Hounsfield units of a region are."""
OWN_GREY = (Code("GREY_VALUE", "Grey value after the modality transformation"), OWN_SCHEME)

DERIVATIONS = MappingProxyType(
    {
        FigureKind.MEAN: Code("373098007", "Mean"),
        FigureKind.DEVIATION: Code("386136009", "Standard Deviation"),
        FigureKind.MINIMUM: Code("255605001", "Minimum"),
        FigureKind.MAXIMUM: Code("56851009", "Maximum"),
    }
)
"""Of what the pixels of a region have, in SNOMED CT (CID 7464)."""


def measure_of(kind: FigureKind, unit: MeasurementUnit) -> tuple[Code, str]:
    """What a figure says, and the scheme of the code; of a region's values, whatever is derived of them."""
    if kind in DERIVATIONS:
        return ATTENUATION if unit is MeasurementUnit.HOUNSFIELD else OWN_GREY
    return MEASURES[kind]


AGE = Code("30525-0", "Age")
"""In LOINC."""
AGE_UNITS = MappingProxyType(
    {AgeUnit.YEARS: Code("a", "year"), AgeUnit.MONTHS: Code("mo", "month"), AgeUnit.DAYS: Code("d", "day")}
)
"""In UCUM."""
OWN_NUMBER = Code("REPORT_NUMBER", "Report number")
OWN_DEPARTMENT = Code("REFERRING_DEPARTMENT", "Referring department")
OWN_VERIFICATION = Code("VERIFICATION", "SHA-256 of the report")


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, or a row of a list."""

    text: str
    objections: tuple[str, ...] = ()  # what the grounding check says against it and nobody has decided
    cells: tuple[str, ...] = ()  # the same as the cells of a row, for documents that have tables


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """A part of a report under its heading.

    Attributes:
        loinc: what HL7 v2 sends its text under; None where its values are sent with codes of their own.
    """

    name: str  # what a page finds it by: a section's, or `measured`
    label: str
    lines: tuple[Line, ...]  # sentences that are read as one paragraph; of a list its rows
    numbered: bool = False  # whether it is a list
    loinc: Code | None = None
    dicom: Code | None = None

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)


# LOINC as DICOM PS3.20 names the parts of an imaging report; DCM of CID 7002, Imaging Report Element.
_CODES = MappingProxyType(
    {
        Section.TECHNIQUE: (
            Code("55111-9", "Current imaging procedure descriptions"),
            Code("121065", "Procedure Description"),
        ),
        Section.FINDINGS: (Code("59776-5", "Procedure findings"), Code("121071", "Finding")),
        Section.IMPRESSION: (
            Code("19005-8", "Radiology Imaging study [Impression]"),
            Code("121073", "Impression"),
        ),
        Section.RECOMMENDATION: (
            Code("18783-1", "Radiology Study recommendation"),
            Code("121075", "Recommendation"),
        ),
    }
)


_SEXES = MappingProxyType({Sex.FEMALE: Sentence("Female"), Sex.MALE: Sentence("Male")})
_NUMBERS = MappingProxyType(
    {NumberKind.NATIONAL: "Turkish identity number", NumberKind.HOSPITAL: "Hospital number"}
)


def about(document: ReportDocument, labels: Language | None = None) -> dict[str, tuple[str, str]]:
    """Whose report it is and what it is about: by name, in reading order, the label and what it says.

    What is not known is left out; `labels` is another language than the draft's. Documents of fields and
    codes have the same from `particulars`.
    """
    identity, language = document.identity, labels or document.draft.language
    numbers = {item.kind: item.value for item in identifiers_of(identity, document.hospital)}
    sex = _SEXES[identity.sex].in_language(language) if identity.sex and identity.sex in _SEXES else ""
    age = age_of(document)
    years = "" if age is None else age.in_language(language)
    examined = examined_at(identity, document.hospital)
    day = date_words(identity.study_date)
    when = moment_words(examined) if isinstance(examined, datetime) else day
    rows = {
        "patient": ("Patient", patient_name(identity.patient_name)),
        "national": (_NUMBERS[NumberKind.NATIONAL], numbers.get(NumberKind.NATIONAL, "")),
        "hospital": (_NUMBERS[NumberKind.HOSPITAL], numbers.get(NumberKind.HOSPITAL, "")),
        "born": ("Date of birth", date_words(identity.birth_date)),
        "sex": ("Sex, age", ", ".join(filter(None, (sex, years)))),
        "examined": ("Date of study", when),
        "accession": ("Accession number", identity.accession or ""),
        "number": ("Report number", document.number),
        "referrer": ("Referring physician", patient_name(identity.referrer)),
        "department": ("Referring department", document.department),
    }
    return {name: (translate(label, language), words) for name, (label, words) in rows.items() if words}


def cited(document: ReportDocument) -> tuple[Passage, ...]:
    """The passages that a sentence cites."""
    draft = document.draft
    used = {key for sentence in draft.sentences for key in sentence.evidence}
    return tuple(item for item in draft.passages if f"passage:{item.id}" in used)


def parts_of(content: ReportContent, headings: Language | None = None) -> tuple[DocumentPart, ...]:
    """The parts in reading order, those without a line left out; `headings` is another language of labels."""
    return tuple(part for part in _parts(content, headings or content.draft.language) if part.lines)


def _parts(content: ReportContent, headings: Language) -> Iterator[DocumentPart]:
    draft, language = content.draft, content.draft.language
    for section, (loinc, dicom) in _CODES.items():
        lines = tuple(Line(item.text, objections(item, language)) for item in draft.section(section))
        yield DocumentPart(section, heading(section, headings), lines, loinc=loinc, dicom=dicom)
    measured = tuple(_measured(item, language) for item in content.measured)
    yield DocumentPart("measured", translate("Measurements", headings), measured, numbered=True)


def _measured(item: Measurement, language: Language) -> Line:
    name, amount = measured_name(item, language), measurement_words(item, language)
    about = measured_words(item, language)
    text = f"{name}: {amount} ({about})" if about else f"{name}: {amount}"
    return Line(text, cells=(name, amount, about))
