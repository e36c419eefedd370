"""Names of persons, found by the words around them: "adım …", "ismim …", "Dr. …", "… Hanım", "… Bey".

A capital is evidence only in a text that also has words without one; lists of frequent names (`names.toml`)
are evidence everywhere; and where nothing but a name can stand no evidence is asked for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache, cached_property, lru_cache
from importlib import resources

from tetkik.turkish import flat

_WORD = re.compile(r"[^\W\d_]+")
_TITLES = frozenset("dr drr prof profesor doc docent op opr operator uz uzm yrd".split())  # noqa: SIM905
_ACADEMIC = frozenset("prof profesor doc docent".split())  # noqa: SIM905
_HONOURS = frozenset(
    root + ending
    for root in ("hanim", "bey")
    for ending in ("", "a", "e", "i", "in", "la", "le", "dan", "den", "cim", "cigim", "efendi", "efendiye")
) | frozenset("hoca hocam hocamiz hocamiza hocama hocami hocaya hocanin hocadan hocayla".split())  # noqa: SIM905
_PERSONS = re.compile(
    r"(?:ogl|kiz|bebe|esim|annem|babam|karde|hasta(?!li|ne)|cocu|doktor|yegen|torun|kocam|karim|abla|abi|hoca)\w*"
)
_ENDING = re.compile(r"[yn]?[aeiu]|[yn]?[iu]n|[dt][ae]n?|y?l[ae]|y[iu]m")


@cache
def _lists() -> dict[str, frozenset[str]]:
    table = tomllib.loads(resources.files(__package__).joinpath("names.toml").read_text("utf-8"))
    lists = {name: frozenset(words.split()) for name, words in table.items()}
    sure = lists["given"] - lists["ambiguous"]
    given = lists["given"] | lists["ambiguous"]
    return {
        **lists,
        "given": given,
        "sure": sure,
        "sure_family": lists["family"] - lists["common_family"] - given,
    }


class _Words:
    """The words of a text with their places, folded, and what a capital is worth in it."""

    def __init__(self, text: str) -> None:
        folded = flat(text)
        self.text = text
        self.spans = [match.span() for match in _WORD.finditer(text)]
        self.folded = [folded[start:end] for start, end in self.spans]

    def __len__(self) -> int:
        return len(self.spans)

    def gap(self, index: int) -> str:
        """What stands between the word before and this one; a full stop where there is none before."""
        return self.text[self.spans[index - 1][1] : self.spans[index][0]] if 0 < index < len(self) else "."

    def joined(self, index: int) -> bool:
        """Whether nothing but spaces divides this word from the one before."""
        return self.gap(index).isspace()

    @cached_property
    def capitals_tell(self) -> bool:
        """Whether most ordinary words begin without a capital, so that one with it stands out."""
        lists = _lists()
        ordinary = [
            self.text[start]
            for (start, end), word in zip(self.spans, self.folded, strict=True)
            if end - start > 2
            and word not in lists["given"]
            and word not in lists["family"]
            and word not in lists["never"]
        ]
        return sum(map(str.isupper, ordinary)) <= 0.5 * len(ordinary) and not self.text.isupper()

    def capital(self, index: int) -> bool:
        """Whether the word's capital is evidence of a name."""
        return self.text[self.spans[index][0]].isupper() and self.capitals_tell

    def possible(self, index: int) -> bool:
        word = self.folded[index] if index < len(self) else ""
        return len(word) > 1 and word not in _lists()["never"]

    def sure(self, index: int) -> bool:
        """Whether it is a frequent given name and hardly another word."""
        return self.folded[index] in _lists()["sure"]

    def opens(self, index: int) -> bool:
        """Whether a clause or an address begins at this word."""
        return index == 0 or not self.joined(index) or self.folded[index - 1] in _lists()["openers"]

    def end_of_name(self, first: int) -> int:
        """The index after a name that begins at `first`: up to two more words that go on with it."""
        lists = _lists()
        end = first + 1
        while end < min(first + 3, len(self)) and self.joined(end) and self.possible(end):
            word = self.folded[end]
            last_of_clause = end + 1 == len(self) or not self.joined(end + 1)
            if last_of_clause and self.gap(end + 1).lstrip().startswith(":"):
                break  # the name of the next field of a form
            listed = word in lists["family"] or word in lists["given"]
            sure = word in lists["sure"] or word in lists["sure_family"]
            if not (sure or self.capital(end) or (listed and last_of_clause)):
                break
            end += 1
        return end

    def place(self, first: int, end: int) -> tuple[int, int]:
        return self.spans[first][0], self.spans[end - 1][1]


def is_name(text: str) -> bool:
    """Whether a text is a frequent given name with others behind it, and nothing else."""
    words, lists = _words(text), _lists()
    return len(words) > 1 and words.sure(0) and lists["given"].union(lists["family"]).issuperset(words.folded)


def persons(text: str) -> Iterator[tuple[int, int]]:
    """Names of patients and their families, as (start, end) in `text`."""
    words = _words(text)
    for index, word in enumerate(words.folded):
        if word in ("adim", "ismim", "adi", "ismi"):
            first = _after_trigger(words, index)
            if first is not None:
                yield words.place(first, words.end_of_name(first))
        elif word == "ben" and _introduced(words, index + 1):
            yield words.place(index + 1, words.end_of_name(index + 1))
        elif word in ("isimli", "adli", "adinda") and index and words.joined(index) and words.sure(index - 1):
            yield words.place(index - 1, index)
        elif words.sure(index) and words.capital(index) and _family_follows(words, index):
            yield words.place(index, index + 2)


def _after_trigger(words: _Words, index: int) -> int | None:
    """Where the name after "adım", "ismim", "adı" or "ismi" begins, if one does."""
    word, first = words.folded[index], index + 1
    full = False
    while first < len(words) and words.folded[first] in ("ve", "soyadim", "soyadi", "soyismim", "soyismi"):
        full = full or words.folded[first] != "ve"
        first += 1
    gap = words.gap(first)
    if not words.possible(first) or gap.strip(" :=-,;") or not gap or words.folded[first] in _lists()["step"]:
        return None
    named = words.sure(first) or words.capital(first)
    if word in ("adi", "ismi"):
        of_person = index > 0 and _PERSONS.fullmatch(words.folded[index - 1]) is not None
        return first if full or words.sure(first) or (of_person and words.capital(first)) else None
    if word == "ismim" or full or ":" in gap:
        return first
    before = words.gap(index).strip()
    if before[-1:].isdigit() or (words.joined(index) and words.folded[index - 1] in _lists()["step_before"]):
        return None
    return first if named or words.opens(index) else None


def _introduced(words: _Words, index: int) -> bool:
    """Whether "ben" is followed by a name: a sure one, or a possible one with a family name."""
    if not words.possible(index) or not words.joined(index):
        return False
    if words.sure(index):
        return True
    return words.folded[index] in _lists()["given"] and words.capital(index) and _family_follows(words, index)


def _family_follows(words: _Words, index: int) -> bool:
    following = index + 1
    return (
        following < len(words)
        and words.joined(following)
        and words.capital(following)
        and words.folded[following] in _lists()["family"]
    )


def doctors(text: str) -> Iterator[tuple[int, int]]:
    """Names of doctors and of those addressed as Hanım, Bey or Hocam, as (start, end) in `text`.

    The title itself stays, and so do "doktor bey", "doktor hanım" and "hocam".
    """
    words = _words(text)
    for index, word in enumerate(words.folded):
        if word in _TITLES or word in ("doktor", "doktorum"):
            if _named_after_title(words, index):
                yield words.place(index + 1, words.end_of_name(index + 1))
        elif word in _HONOURS and index and words.joined(index):
            first = _named_before_honour(words, index)
            if first < index:
                yield words.place(first, index)


def _named_after_title(words: _Words, title: int) -> bool:
    first = title + 1
    if not words.possible(first) or words.gap(first).strip(" .") or words.folded[first] in _TITLES:
        return False
    if words.sure(first):
        return True
    if _sure_with_ending(words.folded[first]):
        return True
    if not words.capital(first):
        # "Prof. Dr. …" is followed by nothing but a name, with or without a capital.
        return title > 0 and words.folded[title - 1] in _ACADEMIC and not words.gap(title).strip(" .")
    full_title = words.folded[title] in ("doktor", "doktorum")
    goes_on = words.end_of_name(first) > first + 1
    return goes_on or (not full_title and words.text[words.spans[title][0]].isupper())


def _sure_with_ending(word: str) -> bool:
    """Whether the word is a given name with a case ending and no apostrophe: "ahmete", "zeynepten"."""
    return any(
        word[:-cut] in _lists()["sure"] and _ENDING.fullmatch(word[-cut:])
        for cut in (1, 2, 3)
        if len(word) - cut > 3
    )


def _named_before_honour(words: _Words, honour: int) -> int:
    """Where the name before "hanım", "bey" or "hocam" begins; `honour` itself where there is none."""
    before = honour - 1
    if (
        not words.possible(before)
        or words.folded[before] in _lists()["openers"]
        or words.folded[before] in _TITLES
    ):
        return honour
    word, lists = words.folded[honour], _lists()
    named = words.folded[before] in lists["given"]
    if word.startswith("hoca"):
        named = words.sure(before) or (named and words.capital(before))
    elif word not in ("beyin", "beyi", "beye"):  # "beyin" is the brain as well
        named = named or words.capital(before) or words.opens(before) or words.capital(honour)
    if not named:
        return honour
    first = before
    while first and before - first < 2 and words.joined(first) and words.possible(first - 1):
        previous = words.folded[first - 1]
        if previous in _lists()["openers"] or previous in _TITLES:
            break
        if not (previous in lists["given"] or (words.capital(first - 1) and not words.opens(first - 1))):
            break
        first -= 1
    return first


@lru_cache(maxsize=1)
def _words(text: str) -> _Words:
    """The words of a text, kept for the second of the two searches."""
    return _Words(text)
