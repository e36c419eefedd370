"""Sentences that are none of a report: instructions, addresses, persons, code, holes of a template."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tetkik.privacy import find_personal
from tetkik.report.grounding.vocabulary import words
from tetkik.turkish import flat

_CODE = re.compile(r"<[a-z/!][^>]{0,80}>?|\{\{?|\}\}?|https?:|www\.|```|\$\{|\\u00|&(?:#\d|[a-z]{2,6};)")
_HOLE = re.compile(r"\bx{3,}\b|_{3,}")
# What is not seen (marks of direction, characters without width, controls) or is of another script: either
# may hide a word from its reader or from this check.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffd"
    "\u0400-\u1cff\u2c00-\ufb4f\ufe00-\ufe0f\uff00-\uffef\U00010000-\U0010ffff]+"
)
LONGEST = 1200
"""Characters of a sentence; a longer one is none."""


def foreign_in(text: str, *, holes: bool = True) -> Iterator[tuple[int, int]]:
    """Where a sentence says what no report says.

    Args:
        holes: whether a place left open (`___`) is foreign; in a text made anonymous it is not.
    """
    plain = flat(text)
    for pattern in (words("foreign", "machine"), _CODE, *((_HOLE,) if holes else ())):
        yield from (match.span() for match in pattern.finditer(plain))
    yield from (match.span() for match in _HIDDEN.finditer(text))
    yield from ((found.start, found.end) for found in find_personal(text))
    if len(" ".join(text.split())) > LONGEST or not any(char.isalpha() for char in text):
        yield 0, len(text)
