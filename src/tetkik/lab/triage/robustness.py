"""The same complaints, as patients write too: without Turkish letters, mistyped, in capitals, cut short.

Every perturbation depends on the text and the seed alone, not on the other rows or their order.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from tetkik import turkish

_PLAIN = str.maketrans("çğıöşüâîûÇĞİÖŞÜÂÎÛ", "cgiosuaiuCGIOSUAIU")
_UPPER = str.maketrans({"i": "İ", "ı": "I"})
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")
_WORD = re.compile(r"\w+")

TYPING_ERROR_SHARE = 0.1
"""The share of words that get one typing error."""


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way to spoil a text: its key in `evaluate --json`, its title, and (text, seed) to the new text."""

    id: str
    title: str
    apply: Callable[[str, int], str]


def without_turkish_letters(text: str) -> str:
    """`"Göğsüm ağrıyor"` → `"Gogsum agriyor"`."""
    return unicodedata.normalize("NFC", text).translate(_PLAIN)


def capitals(text: str) -> str:
    """All capitals by the Turkish rule: `"ilaç ısırık"` → `"İLAÇ ISIRIK"`."""
    return unicodedata.normalize("NFC", text).translate(_UPPER).upper()


def first_sentence(text: str) -> str:
    """The first sentence; a greeting of one or two words before it comes along."""
    end = 0
    for match in [*_SENTENCE_END.finditer(text), None]:
        end = match.start() if match else len(text)
        if len(text[:end].split()) > 2:
            break
    return text[:end]


def first_words(text: str, count: int = 10) -> str:
    """The first `count` words."""
    return " ".join(text.split()[:count])


def _keyboard_neighbours() -> dict[str, str]:
    """For each letter of the Turkish Q layout the letters next to it."""
    rows = ("qwertyuıopğü", "asdfghjklşi", "zxcvbnmöç")
    near: dict[str, str] = {}
    for row, keys in enumerate(rows):
        for column, key in enumerate(keys):
            # Each row stands half a key to the right of the one above it.
            places = [(row, column - 1), (row, column + 1), (row + 1, column - 1), (row + 1, column)]
            places += [(row - 1, column), (row - 1, column + 1)]
            near[key] = "".join(rows[r][c] for r, c in places if 0 <= r < len(rows) and 0 <= c < len(rows[r]))
    return near


KEYBOARD = _keyboard_neighbours()


def typing_errors(text: str, seed: int) -> str:
    """One typing error in a share of the words, at least in one.

    An error is a neighbouring key of the Turkish Q keyboard, a letter left out, two letters swapped, or a
    letter typed twice. Words of one letter and numbers are left alone.
    """
    words = [match.span() for match in _WORD.finditer(text) if len(match[0]) > 1 and match[0].isalpha()]
    if not words:
        return text
    # A string as the seed is hashed by SHA-512: the same on every machine.
    chance = random.Random(f"{seed}:{text}")  # noqa: S311 - not for secrets
    for start, end in sorted(chance.sample(words, math.ceil(TYPING_ERROR_SHARE * len(words))), reverse=True):
        text = text[:start] + _mistype(text[start:end], chance) + text[end:]
    return text


def _mistype(word: str, chance: random.Random) -> str:
    place = chance.randrange(len(word))
    letter = word[place]
    near = KEYBOARD.get(turkish.lower(letter), "")
    swappable = [i for i in range(len(word) - 1) if word[i] != word[i + 1]]
    kinds = ["drop", "double", *(["near"] if near else []), *(["swap"] if swappable else [])]
    match chance.choice(kinds):
        case "drop":
            return word[:place] + word[place + 1 :]
        case "double":
            return word[: place + 1] + word[place:]
        case "near":
            typed = chance.choice(near)
            return word[:place] + (capitals(typed) if letter.isupper() else typed) + word[place + 1 :]
        case _:
            first = chance.choice(swappable)
            return word[:first] + word[first + 1] + word[first] + word[first + 2 :]


PERTURBATIONS: tuple[Perturbation, ...] = (
    Perturbation(
        "no_turkish_letters", "without Turkish letters", lambda text, _: without_turkish_letters(text)
    ),
    Perturbation("typing_errors", "a typing error in one word of ten", typing_errors),
    Perturbation("capitals", "all capitals", lambda text, _: capitals(text)),
    Perturbation("lower_case", "all lower case", lambda text, _: turkish.lower(text)),
    Perturbation("first_sentence", "first sentence only", lambda text, _: first_sentence(text)),
    Perturbation("first_ten_words", "first ten words only", lambda text, _: first_words(text)),
)
"""In the order of the report."""
