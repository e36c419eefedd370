"""Whether a text can be a complaint in Turkish at all, before any model answers it.

A model gives some department for any string. Here a text without letters, in another language or script, or
without a single word that a Turkish complaint would have is answered with the reason instead.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources

from tetkik import turkish
from tetkik.privacy.rules import is_name
from tetkik.triage.linear.features import builtin, hits, prepare
from tetkik.triage.urgency.symptoms import recogniser

_SUFFIX = re.compile(
    r"(?<=\w\w)(?:iyor|uyor|yorum|yorsun|yoruz|yorlar|mis|mus|acak|ecek|mak|mek|dim|dum|tim|tum|dir|dur|lar|ler|larim|lerim"
    r"|ildi|uldu|indi|undu|imde|umda|umde|inda|inde|undan|inden|lik|luk|siz|suz|sizlik)(?:im|um|si|i|u|in|un|a|e|da|de|dan|den)?$"
)
_KEYBOARD = re.compile(r"asd|qwe|wer[tq]|zxc|xcv|sdf|dfg|fgh|ghj|hjk|jkl|lkj|(\w)\1\1")
"""Letters that stand side by side, and one that was held down."""
_DIGIT_FOR_LETTER = re.compile(r"[a-z][235789]|[235789][a-z]{2}")
"""Arabic in Latin letters: `waja3`, `3andi`."""
_OWN = frozenset("ıİğĞ")
"""Letters that few languages but Turkish have."""
_SHORT = 6
"""Words of a text that may be a greeting or a name alone, at most."""
_LOOKED_UP = 60
"""Words that are looked up in the vocabularies of the model and of the rules, at most."""
_LANGUAGE_SAMPLE = 2_000
"""Characters that tell the language well enough."""


class Unreadable(StrEnum):
    """Why a text gets no department; the value is the sentence, in English."""

    EMPTY = "The text is empty; type what hurts, where and since when."
    TOO_LONG = "The text is too long to be a complaint; shorten it to what hurts, where and since when."
    NO_LETTERS = "The text has no words; type what hurts, where and since when."
    NOT_TURKISH = "The text does not look like Turkish; type the complaint in Turkish."
    NO_COMPLAINT = "No word of the text is known from complaints; type what hurts, where and since when."


@dataclass(frozen=True, slots=True)
class _Words:
    whole: frozenset[str]
    beginnings: frozenset[str]
    foreign: frozenset[str]
    courtesy: frozenset[str]


@cache
def _words() -> _Words:
    table = tomllib.loads(resources.files("tetkik.triage").joinpath("words.toml").read_text("utf-8"))
    turkish_words: list[str] = table["turkish"]
    return _Words(
        frozenset(word[:-1] for word in turkish_words if word.endswith("$")),
        frozenset(word for word in turkish_words if not word.endswith("$")),
        frozenset(table["foreign"]),
        frozenset(table["courtesy"]),
    )


def unreadable_reason(text: str, *, most_characters: int) -> Unreadable | None:
    """The reason why `text` cannot be read as a complaint, or None where it can."""
    if not text.strip():
        return Unreadable.EMPTY
    if len(text) > most_characters:
        return Unreadable.TOO_LONG
    folded = turkish.fold(text[:_LANGUAGE_SAMPLE])
    words = [word for word in folded.split() if not word.isdigit()]
    if sum(len(word) for word in words) < 2:
        return Unreadable.NO_LETTERS
    if not folded.isascii() and sum(char.isascii() and char != " " for char in folded) < 0.6 * len(
        folded.replace(" ", "")
    ):
        return Unreadable.NOT_TURKISH
    if "ə" in folded:  # Azeri: near enough to be misread
        return Unreadable.NOT_TURKISH
    if len(words) <= _SHORT and (_words().courtesy.issuperset(words) or is_name(text)):
        return Unreadable.NO_COMPLAINT
    known = [_is_turkish(word) for word in words]
    plain = sum(known)
    foreign = sum(not yes and _is_foreign(word) for word, yes in zip(words, known, strict=True))
    if foreign >= 2 and foreign >= plain:
        return Unreadable.NOT_TURKISH
    if plain >= max(1, 0.15 * len(words)):
        return None
    # From here on only a few short or badly misspelled complaints; it takes longer, and so reads less.
    words, plain = words[:_LOOKED_UP], sum(known[:_LOOKED_UP])
    sensible = " ".join(word for word in words if not _KEYBOARD.search(word))
    covered = {place for hit in hits(prepare(sensible), builtin()) for place in range(hit.first, hit.last)}
    if len(covered) + plain >= max(1, 0.1 * len(words)):
        return None
    own = sum(not _OWN.isdisjoint(word) for word in text[:_LANGUAGE_SAMPLE].split())
    if not foreign and (own >= max(3, len(words) / 4) or recogniser().read(sensible).found):
        return None
    return Unreadable.NOT_TURKISH if foreign else Unreadable.NO_COMPLAINT


@lru_cache(maxsize=1 << 14)
def _is_foreign(word: str) -> bool:
    return word in _words().foreign or not word.isascii() or bool(_DIGIT_FOR_LETTER.search(word[1:-1]))


@lru_cache(maxsize=1 << 14)
def _is_turkish(word: str) -> bool:
    words = _words()
    if word in words.whole or _SUFFIX.search(word):
        return True
    return any(word[:length] in words.beginnings for length in range(2, min(len(word), 9) + 1))
