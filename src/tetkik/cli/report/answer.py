"""A draft on the terminal: the sentences as they will be read, and beneath each what it leans on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.text import Text

from tetkik.cli.console import language, out, shown, t, word
from tetkik.cli.findings.answer import percent_of
from tetkik.documents.parts import heading
from tetkik.values import (
    DISCLAIMER,
    Basis,
    BasisKind,
    Draft,
    DraftSentence,
    Mark,
    Section,
    label_name,
)

_WIDEST = 100
"""A longer line is hard to read, however wide the terminal."""
_NARROWEST = 16
_SENTENCE, _BENEATH = 2, 4
_NAMED = frozenset({BasisKind.FINDING, BasisKind.ABSENCE, BasisKind.PRIOR})
"""Kinds whose key is a label."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the sentences of a draft may cite, by the id that they cite it by; nothing for a bare text."""

    bases: Mapping[str, Basis] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, draft: Draft) -> _Evidence:
        places = {source: place for place, source in enumerate(_sources(draft), 1)}
        numbers = {f"{BasisKind.PASSAGE}:{passage.id}": places[passage.source] for passage in draft.passages}
        return cls({basis.id: basis for basis in draft.evidence}, numbers)


def show_draft(draft: Draft, *, disclaimer: bool = True) -> None:
    """State, notices, the parts with their sentences, the sources, and what stands in a signature's way."""
    words = "Exercise: about no patient" if draft.exercise else "Draft: not signed by a radiologist"
    out.print(Text(f" {t(words)} ", style="black on yellow"))
    for notice in draft.notices:
        _say(Text(shown(notice.in_language(language()))), "! ", style="yellow")
    evidence = _Evidence.of(draft)
    for section in Section:
        sentences = draft.section(section)
        if sentences:
            out.print()
            out.print(Text(heading(section, draft.language), style="bold cyan"))
            _show(sentences, evidence)
    if draft.passages:
        out.print()
        out.print(Text(t("Sources"), style="bold cyan"))
        for place, source in enumerate(_sources(draft), 1):
            _say(Text(shown(source)), f"  [{place}] ", style="dim")
    out.print()
    if draft.open_marks:
        warning = t("Marks that wait for a person: {count}. Nobody can sign before.", count=draft.open_marks)
        _say(Text(warning), "✗ ", style="bold red")
    writer = t("the built-in composer") if draft.writer == "composer" else draft.writer
    _say(Text(t("Written by: {writer}.", writer=writer)), style="dim")
    if draft.model:
        _say(Text(t("Findings by: {model}.", model=draft.model)), style="dim")
    if disclaimer:
        _say(Text(t(DISCLAIMER["en"])), style="dim")


def show_sentences(sentences: Sequence[DraftSentence]) -> None:
    """Each sentence of a text, and what the grounding check says against it."""
    _show(sentences, _Evidence())


def _show(sentences: Sequence[DraftSentence], evidence: _Evidence) -> None:
    for sentence in sentences:
        if sentence.marks:
            _say(_marked(sentence), "✗ ", style="bold red")
        else:
            _say(Text(shown(sentence.text)), " " * _SENTENCE)
        reference = _leaning(sentence, evidence)
        if reference:
            _say(Text(reference), " " * _BENEATH + "↳ ", style="dim")
        for mark in sentence.marks:
            _say(_objection(sentence, mark), " " * _BENEATH + "! ", style="red")


def _sources(draft: Draft) -> list[str]:
    """The references, each once, in the order in which they are numbered: that of the sentences."""
    known = {f"{BasisKind.PASSAGE}:{passage.id}": passage.source for passage in draft.passages}
    cited = (known[name] for sentence in draft.sentences for name in sentence.evidence if name in known)
    return list(dict.fromkeys((*cited, *known.values())))


def _leaning(sentence: DraftSentence, evidence: _Evidence) -> str:
    """What a sentence leans on, by kind; an id that stands for nothing is shown as it is cited."""
    groups: dict[BasisKind | str, list[str]] = {}
    for name in sentence.evidence:
        basis = evidence.bases.get(name)
        if name in evidence.numbers:
            groups.setdefault(BasisKind.PASSAGE, []).append(f"[{evidence.numbers[name]}]")
        elif basis is None:
            groups.setdefault(f"{shown(name)} ?", [])
        else:
            groups.setdefault(basis.kind, []).extend(_named(basis, sentence))
    parts = []
    for kind, names in groups.items():
        called = word("evidence", kind) if isinstance(kind, BasisKind) else kind
        parts.append(f"{called}: {', '.join(dict.fromkeys(names))}" if names else called)
    return " · ".join(parts)


def _named(basis: Basis, sentence: DraftSentence) -> list[str]:
    """The label of a basis with its figure, its word and its side; nothing for what has no label."""
    if basis.kind not in _NAMED or basis.key == "image":
        return []
    name = shown(label_name(basis.key, language()))
    if basis.kind is not BasisKind.FINDING:
        return [name]
    if basis.side is not None:
        name += " " + word("side", basis.side)
    if basis.probability is not None:
        name += " " + t("{percent}%", percent=percent_of(basis.probability))
    if sentence.certainty is not None:
        name += f" ({word('certainty', sentence.certainty)})"
    return [name]


def _marked(sentence: DraftSentence) -> Text:
    """The sentence with the words that are objected to underlined."""
    text = Text(shown(sentence.text))
    for mark in sentence.marks:
        text.stylize("underline", mark.start, mark.end)
    return text


def _objection(sentence: DraftSentence, mark: Mark) -> Text:
    words = " ".join(shown(sentence.text[mark.start : mark.end]).split())
    reason = shown(mark.reason.in_language(language()))
    text = Text(f"“{words}”: {reason}" if words else reason)
    if mark.decision is not None:
        text.append(f" ({word('decision', mark.decision)})")
    return text


def _say(text: Text, first: str = "", *, style: str = "") -> None:
    """A text in lines that are short enough to read, `first` before it and as much room before the others."""
    width = max(_NARROWEST, min(out.width, _WIDEST) - len(first))
    for number, line in enumerate(text.wrap(out, width)):
        line.rstrip()
        out.print(
            Text(first if number == 0 else " " * len(first)).append_text(line), style=style, soft_wrap=True
        )
