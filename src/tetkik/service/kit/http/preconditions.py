"""Changes that name the state they were made on: the header `If-Match` (RFC 9110, 13.1.1)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header
from starlette.exceptions import HTTPException

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
