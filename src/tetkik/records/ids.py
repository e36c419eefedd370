"""Names for rows: unique, in the order of time, and saying nothing about anybody."""

from __future__ import annotations

import secrets
import time

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 26
"""Characters of an id."""
_RANDOM_BITS = 80
_TIME = LENGTH - _RANDOM_BITS // 5
"""Characters that tell the time."""


def new_id() -> str:
    """26 characters of Crockford's base 32, lower case: 48 bits of milliseconds, then 80 random ones.

    Rows made one after another lie side by side in an index, and nobody can guess one.
    """
    number = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


def new_id_like(other: str) -> str:
    """An id of the same millisecond as another: what is made again keeps its place in the order of time."""
    return other[:_TIME] + new_id()[_TIME:]


def is_id(text: str) -> bool:
    """Whether `text` could be an id: what came from outside is looked at before a database sees it."""
    return len(text) == LENGTH and all(char in _DIGITS for char in text)
