"""Answers that are files, streams of events (WHATWG HTML, 9.2), redirects, or files of the pages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tetkik.service.kit.rendering.templates import asset, bundled

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
