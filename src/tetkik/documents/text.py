"""A report as plain text, for terminals, e-mail and systems that know nothing else."""

from __future__ import annotations

import textwrap

from tetkik.documents.words import (
    WITHDRAWN,
    date_words,
    disclaimer,
    heading,
    judged_words,
    measured_name,
    measured_words,
    measurement_words,
    moment_words,
    objections,
    patient_name,
    state_words,
    withdrawal_words,
)
from tetkik.language import translate
from tetkik.values import ReportDocument, Section

_WIDTH = 92


def to_text(document: ReportDocument) -> bytes:
    """The report as UTF-8 with lines of at most 92 characters.

    Args:
        document: of any state.
    """
    draft = document.draft
    language = draft.language
    lines = [line for line in (document.hospital.name, document.hospital.department) if line]
    lines += _withdrawn(document)
    lines += [state_words(document).upper() if language == "en" else state_words(document), ""]
    lines += _about(document)
    for notice in draft.notices:
        lines += [*_wrapped(f"! {notice.in_language(language)}"), ""]
    for section in Section:
        sentences = draft.section(section)
        if sentences:
            title = heading(section, language)
            lines += [title, "-" * len(title), *_wrapped(" ".join(item.text for item in sentences))]
            lines += [
                line
                for item in sentences
                for words in objections(item, language)
                for line in _wrapped(f"! {words}")
            ]
            lines.append("")
    lines += _measurements(document)
    judged = judged_words(document)
    if judged:
        lines += [*(line for words in judged for line in _wrapped(words)), ""]
    if draft.passages:
        title = translate("Sources", language)
        lines += [title, "-" * len(title)]
        lines += [line for item in draft.passages for line in _wrapped(f"* {item.source}", "  ")]
        lines.append("")
    signed = document.signature
    if signed is not None:
        who = " ".join(part for part in (signed.title, signed.name, signed.registration) if part)
        lines += [who, moment_words(signed.signed_at), ""]
    lines += _wrapped(f"{translate('Verification', language)}: {document.verification}")
    lines += _wrapped(disclaimer(language))
    return ("\n".join(_plain(line) for line in lines) + "\n").encode("utf-8")


def _withdrawn(document: ReportDocument) -> list[str]:
    """Before everything else: that nobody may go by what follows; nothing where the report stands."""
    told = [line for words in withdrawal_words(document) for line in _wrapped(words)]
    return ["", f"*** {WITHDRAWN} ***", *told, ""] if told else []


def _about(document: ReportDocument) -> list[str]:
    """Whose report it is; empty for a file without a patient."""
    language, identity = document.draft.language, document.identity
    rows = (
        (translate("Patient", language), patient_name(identity.patient_name)),
        (translate("Hospital number", language), identity.patient_id or ""),
        (translate("Date of birth", language), date_words(identity.birth_date)),
        (translate("Date of study", language), date_words(identity.study_date)),
        (translate("Accession number", language), identity.accession or ""),
    )
    told = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in told), default=0)
    lines = [f"{name:<{width}}  {value}" for name, value in told]
    return [*lines, ""] if lines else []


def _measurements(document: ReportDocument) -> list[str]:
    """A line for each measurement, and where it holds."""
    language = document.draft.language
    if not document.measurements:
        return []
    title = translate("Measurements", language)
    lines = [title, "-" * len(title)]
    for number, item in enumerate(document.measurements, 1):
        about = measured_words(item, language)
        said = f"{number}. {measured_name(item, language)}: {measurement_words(item, language)}"
        lines += _wrapped(f"{said} ({about})" if about else said, "   ")
    return [*lines, ""]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_long_words=False)


def _plain(line: str) -> str:
    """Printable characters only: a name with control characters must not speak to a terminal."""
    return "".join(char for char in line if char.isprintable())
