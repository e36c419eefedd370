"""What a request says beside its body; answers that are files, streams (WHATWG HTML, 9.2) or redirects."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Generic, Self, TypeVar
from urllib.parse import quote

from fastapi import Depends, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tetkik.errors import InputError
from tetkik.service.kit.rendering.templates import asset, bundled

# What a request says beside its body: cursors of long lists, dates, `If-Match`; and the base of answers.


def _refuse_number(given: object) -> object:
    try:
        float(str(given))
    except ValueError:
        return given
    raise ValueError("a number is no date; write it as 2026-03-01")


# Pydantic reads a number as seconds since 1970, which the API does not promise.
DateTime = Annotated[datetime, BeforeValidator(_refuse_number)]
Date = Annotated[date, BeforeValidator(_refuse_number)]


class Shape(BaseModel):
    """Takes its fields from a value of the records: the attributes of the same names, or `given`.

    `validation_alias` names an attribute that is called otherwise.
    """

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def from_value(cls, value: object, /, **given: Any) -> Self:
        names = {
            str(field.validation_alias or name) for name, field in cls.model_fields.items()
        } - given.keys()
        return cls(**given, **{name: getattr(value, name) for name in names if hasattr(value, name)})


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


CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
MATCHED: dict[int | str, dict[str, Any]] = {
    412: {"description": "Somebody else changed it first.", "content": CONTENT},
    428: {"description": "The header If-Match is missing.", "content": CONTENT},
}
"""For `responses=` of routes that take `IfMatch` or `Revision`."""


def _if_match(
    if_match: Annotated[
        str | None, Header(max_length=200, description="ETag of what the change was made on.")
    ] = None,
) -> str:
    if if_match is None:
        raise HTTPException(
            428, "This change needs the header If-Match with an ETag; load what it changes and send its ETag."
        )
    return if_match


IfMatch = Annotated[str, Depends(_if_match)]
"""A route's parameter for the ETag that the change was made on."""


def number_in(if_match: IfMatch) -> int:
    """The number that an ETag names; -1, which nothing has, for anything else."""
    number = if_match.strip().removeprefix("W/").strip('"')
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else -1


Revision = Annotated[int, Depends(number_in)]
"""A route's parameter for the revision in If-Match."""


def is_phone(headers: Headers) -> bool:
    """By the client hint (W3C User-Agent Client Hints, 3.4), or by the word that browsers of phones say."""
    return headers.get("sec-ch-ua-mobile") == "?1" or "Mobi" in headers.get("user-agent", "")


_FOR_EVER = "public, max-age=31536000, immutable"


def download_headers(name: str, *, inline: bool = False) -> dict[str, str]:
    """Headers of a file that a browser saves, or shows with `inline`; no cache keeps it."""
    place = "inline" if inline else "attachment"
    return {"Content-Disposition": f'{place}; filename="{name}"', "Cache-Control": "no-store"}


def event(name: str, /, **data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def event_stream(events: AsyncIterator[str]) -> StreamingResponse:
    """An answer that no cache keeps and no proxy buffers."""
    return StreamingResponse(
        events,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class VersionedStaticFiles(StaticFiles):
    """Files of the package. One that a module asks for by its bare name is asked for again each time.

    `bundle/` before the path of a script is that script with all that it imports.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path.startswith("bundle/js/") and ".." not in path:
            try:
                text, address = bundled(path.removeprefix("bundle/"))
            except OSError:
                return Response(status_code=404)
            answer = Response(text, media_type="text/javascript")
        else:
            answer = await super().get_response(path, scope)
            address = asset(path)
        # While services are replaced, a page of one version may come to another for its files.
        current = scope.get("query_string", b"").decode("latin-1") == address.partition("?")[2]
        answer.headers["Cache-Control"] = _FOR_EVER if current else "no-cache"
        return answer


def safe_path(target: str) -> str:
    r"""`target` if it is a path of this service, else the start page.

    `//elsewhere` and `/\elsewhere` are other hosts to a browser, and it drops tabs and line ends.
    """
    plain = target.startswith("/") and not target.startswith("//")
    return target if plain and "\\" not in target and all(char > " " for char in target) else "/"


def with_next(page: str, target: str) -> str:
    """The address of `page` that knows where to return to."""
    return f"{page}?next={quote(safe_path(target))}"
