"""The rules of one language, read from its files and compiled once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from tetkik.language import Language
from tetkik.report.labeler.phrases import Lexicon, Value
from tetkik.report.labeler.reading import Polarity
from tetkik.report.labeler.slips import SlipCorrector
from tetkik.turkish import flat
from tetkik.values import FINDING_LABELS

OTHER_LABELS: tuple[str, ...] = (
    "Lung_Opacity",
    "Enlarged_Mediastinum",
    "Fracture",
    "Support_Devices",
    "Acute_Disease",
)
"""What a report may assert beside the shared labels and no model here assesses; `Acute_Disease` is the
sweeping *no acute abnormality*."""

_KEPT = 8192
_ENDING = 3
_WORD = re.compile(r"[a-z]{4,}")
KNOWN_LABELS = frozenset(FINDING_LABELS + OTHER_LABELS)


class Cue(StrEnum):
    """What words around a mention do to it; `_before` acts on what follows, `_after` on what went before."""

    ASSERT = "assert"
    """A predicate that affirms: *izlenmektedir*."""
    DENY_BEFORE = "deny_before"
    DENY_AFTER = "deny_after"
    DENY_AROUND = "deny_around"
    """Directly before what it denies, or after it: *resolved*."""
    DOUBT_BEFORE = "doubt_before"
    DOUBT_OVER = "doubt_over"
    """A doubt over everything to the end of the clause: *may represent*."""
    DOUBT_AFTER = "doubt_after"
    DOUBT_NOUN = "doubt_noun"
    """Leaves open what it follows, unless the predicate denies it: *şüphesi*, *olasılığı*."""
    DOUBT_AROUND = "doubt_around"
    EITHER = "either"
    """Between two mentions, of which it leaves both open: *versus*."""
    NO_CHANGE = "no_change"
    """No change *in* a finding asserts it, a *fibrotic change* not seen is denied."""
    REVERSE = "reverse"
    """Turns a denial before it into doubt: *yoktur denilemez*."""
    HYPOTHESIS_BEFORE = "hypothesis_before"
    HYPOTHESIS_AFTER = "hypothesis_after"
    ABOUT = "about"
    """Links a mention to a recommendation: *açısından*."""
    HISTORY_BEFORE = "history_before"
    HISTORY_AFTER = "history_after"
    BEYOND_BEFORE = "beyond_before"
    """Not to be assessed on this image."""
    BEYOND_AFTER = "beyond_after"
    STOP = "stop"
    """A new clause begins: *but*, *ancak*."""
    VERB = "verb"
    """A finite verb: the words around it are a clause of their own."""
    NOTHING = "nothing"
    """Looks like a cue and is none: *no change in*, *mevcut tetkik*."""


_SOUND = frozenset({"normal", "clear", "open"})
"""States that a denial elsewhere in the clause does not reverse, only one directly beside them."""


@dataclass(frozen=True, slots=True)
class Named:
    """A finding named outright.

    Attributes:
        labels: what the words name; none where they only look like a finding (*pericardial effusion*).
        negatable: whether a denial around the words reverses them; *heart size normal* stays a denial.
    """

    labels: tuple[str, ...]
    polarity: Polarity = Polarity.PRESENT
    implied: bool = False  # whether they only imply it
    negatable: bool = True


@dataclass(frozen=True, slots=True)
class Structure:
    """A part of the body and what each of its states says: the heart, enlarged, is a cardiomegaly."""

    states: Mapping[str, Named]

    @property
    def sweeping(self) -> bool:
        """Whether it says nothing outright: no side belongs to it."""
        return all(named.implied for named in self.states.values())


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that reads one language.

    Of the headings those are true that tell no finding of this image; after the words of `brain` a mass is of
    the brain.
    """

    findings: Lexicon[Named | Structure]
    states: Lexicon[str]
    cues: Lexicon[Cue]
    sides: Lexicon[str]
    comparisons: Lexicon[bool]
    headings: Lexicon[bool]
    marks: Lexicon[bool]
    brain: Lexicon[bool]
    signs: bool
    slips: SlipCorrector | None  # where slips of the keyboard are led back
    mended: Callable[[str], str]
    """The word that was meant, where no phrase knows this one."""


@cache
def rules_of(language: Language, *, signs: bool = False) -> Rules:
    """The compiled rules of `language`, with `signs` or without; a tenth of a second the first time."""
    folder = resources.files("tetkik.report.labeler").joinpath("rules", language.value)
    table: dict[str, Any] = {}
    for name in ("findings", "structures", "cues", *(("signs",) if signs else ())):
        _merge(table, tomllib.loads(folder.joinpath(f"{name}.toml").read_text("utf-8")))
    comparison, headings, words = table["comparison"], table["headings"], table["language"]
    findings: Lexicon[Named | Structure] = Lexicon(
        [*_named(table["finding"]), *_structures(table["structure"])]
    )
    states = Lexicon(_each(table["states"]))
    cues = Lexicon(
        (phrase, Cue(name)) for part in (table["cues"], *_verbs(table)) for phrase, name in _each(part)
    )
    sides = Lexicon(_each(table["sides"]))
    comparisons = Lexicon(_each({True: comparison["phrases"], False: comparison.get("nothing", ())}))
    slips = (
        SlipCorrector(findings.stems() | states.stems() | cues.stems(), _known_words(language))
        if signs
        else None
    )

    @lru_cache(maxsize=_KEPT)
    def mended(word: str) -> str:
        if slips is None or any(_is(word, lexicon.stem(word)) for lexicon in (cues, findings, states)):
            return word
        return slips.mended(word)

    return Rules(
        findings=findings,
        states=states,
        cues=cues,
        sides=sides,
        comparisons=comparisons,
        headings=Lexicon(_each({True: headings["background"], False: headings["report"]})),
        marks=Lexicon(_each({True: words["words"]})),
        brain=Lexicon(_each({True: words["brain"]})),
        signs=signs,
        slips=slips,
        mended=mended,
    )


def _is(word: str, stem: str) -> bool:
    """Whether a word is one of a phrase with this stem: `ef` alone makes no word of `efuyzon`."""
    return bool(stem) and len(word) - len(stem) <= max(len(stem), _ENDING)


def _known_words(language: Language) -> set[str]:
    """Words, folded, that are no slip of another: those of the texts and the rules that ship."""
    report = resources.files("tetkik.report")
    folders = (f"passages/library/{language}", f"labeler/rules/{language}")
    files = [report.joinpath("composer", f"{language}.toml"), report.joinpath("normals.toml")]
    files += [file for folder in folders for file in report.joinpath(folder).iterdir()]
    texts = (file.read_text("utf-8") for file in files if file.name.endswith(".toml"))
    return {word for text in texts for word in _WORD.findall(flat(text))}


def _merge(table: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put the entries of another file to those of a table: lists grow, and so do the tables in it."""
    for key, value in more.items():
        known = table.setdefault(key, type(value)())
        if isinstance(value, dict):
            _merge(known, value)
        else:
            known.extend(value)


def _each(table: Mapping[Value, Iterable[str]]) -> Iterator[tuple[str, Value]]:
    return ((phrase, value) for value, phrases in table.items() for phrase in phrases)


def _verbs(table: Mapping[str, Any]) -> Iterator[dict[str, list[str]]]:
    """The verbs of cues, each stem with each ending."""
    for entry in table.get("verb", ()):
        for name, endings in entry["endings"].items():
            yield {name: [stem + ending for stem in entry["stems"] for ending in endings]}


def _named(entries: list[dict[str, Any]]) -> Iterator[tuple[str, Named | Structure]]:
    for entry in entries:
        named = Named(
            _known(entry.get("labels", ())),
            Polarity(entry.get("polarity", "present")),
            entry.get("implied", False),
            entry.get("negatable", True),
        )
        yield from _each({named: entry["phrases"]})


def _structures(entries: list[dict[str, Any]]) -> Iterator[tuple[str, Named | Structure]]:
    for entry in entries:
        implied = entry.get("implied", False)
        structure = Structure(
            {
                state: Named(_known(labels), Polarity(polarity), implied, state not in _SOUND)
                for polarity, labels_of_states in entry["says"].items()
                for state, labels in labels_of_states.items()
            }
        )
        yield from ((phrase, structure) for phrase in entry["phrases"])


def _known(labels: Iterable[str]) -> tuple[str, ...]:
    if unknown := set(labels) - KNOWN_LABELS:
        raise ValueError(f"no such label: {', '.join(sorted(unknown))}")
    return tuple(labels)
