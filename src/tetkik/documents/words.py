"""What every document says in the same words: headings, states, the parts around a report."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import MappingProxyType

from tetkik.documents.fields import calendar_date
from tetkik.language import Language, Sentence, translate
from tetkik.values import DISCLAIMER, DraftSentence, ReportDocument, ReportState, Section, label_name

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
    }
)


def heading(section: Section, language: Language) -> str:
    """The name of a part of a report."""
    return _SECTIONS[section].in_language(language)


def state_words(document: ReportDocument) -> str:
    """How far the report is, in its own language; an exercise says that it is about no patient."""
    language = document.draft.language
    if document.draft.exercise:
        return translate("Exercise: about no patient", language)
    return _STATES[document.state].in_language(language)


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


def heatmap_words(document: ReportDocument) -> str:
    """What stands under a heatmap."""
    language, label = document.draft.language, document.heatmap_label
    heed = translate("Where the model looked, not where the disease is.", language)
    return heed if label is None else f"{label_name(label, language)}. {heed}"


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
