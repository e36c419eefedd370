"""How much a request may carry: 1 MB, and more where a route takes files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ORDINARY = 1_000_000
"""Bytes of a request that carries no files."""
_MARK = "tetkik_takes_files"
_F = TypeVar("_F", bound=Callable[..., Any])


def takes_files(endpoint: _F) -> _F:
    """Mark the function of a route: its requests may be as large as the setting `max_upload_bytes`.

    It stands below `@router.post(…)`, next to the function.
    """
    setattr(endpoint, _MARK, True)
    return endpoint


class BodyLimitMiddleware:
    """Refuses what is too large: by its declared length at once, else as soon as it is."""

    def __init__(self, app: ASGIApp, *, routes: Router, most: int) -> None:
        self._app = app
        self._routes = routes
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        size = int(declared) if declared.isascii() and declared.isdecimal() else None
        small = size is not None and size <= ORDINARY
        most = (
            ORDINARY
            if small or not getattr(_endpoint(self._routes.routes, scope), _MARK, False)
            else self._most
        )
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413)
            return message

        async def at_once() -> Message:
            raise HTTPException(413)

        too_large = size is not None and size > most
        await self._app(scope, at_once if too_large else counted, send)


def _endpoint(routes: Iterable[Any], scope: Scope) -> object:
    """The function that a request goes to; None where there is none."""
    for route in routes:
        match, child = route.matches(scope)
        if match is not Match.FULL:
            continue
        # Newer versions of FastAPI keep a router that was included as a branch of its own.
        branch = getattr(route, "effective_candidates", None)
        return child.get("endpoint") if branch is None else _endpoint(branch(), scope)
    return None
