"""The rules of one language, read from its files and compiled once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from itertools import product
from string import ascii_lowercase
from typing import Any, Generic, TypeVar

from tetkik import turkish
from tetkik.language import Language
from tetkik.turkish import flat
from tetkik.values.complaint import Span
from tetkik.values.finding_labels import FINDING_LABELS
from tetkik.values.report import Side

# What the labeler answers: sentences, and in them mentions of findings.


class Polarity(StrEnum):
    """What a text says of a finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    """Neither asserted nor denied: *may represent*, *ekarte edilemez*."""


class Context(StrEnum):
    """Whether a mention is about what this image shows."""

    CURRENT = "current"
    HISTORICAL = "historical"
    """About the patient's past or the clinical question: *history of*, *öyküsü*."""
    HYPOTHETICAL = "hypothetical"
    """A condition or a recommendation: *if pneumonia is suspected*, *açısından takip önerilir*."""
    NOT_ASSESSED = "not_assessed"
    """Said to be beyond what this image can tell: *cannot be assessed*, *değerlendirilemedi*."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A finding named in a text, by the `words` that begin at `start` of the whole text."""

    label: str  # a shared label, or one of the labeler's own (`OTHER_LABELS`), which no model assesses
    polarity: Polarity
    side: Side | None  # that is said of it; None where none is said, and for what has no sides
    start: int
    end: int
    words: str
    context: Context = Context.CURRENT
    implied: bool = False  # whether it is only implied, as *lungs are clear* denies a consolidation


@dataclass(frozen=True, slots=True)
class SentenceReading:
    """One sentence and what it says.

    Attributes:
        mentions: in the order in which they stand; implied ones in the order of their labels.
        comparison: where, in the whole text, words compare with an earlier image; None where none do.
    """

    start: int
    end: int
    text: str
    language: Language
    mentions: tuple[Mention, ...]
    comparison: Span | None = None


# Phrases as data: a small language for words in a row, and a matcher that reads all of them at once.
#
# A phrase is words with spaces between. Of a word:
#
# - `nodule` is itself, `nodul*` any word that begins so, `sinus~` the word with any Turkish case, plural or
# possessive ending;
# - `izlenm[ae]d*` has one of these letters there;
# - `(left|right)` is one of several, each of which may be several words: `(is|has been)`;
# - `?the` may be missing;
# - `..3` stands for up to three words of any kind, but no punctuation.
#
# All are folded, without hyphens. Matching follows a tree of words, so its time grows with the text
# and not with the number of phrases; no regular expression is run over the text.


Value = TypeVar("Value")

# Case, plural, possessive and copula endings over folded text, as at most five pieces in a row.
_ENDINGS = re.compile(
    r"(?:l[ae]r|s?[iu]n?|[iu]m|[iu]m[iu]z|n?[iu]n|[dt][ae]n?|[iu]?nd[ae]n?|y?[ae]|n[ae]|y?l[ae]|k[iu]"
    r"|[dt][iu]r|l[iu]|l[iu]k|s[iu]z|c[ae]|y?[iu])"
)
_PIECES = 5
_LONGEST_ENDING = 20
_LONGEST_STEM = 32
_ELEMENT = re.compile(r"\?\([^()]*\)|\([^()]*\)|\S+")
_CHOICE = re.compile(r"\[(\w+)\]")
_GAP = re.compile(r"\.\.(\d)")
_MOST = 20_000
_CACHE = 8_000


def inflected(ending: str) -> bool:
    """Whether `ending` (folded) is a chain of Turkish noun endings; the empty one is."""
    if len(ending) > _LONGEST_ENDING:
        return False
    places = {0}
    for _ in range(_PIECES):
        if len(ending) in places:
            return True
        places = {
            place + length
            for place in places
            for length in range(1, 6)
            if _ENDINGS.fullmatch(ending, place, place + length)
        }
    return len(ending) in places


def expand(phrase: str) -> Iterator[tuple[str, ...]]:
    """Every plain row of words that `phrase` stands for; ValueError for an empty one or half a bracket."""
    elements: list[str] = _ELEMENT.findall(phrase)
    rows: list[tuple[str, ...]] = [()]
    for element in elements:
        optional = len(element) > 1 and element.startswith("?")
        bare = element[1:] if optional else element
        if bare.startswith("(") and bare.endswith(")"):
            options = [row for option in bare[1:-1].split("|") for row in _letters(option.split())]
        elif "(" in bare or ")" in bare or not bare:
            raise ValueError(f"unbalanced brackets in the phrase {phrase!r}")
        else:
            options = list(_letters([bare]))
        if optional:
            options.append(())
        rows = [row + option for row in rows for option in options]
        if len(rows) > _MOST:
            raise ValueError(f"too many variants of the phrase {phrase!r}")
    if not rows or () in rows:
        raise ValueError(f"the phrase {phrase!r} may be empty")
    yield from rows


def _letters(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The words with every choice of the letters in square brackets."""
    spellings = []
    for word in words:
        choices = [tuple(part) if place % 2 else (part,) for place, part in enumerate(_CHOICE.split(word))]
        spellings.append(["".join(chosen) for chosen in product(*choices)])
    yield from product(*spellings)


@dataclass(slots=True)
class _Node(Generic[Value]):
    steps: dict[str, _Node[Value]] = field(default_factory=dict)
    gaps: dict[int, _Node[Value]] = field(default_factory=dict)
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class PhraseHit(Generic[Value]):
    """A phrase found: words `first` to `last` (included) of a sentence."""

    first: int
    last: int
    value: Value


class Lexicon(Generic[Value]):
    """Many phrases, each with a value, found together.

    Of overlapping ones the first counts, and of those the longest: it takes the words away from the others.
    """

    def __init__(self, entries: Iterable[tuple[str, Value]]) -> None:
        self._root: _Node[Value] = _Node()
        self._exact: set[str] = set()
        self._prefixes: dict[str, list[tuple[str, bool]]] = {}
        self._atoms = lru_cache(_CACHE)(self._fitting)
        self._openings = lru_cache(_CACHE)(self._begun_with)
        for phrase, value in entries:
            for row in expand(phrase):
                self._add(row, value, phrase)

    def _add(self, row: Sequence[str], value: Value, phrase: str) -> None:
        node = self._root
        for element in row:
            if element.startswith("..") and (gap := _GAP.fullmatch(element)):
                node = node.gaps.setdefault(int(gap[1]), _Node())
                continue
            following = node.steps.get(element)
            if following is None:
                self._learn(element, phrase)
                following = node.steps[element] = _Node()
            node = following
        if node.value is not None and node.value != value:
            raise ValueError(f"the phrase {phrase!r} has two meanings")
        node.value = value

    def _learn(self, element: str, phrase: str) -> None:
        """Take an element of a phrase in, so that words which fit it are found."""
        stem = element.rstrip("*~")
        if stem == element:
            if stem in self._exact:
                return
            self._exact.add(stem)
        else:
            for length in range(1, len(stem)):
                self._prefixes.setdefault(stem[:length], [])  # that a stem goes on here
            known = self._prefixes.setdefault(stem, [])
            if (entry := (element, element.endswith("~"))) in known:
                return
            known.append(entry)
        if stem != turkish.fold(stem) and stem.isalnum():
            raise ValueError(f"{phrase!r} is not folded")

    def _fitting(self, word: str) -> tuple[str, ...]:
        """The elements of phrases that `word` fits."""
        found = [word] if word in self._exact else []
        for length in range(1, min(len(word), _LONGEST_STEM) + 1):
            known = self._prefixes.get(word[:length])
            if known is None:
                break
            for atom, noun in known:
                if not noun or inflected(word[length:]):
                    found.append(atom)
        return tuple(found)

    def _begun_with(self, word: str) -> tuple[_Node[Value], ...]:
        """Where phrases go on that begin with `word`."""
        steps = self._root.steps
        return tuple(steps[atom] for atom in self._atoms(word) if atom in steps)

    def fits(self, word: str) -> bool:
        """Whether a word may stand in one of the phrases."""
        return bool(self._atoms(word))

    def stem(self, word: str) -> str:
        """The longest stem of the phrases that `word` begins with; empty where there is none."""
        return max((atom.rstrip("*~") for atom in self._atoms(word)), key=len, default="")

    def stems(self) -> set[str]:
        """The words of the phrases, without their endings."""
        return self._exact | {stem for stem, elements in self._prefixes.items() if elements}

    def find(self, words: Sequence[str]) -> list[PhraseHit[Value]]:
        """The phrases in folded `words`, in order, without overlap."""
        hits: list[PhraseHit[Value]] = []
        free = 0
        for place, nodes in enumerate(map(self._openings, words)):
            if not nodes or place < free:
                continue
            best: tuple[int, Value] | None = None
            for node in nodes:
                best = _longer(best, self._longest(node, words, place + 1))
            if best is not None:
                free = best[0]
                hits.append(PhraseHit(place, free - 1, best[1]))
        return hits

    def _longest(self, node: _Node[Value], words: Sequence[str], place: int) -> tuple[int, Value] | None:
        best: tuple[int, Value] | None = None if node.value is None else (place, node.value)
        if node.steps and place < len(words):
            for atom in self._atoms(words[place]):
                step = node.steps.get(atom)
                if step is not None:
                    best = _longer(best, self._longest(step, words, place + 1))
        for most, step in node.gaps.items():
            for end in range(place, min(place + most, len(words)) + 1):
                if end > place and not words[end - 1][0].isalnum():
                    break
                best = _longer(best, self._longest(step, words, end))
        return best


def _longer(one: tuple[int, Value] | None, other: tuple[int, Value] | None) -> tuple[int, Value] | None:
    if other is None or (one is not None and one[0] >= other[0]):
        return one
    return other


# Slips of the keyboard: a letter missing, doubled, wrong or swapped with the next.


_SHORTEST = 5
_LONGEST = 24


def one_slip(word: str, alphabet: str) -> Iterator[tuple[int, str]]:
    """Every word that is one slip away (Damerau 1964), with the place of the slip, in order.

    Two letters are swapped, one is left out, another one stands there, or one too many.
    """
    for place in range(len(word) + 1):
        head, tail = word[:place], word[place:]
        if len(tail) > 1:
            yield place, head + tail[1] + tail[0] + tail[2:]
        if tail:
            yield place, head + tail[1:]
        for char in alphabet:
            yield place, head + char + tail
            if tail:
                yield place, head + char + tail[1:]


class SlipCorrector:
    """Leads an unknown word back to the stem that it is one slip away from; known words stay."""

    def __init__(self, stems: Iterable[str], known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._stems = frozenset(stem for stem in stems if len(stem) >= _SHORTEST - 1 and stem.isalpha())
        begun = {stem[:length] for stem in self._stems for length in range(len(stem) + 1)}
        self._next = {
            start: "".join(char for char in ascii_lowercase if start + char in begun) for start in begun
        }
        """The letters with which a stem goes on, by what it begins with; none where it ends."""

    def knows(self, word: str) -> bool:
        """Whether it is a word of reports as it stands."""
        return word in self._known

    def mended(self, word: str) -> str:
        """`word` itself, or the longest stem that was meant with the rest of the word after it."""
        if not _SHORTEST - 1 <= len(word) <= _LONGEST or not word.isalpha() or word in self._known:
            return word
        longest, best = 0, word
        for place, meant in self._meant(word):
            # The first letter is seldom wrong.
            if place or meant[:2] == word[1::-1]:
                # Two letters swapped say more than one that is wrong: they are enough for a shorter stem.
                swapped = len(meant) == len(word) and sorted(meant) == sorted(word)
                length = self._stem(meant, max(place, longest) + 1, _SHORTEST - swapped)
                if length:
                    longest, best = length, meant
        return best

    def _meant(self, word: str) -> Iterator[tuple[int, str]]:
        """What `one_slip` gives, as far as a stem begins with it up to the slip."""
        for place in range(len(word) + 1):
            head, tail = word[:place], word[place:]
            following = self._next.get(head)
            if following is None:
                return
            if len(tail) > 1 and tail[1] in following:
                yield place, head + tail[1] + tail[0] + tail[2:]
            if tail and tail[1:2] in following:
                yield place, head + tail[1:]
            for char in following:
                yield place, head + char + tail
                if tail:
                    yield place, head + char + tail[1:]

    def _stem(self, word: str, least: int, shortest: int) -> int:
        """The letters of the longest stem that `word` begins with, `least` or more; 0 where there is none."""
        ends = range(len(word), max(least, shortest) - 1, -1)
        return next((end for end in ends if word[:end] in self._stems), 0)


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
