"""From a word to the classes of words it belongs to, through suffixes and one typing error.

A class is a list of stems ("göğüs", "göğs"). A word belongs to it when it begins with a stem, as Turkish only
adds suffixes; a stem written `=kan` takes the whole word only, and `-kanser` keeps words out. A stem of six
letters or more also takes a word with one error inside it: a letter missing or added, two swapped, and from
eight letters a wrong one (with six, "yandım" would take "yardım"). Such words are found through precomputed
deletions (Garbe's symmetric delete, SymSpell, 2012), so that no list is walked; `known` words are never taken
for errors.

Shorter stems are mended by whole words: one that is not in a list of common words is read as the word of
that list from which one letter missing, doubled or swapped parts it ("trliyorum", "göğüsmde"). A missing
letter must be one of the stem, as suffixes differ by single letters ("gelmiyor", "geliyor").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tetkik import turkish

_TYPO_LENGTH = 6
_WRONG_LETTER_LENGTH = 8
_SOFTENS = {"k": "g", "p": "b"}
"""Before a vowel a last k or p softens: "kemik" stands for "kemiği", "kitap" for "kitabı"."""
_SOFTENS_FROM = 5
_CACHE_SIZE = 50_000
_LONGEST_WORD = 40
"""A longer one is no word, and takes long to mend."""
_MENDED_LENGTH = 5
"""A shorter word has too many neighbours to be mended."""
_NO_SYLLABLE = re.compile(r"[^aeiou]{2}\w\w")
"""How hardly a word of Turkish begins: "gldi", "krnm"."""
_ODD = re.compile(r"[^aeiou]{3}|^[^aeiou]{2}|[aeiou]{2}|[^aeiou][^aeioulrnmys]$|[^aeiou][mys]$")
"""What few words of Turkish have: consonants in a cluster ("krnim"), vowels side by side ("ateim")."""
_PLAIN_LENGTH = 6
"""A word without that is mended from this length, and within stems of `_PLAIN_STEM` letters."""
_PLAIN_STEM = 4
_DRAWN_OUT = re.compile(r"(\w)\1{2,}")
_SPOKEN = re.compile(
    r"(?<=\w\w)(?:([iu])(?:yo|o|y)|(?<=[^aeiou])()yo|(?<=[^aeiou])()y(?=r))(?:(ru?m)|(om|m)|(r?))$"
)
"""How "-iyor" and "-iyorum" are written on a phone: "-ior", "-iyrm", "-iom", "tutmyor"."""


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


def _as_written(found: re.Match[str]) -> str:
    vowel = found[1]
    if vowel is None:
        before = re.findall("[aeiou]", found.string[: found.start()])
        vowel = "u" if before and before[-1] in "ou" else "i"
    return f"{vowel}yor{'um' if found[4] or found[5] else ''}"


class WordIndex:
    """Looks words up; built once from the classes.

    Args:
        classes: for each class, its stems as written in the file (Turkish letters, `=`, `-`).
        known: beginnings of words that are right as they stand, though near a stem.
        words: common words, folded, the most frequent first: right as they stand; others are read as them.
    """

    def __init__(
        self, classes: Iterable[Iterable[str]], known: Iterable[str] = (), words: Iterable[str] = ()
    ) -> None:
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
        self._spelled: dict[str, str] = {}
        self._words = frozenset(words)
        self._lacking: dict[str, str] = {}
        for word in words:
            self._add_word(word)

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

    def _add_word(self, word: str) -> None:
        if len(word) >= _MENDED_LENGTH:
            for i in range(1, min(self._stem_of(word), len(word) - 1)):
                # "yapmıyor" lacks nothing of "yapamıyor", nor "giriş" of "girmiş".
                if word[i] != "m" and word[i : i + 2] not in ("am", "em"):
                    self._lacking.setdefault(word[:i] + word[i + 1 :], word)

    def _stem_of(self, word: str) -> int:
        """How many letters the longest stem takes of the word."""
        for length in range(min(len(word), self._longest), 1, -1):
            for _, whole in self._prefixes.get(word[:length], ()):
                if not whole or length == len(word):
                    return length
        return 0

    def spelled(self, word: str) -> str:
        """The word as it was probably meant; most stay as they are."""
        if len(word) > _LONGEST_WORD:
            return word
        found = self._spelled.get(word)
        if found is None:
            found = self._mend(word)
            if len(self._spelled) >= _CACHE_SIZE:
                self._spelled.clear()
            self._spelled[word] = found
        return found

    def _mend(self, word: str) -> str:
        words = self._words
        if not word.isalpha():
            return word
        plain = _DRAWN_OUT.sub(r"\1", word) if len(word) > 3 else word
        if len(plain) < _MENDED_LENGTH:
            return self._lacking.get(plain, plain) if _NO_SYLLABLE.match(plain) else plain
        full = _SPOKEN.sub(_as_written, plain)
        if full not in words and not full.endswith("rum"):
            full = plain
        for form in (full, plain):
            if form in words or form.startswith(self._known) or self._stem_of(form) == len(form):
                return form
        return self._neighbour(plain) or self._neighbour(full) or full

    def _neighbour(self, word: str) -> str | None:
        """The common word from which one letter swapped, doubled or missing parts a word."""
        words = self._words
        for i in range(1, len(word)):
            if word[i] == word[i - 1] and word[:i] + word[i + 1 :] in words:
                return word[:i] + word[i + 1 :]
        for i in range(1, len(word) - 1):
            swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
            if swapped in words and not word.endswith(("mi", "mu")):
                return swapped
        found = self._lacking.get(word)
        if (
            found
            and not _ODD.search(word)
            and (len(word) < _PLAIN_LENGTH or self._stem_of(found) < _PLAIN_STEM)
        ):
            return None
        return found

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
