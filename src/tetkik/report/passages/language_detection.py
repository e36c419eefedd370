"""The little words of the two languages, and which of the two a document is in."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from tetkik.language import Language
from tetkik.turkish import fold

_LETTERS = re.compile(r"[ğşıİçöü]")
_LETTER = 0.25
"""What a Turkish letter counts beside a little word: a name with one can stand in an English text."""
_ENOUGH = 20_000


@cache
def little_words(language: Language) -> frozenset[str]:
    """Words that say nothing of what a text is about, folded."""
    text = resources.files(__package__).joinpath("little_words.toml").read_text("utf-8")
    return frozenset(tomllib.loads(text)[language.value])


def language_of(text: str, otherwise: Language) -> Language:
    """The language of a text, by its little words and its letters; without any it is `otherwise`."""
    begin = text[:_ENOUGH]
    words = fold(begin).split()
    turkish, english = little_words(Language.TR), little_words(Language.EN)
    for_turkish = sum(word in turkish - english for word in words) + _LETTER * len(_LETTERS.findall(begin))
    for_english = sum(word in english - turkish for word in words)
    if for_turkish == for_english:
        return otherwise
    return Language.TR if for_turkish > for_english else Language.EN
