"""The files of the pages: kept by browsers as long as their address names their content."""

from __future__ import annotations

import os

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_FOR_EVER = "public, max-age=31536000, immutable"


class VersionedStaticFiles(StaticFiles):
    """Files of the package. One that a module asks for by its bare name is asked for again each time."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        versioned = b"v=" in scope.get("query_string", b"")
        answer.headers["Cache-Control"] = _FOR_EVER if versioned else "no-cache"
        return answer
