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
from tetkik.triage.linear.features import hits, prepare
from tetkik.triage.linear.lexicon import builtin

_SUFFIX = re.compile(
    r"(?:iyor|uyor|yorum|yorsun|yoruz|yorlar|mis|mus|acak|ecek|mak|mek|dim|dum|tim|tum|dir|dur|lar|ler|larim|lerim"
    r"|imde|umda|umde|inda|inde|undan|inden|lik|luk|siz|suz|sizlik)(?:im|um|si|i|u|in|un|a|e|da|de|dan|den)?$"
)


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


@cache
def _words() -> _Words:
    table = tomllib.loads(resources.files("tetkik.triage").joinpath("words.toml").read_text("utf-8"))
    turkish_words: list[str] = table["turkish"]
    return _Words(
        frozenset(word[:-1] for word in turkish_words if word.endswith("$")),
        frozenset(word for word in turkish_words if not word.endswith("$")),
        frozenset(table["foreign"]),
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
    known = [_is_turkish(word) for word in words]
    plain = sum(known)
    foreign = sum(word in _words().foreign and not yes for word, yes in zip(words, known, strict=True))
    if foreign >= 2 and foreign >= plain:
        return Unreadable.NOT_TURKISH
    if plain >= max(1, 0.15 * len(words)):
        return None
    covered: set[int] = set()
    for hit in hits(prepare(text), builtin()):
        covered.update(range(hit.first, hit.last))
    if len(covered) + plain >= max(1, 0.1 * len(words)):
        return None
    return Unreadable.NOT_TURKISH if foreign else Unreadable.NO_COMPLAINT


@lru_cache(maxsize=1 << 14)
def _is_turkish(word: str) -> bool:
    words = _words()
    if word in words.whole or _SUFFIX.search(word):
        return True
    return any(word[:length] in words.beginnings for length in range(2, min(len(word), 9) + 1))
