"""Long lists, a page at a time: a cursor says where the next begins (keyset: nothing is skipped)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from tetkik.errors import InputError
from tetkik.service.kit.http.shape import DateTime

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="Most items of this page.")]
Cursor = Annotated[
    str | None, Query(max_length=400, description="`next` of the page before; none begins at the first.")
]


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None = Field(default=None, description="The cursor of the next page; None after the last.")


Since = Annotated[DateTime | None, Query(description="This moment and later, with its zone.")]
Until = Annotated[DateTime | None, Query(description="Before this moment, with its zone.")]


def zoned(moment: datetime | None) -> datetime | None:
    """In UTC; a time without a zone is one of this machine's."""
    try:
        return moment.astimezone(UTC) if moment is not None else None
    except (OverflowError, ValueError):
        raise InputError("The moment lies beyond the calendar; give one of this century.") from None


def encode_cursor(place: Sequence[str | int]) -> str:
    """A cursor of the last item's sort key: opaque to whoever carries it."""
    return base64.urlsafe_b64encode(json.dumps(list(place)).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type]) -> list[str | int]:
    """The sort key that a cursor stands for."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, UnicodeDecodeError, RecursionError):
        place = None
    if not isinstance(place, list) or [type(part) for part in place] != list(kinds):
        raise InputError("The cursor is not one of this list; take `next` of the page before, as it is.")
    return place
