"""From a word to the classes of words it belongs to, through suffixes and one typing error.

A class is a list of stems ("göğüs", "göğs"). A word belongs to it when it begins with a stem, as Turkish only
adds suffixes; a stem written `=kan` takes the whole word only, and `-kanser` keeps words out. A stem of six
letters or more also takes a word with one error inside it: a letter missing or added, two swapped, and from
eight letters a wrong one (with six, "yandım" would take "yardım"). Such words are found through precomputed
deletions (Garbe's symmetric delete, SymSpell, 2012), so that no list is walked; `known` words are never taken
for errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tetkik import turkish

_TYPO_LENGTH = 6
_WRONG_LETTER_LENGTH = 8
_SOFTENS = {"k": "g", "p": "b"}
"""Before a vowel a last k or p softens: "kemik" stands for "kemiği", "kitap" for "kitabı"."""
_SOFTENS_FROM = 5
_CACHE_SIZE = 50_000


Memberships = Mapping[int, int]
"""The classes a word belongs to, each with how many of the word's letters its stem took."""


def one_edit_apart(a: str, b: str) -> bool:
    """Whether `a` and `b` are equal, or one letter missing, added, wrong or swapped makes them so."""
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[at:] == b[at + 1 :]
    if a[at + 1 :] == b[at + 1 :]:
        return True
    return a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :]


def _misspells(prefix: str, stem: str) -> bool:
    if not one_edit_apart(prefix, stem):
        return False
    if sorted(prefix) == sorted(stem):
        return True
    # The stem's last letter must stand, or every other suffix ("annem", "anneme") were an error of this one.
    return prefix[-1] == stem[-1] and (len(stem) >= _WRONG_LETTER_LENGTH or len(prefix) != len(stem))


def _deletions(text: str) -> set[str]:
    # The first letter is kept: a slip there is rare, and letting it go joins too many words.
    return {text[:i] + text[i + 1 :] for i in range(1, len(text))}


class WordIndex:
    """Looks words up; built once from the classes.

    Args:
        classes: for each class, its stems as written in the file (Turkish letters, `=`, `-`).
        known: beginnings of words that are right as they stand, though near a stem.
    """

    def __init__(self, classes: Iterable[Iterable[str]], known: Iterable[str] = ()) -> None:
        self._known = tuple(turkish.fold(word) for word in known)
        self._prefixes: dict[str, list[tuple[int, bool]]] = {}
        self._barred: dict[str, list[int]] = {}
        self._near: dict[str, list[tuple[str, int]]] = {}
        self._near_longest: dict[str, int] = {}
        self._cache: dict[str, Memberships] = {}
        self._longest = 0
        for number, stems in enumerate(classes):
            for written in stems:
                self._add(number, written)

    def _add(self, number: int, written: str) -> None:
        stem = turkish.fold(written.lstrip("=-"))
        if written.startswith("-"):
            self._barred.setdefault(stem, []).append(number)
            return
        whole = written.startswith("=")
        self._prefixes.setdefault(stem, []).append((number, whole))
        if not whole and len(stem) >= _SOFTENS_FROM and stem[-1] in _SOFTENS:
            self._prefixes.setdefault(stem[:-1] + _SOFTENS[stem[-1]], []).append((number, False))
        self._longest = max(self._longest, len(stem))
        if len(stem) >= _TYPO_LENGTH and not whole:
            for key in _deletions(stem) | {stem}:
                self._near.setdefault(key, []).append((stem, number))
            self._near_longest[stem[0]] = max(self._near_longest.get(stem[0], 0), len(stem))

    def classes_of(self, word: str) -> Memberships:
        found = self._cache.get(word)
        if found is None:
            found = self._look_up(word)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[word] = found
        return found

    def _look_up(self, word: str) -> Memberships:
        best: dict[int, int] = {}
        barred: set[int] = set()
        for length in range(1, min(len(word), max(self._longest, 1)) + 1):
            prefix = word[:length]
            for number, whole in self._prefixes.get(prefix, ()):
                if not whole or length == len(word):
                    best[number] = length
            barred.update(self._barred.get(prefix, ()))
        # A word that is right for one class is not looked at again: that finds mostly nonsense.
        if not best and len(word) >= _TYPO_LENGTH - 1 and not word.startswith(self._known):
            best = self._look_up_near(word)
        return {number: length for number, length in best.items() if number not in barred}

    def _look_up_near(self, word: str) -> dict[int, int]:
        best: dict[int, int] = {}
        near = self._near
        for length in range(_TYPO_LENGTH - 1, min(len(word), self._near_longest.get(word[0], 0) + 1) + 1):
            prefix = word[:length]
            keys = [prefix[:i] + prefix[i + 1 :] for i in range(1, length)]
            keys.append(prefix)
            for key in keys:
                if key in near:
                    for stem, number in near[key]:
                        if _misspells(prefix, stem):
                            best[number] = max(best.get(number, 0), length)
        return best
