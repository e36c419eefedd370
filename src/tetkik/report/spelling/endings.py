"""The endings of Turkish nouns, with vowel harmony, as far as reports use them.

After Göksel and Kerslake, *Turkish: A Comprehensive Grammar* (2005), chapters 2, 6 and 8. `A` stands for a or
e, `I` for ı, i, u or ü, `D` for d or t.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

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
