"""The spelling of Turkish radiology: words that nothing here knows, with suggestions.

Known is a word of the hunspell dictionary of the machine (Debian's package hunspell-tr), or one whose stem
stands in `words.txt`, the composer's phrases or the passages that ship, with the endings of Turkish nouns.
Without a dictionary nothing is checked, for half of a language marked as wrong helps nobody; English texts
are left to the browser.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import product
from pathlib import Path

from tetkik.report.labeler.rules import one_slip
from tetkik.report.spelling.dictionary import Dictionary, is_inflected, read_dictionary
from tetkik.turkish import lower

SOURCES = ("composer", "normals.toml", "passages/library/tr")
"""Folders and files of `report` whose Turkish texts are spelt well."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SLOT = re.compile(r"\{[^{}]*\}")
_ALPHABET = "abcçdefgğhıijklmnoöprsştuüvyz"
_ALIKE = {"c": "cç", "g": "gğ", "i": "iı", "ı": "ıi", "o": "oö", "s": "sş", "u": "uü"}
_NOT_TURKISH = frozenset(
    {"abbreviation", "en", "examinations", "id", "kind", "label", "labels", "sources", "words"}
)
_MOST = 5
_SHORTEST = 3
_LONGEST, _LONGEST_CORRECTED, _MOST_CORRECTED = 60, 25, 40
"""Letters of a word that is looked up; of one with suggestions; words of one request with suggestions."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An unknown word by its place, with the nearest known ones, the likeliest first."""

    start: int
    end: int
    suggestions: tuple[str, ...]


class Speller:
    """Checks Turkish texts with a dictionary; `without` leaves out folders of `SOURCES`."""

    def __init__(self, dictionary: Dictionary, without: Collection[str] = ()) -> None:
        self._dictionary = dictionary
        self._own = _own_words(tuple(sorted(without)))

    def check(self, texts: Iterable[str], added: Collection[str] = ()) -> list[tuple[Unknown, ...]]:
        """The unknown words of each text; those in `added` a person knows.

        The first of them have suggestions: to look for some takes milliseconds a word.
        """
        corrected, found = 0, list[tuple[Unknown, ...]]()
        for text in texts:
            unknown = []
            for start, end in self.unknown(text):
                if lower(word := text[start:end]) in added:
                    continue
                wanted = len(word) <= _LONGEST_CORRECTED and corrected < _MOST_CORRECTED
                corrected += wanted
                unknown.append(Unknown(start, end, self.suggestions(word) if wanted else ()))
            found.append(tuple(unknown))
        return found

    def unknown(self, text: str) -> Iterator[tuple[int, int]]:
        """The places of the unknown words.

        Abbreviations in capitals, words with digits, open fields, and names in the middle of a sentence are
        passed over.
        """
        for match in _WORD.finditer(text):
            word, start, end = match[0], match.start(), match.end()
            beside = text[max(0, start - 1) : start] + text[end : end + 1]
            if len(word) < _SHORTEST or any(char.isdigit() or char in "@[]|_" for char in beside):
                continue
            if word.isupper() or (word[0].isupper() and not _begins(text, start)):
                continue
            if len(word) > _LONGEST or not self.knows(word):
                yield start, end

    def knows(self, word: str) -> bool:
        """Whether it is a word with its endings; what follows an apostrophe is an ending."""
        plain = _stem(word)
        return plain in self._own or self._dictionary.knows(plain) or is_inflected(plain, self._own)

    def suggestions(self, word: str) -> tuple[str, ...]:
        """Known words that a slip of the fingers or a keyboard without Turkish letters makes of this one."""
        plain = lower(word)
        found = dict.fromkeys(filter(self.knows, _with_turkish_letters(plain)))
        near = {form for _, form in one_slip(plain, _ALPHABET) if self.knows(form)}
        # A word that reports use comes before one that is only possible; the first letter is seldom wrong.
        order = sorted(near, key=lambda form: (form not in self._own, form[:1] != plain[:1], form))
        found |= dict.fromkeys(order)
        found.pop(plain, None)
        forms = list(found)[:_MOST]
        return tuple(map(_capital, forms)) if word[:1].isupper() else tuple(forms)


@cache
def open_speller(file: Path) -> Speller | None:
    """The speller with a dictionary of this machine (`tr_TR.dic`, beside it `tr_TR.aff`); None without it."""
    return Speller(read_dictionary(file)) if file.is_file() else None


@cache
def _own_words(without: tuple[str, ...]) -> frozenset[str]:
    here = resources.files("tetkik.report")
    lines = here.joinpath("spelling", "words.txt").read_text("utf-8").splitlines()
    found = {word for line in lines for word in line.partition("#")[0].split()}
    for folder in SOURCES:
        if folder not in without:
            found.update(_words_of(here.joinpath(*folder.split("/"))))
    return frozenset(found)


def _words_of(folder: Traversable) -> Iterator[str]:
    for file in folder.iterdir() if folder.is_dir() else (folder,):
        if file.name.endswith(".toml") and file.name != "en.toml":
            for text in _texts(tomllib.loads(file.read_text("utf-8"))):
                yield from (_stem(match[0]) for match in _WORD.finditer(_SLOT.sub(" ", text)))


def _texts(value: object) -> Iterator[str]:
    """Every Turkish text in a table."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in _NOT_TURKISH:
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _stem(word: str) -> str:
    return lower(re.split("['’]", word)[0])


def _capital(form: str) -> str:
    return ("İ" if form[0] == "i" else form[0].upper()) + form[1:]


def _begins(text: str, start: int) -> bool:
    """Whether a sentence begins here."""
    before = text[:start].rstrip(" \"“('-–")
    return not before or before[-1] in ".!?:;\n"


def _with_turkish_letters(plain: str) -> Iterator[str]:
    """The word with each letter that lacks its dot, tail or breve given one: `akciger`, `akciğer`."""
    places = [place for place, char in enumerate(plain) if char in _ALIKE]
    if len(places) > 8:
        return
    for chosen in product(*(_ALIKE[plain[place]] for place in places)):
        letters = list(plain)
        for place, char in zip(places, chosen, strict=True):
            letters[place] = char
        yield "".join(letters)
