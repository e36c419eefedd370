"""Phrases as data: a small language for words in a row, and a matcher that reads all of them at once.

A phrase is words with spaces between. Of a word:

- `nodule` is itself, `nodul*` any word that begins so, `sinus~` the word with any Turkish case, plural or
  possessive ending;
- `izlenm[ae]d*` has one of these letters there;
- `(left|right)` is one of several, each of which may be several words: `(is|has been)`;
- `?the` may be missing;
- `..3` stands for up to three words of any kind, but no punctuation.

All are folded, without hyphens. Matching follows a tree of words, so its time grows with the text
and not with the number of phrases; no regular expression is run over the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Generic, TypeVar

from tetkik import turkish

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
class Hit(Generic[Value]):
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

    def find(self, words: Sequence[str]) -> list[Hit[Value]]:
        """The phrases in folded `words`, in order, without overlap."""
        hits: list[Hit[Value]] = []
        free = 0
        for place, nodes in enumerate(map(self._openings, words)):
            if not nodes or place < free:
                continue
            best: tuple[int, Value] | None = None
            for node in nodes:
                best = _longer(best, self._longest(node, words, place + 1))
            if best is not None:
                free = best[0]
                hits.append(Hit(place, free - 1, best[1]))
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
