"""A report as plain text, for terminals, e-mail and systems that know nothing else."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from tetkik.documents.parts import (
    WITHDRAWN,
    DocumentPart,
    about,
    cited,
    disclaimer,
    judged_words,
    moment_words,
    not_assessed_words,
    parts_of,
    replaced_words,
    state_words,
    withdrawal_words,
)
from tetkik.language import translate
from tetkik.values import ReportDocument

_WIDTH = 92


def to_text(document: ReportDocument) -> bytes:
    """The report as UTF-8 with lines of at most 92 characters."""
    draft = document.draft
    language = draft.language
    lines = [line for line in (document.hospital.name, document.hospital.department) if line]
    lines += _withdrawn(document)
    lines += [state_words(document).upper() if language == "en" else state_words(document)]
    lines += [*(line for words in replaced_words(document) for line in _wrapped(words)), ""]
    lines += _about(document)
    for notice in draft.notices:
        lines += [*_wrapped(f"! {notice.in_language(language)}"), ""]
    for part in parts_of(document.content):
        lines += [*_part(part), ""]
    judged = judged_words(document)
    if judged:
        lines += [*(line for words in judged for line in _wrapped(words)), ""]
    if sources := cited(document):
        title = translate("Sources", language)
        lines += [title, "-" * len(title)]
        lines += [line for item in sources for line in _wrapped(f"* {item.source}", "  ")]
        lines.append("")
    signed = document.signature
    if signed is not None:
        who = " ".join(part for part in (signed.title, signed.name, signed.registration) if part)
        lines += [who, moment_words(signed.signed_at), ""]
    lines += _wrapped(not_assessed_words(draft))
    lines += _wrapped(f"{translate('Verification', language)}: {document.verification}")
    lines += _wrapped(disclaimer(language))
    # A name with control characters must not speak to a terminal.
    plain = ("".join(filter(str.isprintable, line)) for line in lines)
    return ("\n".join(plain) + "\n").encode("utf-8")


def _withdrawn(document: ReportDocument) -> list[str]:
    """Before everything else: that nobody may go by what follows; nothing where the report stands."""
    wrapped = [line for words in withdrawal_words(document) for line in _wrapped(words)]
    return ["", f"*** {WITHDRAWN} ***", *wrapped, ""] if wrapped else []


def _about(document: ReportDocument) -> list[str]:
    filled = [row for name, row in about(document).items()]
    width = max((len(name) for name, _ in filled), default=0)
    lines = [f"{name:<{width}}  {value}" for name, value in filled]
    return [*lines, ""] if lines else []


def _part(part: DocumentPart) -> Iterator[str]:
    yield from (part.label, "-" * len(part.label))
    if part.numbered:
        for number, line in enumerate(part.lines, 1):
            yield from _wrapped(f"{number}. {line.text}", "   ")
    else:
        yield from _wrapped(part.text)
    for words in (words for line in part.lines for words in line.objections):
        yield from _wrapped(f"! {words}")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent=indent, break_long_words=False)
