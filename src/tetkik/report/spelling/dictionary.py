"""A hunspell dictionary with numbered suffixes, such as the Turkish one of LibreOffice (hunspell(5))."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tetkik.errors import SettingError


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Stems with the numbers of the suffixes that they take; a number of a suffix stands between commas."""

    stems: dict[str, str]
    suffixes: dict[str, tuple[str, ...]]

    def knows(self, word: str) -> bool:
        """Whether it is a stem, or one with a suffix that it takes."""
        if word in self.stems:
            return True
        for place in range(len(word) - 1, 0, -1):
            taken, numbers = self.stems.get(word[:place]), self.suffixes.get(word[place:])
            if taken and numbers and any(number in taken for number in numbers):
                return True
        return False


def read_dictionary(file: Path) -> Dictionary:
    """A dictionary `tr_TR.dic` with its `tr_TR.aff`; suffixes that change the stem are left out.

    Raises:
        SettingError: the files cannot be read, or their flags are no numbers.
    """
    stems: dict[str, str] = {}
    suffixes: dict[str, tuple[str, ...]] = {}
    try:
        with file.with_suffix(".aff").open(encoding="utf-8") as lines:
            for line in lines:
                parts = line.split()
                if len(parts) == 5 and parts[0] == "SFX" and parts[2] == "0":
                    suffixes[parts[3]] = (*suffixes.get(parts[3], ()), f",{int(parts[1])},")
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                stem, _, flags = line.strip().partition("/")
                stems[stem] = stems.get(stem, ",") + (flags + "," if flags else "")
    except (OSError, ValueError) as error:
        raise SettingError(
            "The dictionary {file} cannot be read ({fault}); correct the setting spelling_dictionary.",
            file=file,
            fault=error,
        ) from None
    return Dictionary(stems, suffixes)


# The endings of Turkish nouns, with vowel harmony, as far as reports use them.
#
# After Göksel and Kerslake, *Turkish: A Comprehensive Grammar* (2005), chapters 2, 6 and 8. `A` stands for
# a or e, `I` for ı, i, u or ü, `D` for d or t.


_VOWELS = "aeıioöuü"
_FRONT = frozenset("eiöü")
_ROUND = frozenset("oöuü")
_SOFT = {"b": "p", "c": "ç", "d": "t", "ğ": "k", "g": "k"}
_CLASSES = {"A": "[ae]", "I": "[ıiuü]", "D": "[dt]", "C": "[cç]", "K": "[kğ]"}
_DERIVED = "(?:lIK?|sIz(?:lIK)?|sAl|CI)?"
_POSSESSIVE = "(?:lArI|sI|I|ImIz|InIz)?"
_CASE = "(?:n?In|[yn]?[aeıiuü]|n?DA(?:n|ki(?:lAr)?(?:n?In|n?I|nA|nDAn?)?)?|y?lA|n?CA)?"
_COPULA = "(?:y?DI|DIr(?:lAr)?|y?mIş|y?sA|y?ken)?"
_ENDINGS = re.compile(
    re.sub(
        "[AIDCK]",
        lambda found: _CLASSES[found[0]],
        f"{_DERIVED}(?:lAr)?{_POSSESSIVE}{_CASE}{_COPULA}",
    )
)
_LOAN = ("l", "at", "alp", "arf", "arp")
"""Ends of loanwords that take front vowels after a back one: `sinyali`, `kalbi`, `saati`."""


def is_inflected(word: str, stems: Collection[str]) -> bool:
    """Whether a word is one of these nouns with endings that fit it."""
    return any(
        stem in stems and _ENDINGS.fullmatch(word, place) is not None and _harmonious(stem, word[place:])
        for stem, place in _stems(word)
    )


def _stems(word: str) -> Iterator[tuple[str, int]]:
    """The beginnings of a word that may be its stem, each with the place where its endings begin.

    Before a vowel the last letter of a stem softens: `kalbi` of `kalp`.
    """
    for place in range(len(word) - 1, 2, -1):
        yield word[:place], place
        if word[place - 1] in _SOFT and word[place] in _VOWELS:
            yield word[: place - 1] + _SOFT[word[place - 1]], place


def _harmonious(stem: str, ending: str) -> bool:
    """Whether the vowels of the endings follow the stem's last one, and one another."""
    last = next((char for char in reversed(stem) if char in _VOWELS), "")
    loan = stem.endswith(_LOAN)
    for place, char in enumerate(ending):
        if char not in _VOWELS:
            continue
        unchanging = ending[max(0, place - 1) :].startswith(("ki", "ken"))  # `-ki` and `-ken`
        fits = (char in _FRONT) == (last in _FRONT)
        if char in "ıiuü":
            fits = fits and (char in _ROUND) == (last in _ROUND)
        if last and not fits and not unchanging and not (loan and char in _FRONT):
            return False
        last, loan = char, False
    return True
