"""OHIF as its project publishes it (npm, `@ohif/app`), served beside the DICOMweb of an archive."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import httpx
import pytest
from platformdirs import user_cache_path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from tests.programs import program
from tests.service.browser import at_a_port

VERSION = "3.12.0"
# OHIF (3.12.0 to 3.13.2) asks every measurement group for coordinates; one without any stops its viewport.
# docs/how-to/integrations.md tells hospitals to set the same.
_FINDINGS_WITHOUT_PLACE = """({ measurement }) => {
    if (!measurement.coords.length) measurement.coords.push({});
    return measurement;
}"""
_SHA256 = "88a34cd3b0594dbe394533a2d546fbaaecb88419c3bd6b0d58d7802be2248798"
_SOURCE = {
    "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
    "sourceName": "pacs",
    "configuration": {
        "friendlyName": "pacs",
        "name": "pacs",
        "wadoUriRoot": "/dicom-web",
        "qidoRoot": "/dicom-web",
        "wadoRoot": "/dicom-web",
        "qidoSupportsIncludeField": False,
        "supportsFuzzyMatching": False,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "dicomUploadEnabled": False,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
    },
}
_CONFIG = {
    "routerBasename": "/",
    "showStudyList": True,
    "extensions": [],
    "modes": [],
    "defaultDataSourceName": "pacs",
    "dataSources": [_SOURCE],
    "investigationalUseDialog": {"option": "never"},
    "maxNumberOfWebWorkers": 1,
    "showCPUFallbackMessage": False,
}


def distribution() -> Path:
    """The built viewer, kept in the user's cache."""
    folder = user_cache_path("tetkik") / "tests" / f"ohif-{VERSION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(mkdtemp(prefix=".ohif-", dir=folder.parent))
        try:
            command = [program("npm"), "pack", f"@ohif/app@{VERSION}", "--silent"]
            if subprocess.run(command, cwd=stage, capture_output=True, check=False, timeout=300).returncode:
                pytest.fail(f"npm could not fetch @ohif/app@{VERSION}; run the tests again once it can.")
            (packed,) = stage.glob("*.tgz")
            assert hashlib.sha256(packed.read_bytes()).hexdigest() == _SHA256, "another OHIF than was pinned"
            with tarfile.open(packed) as archive:
                archive.extractall(stage, filter="data")
            (stage / "package" / "dist").rename(folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return folder


@contextmanager
def viewer(archive: str) -> Iterator[str]:
    """Serve the viewer with the archive at this address behind it; gives its own address."""
    folder = distribution()

    async def pages(request: Request) -> Response:
        file = folder / request.path_params["path"]
        return FileResponse(file if file.is_file() else folder / "index.html")

    async def config(_: Request) -> Response:
        custom = f"[{{ onBeforeSRAddMeasurement: {{ $set: {_FINDINGS_WITHOUT_PLACE} }} }}]"
        content = f"window.config = {json.dumps(_CONFIG)}; window.config.customizationService = {custom};"
        return Response(content, media_type="text/javascript")

    async def proxied(request: Request) -> Response:
        headers = {"accept": request.headers.get("accept", "*/*"), "host": request.url.netloc}
        async with httpx.AsyncClient(timeout=60) as client:
            url = f"{archive}{request.url.path}?{request.url.query}"
            answer = await client.get(url, headers=headers)
        kind = answer.headers.get("content-type", "")
        return Response(answer.content, answer.status_code, {"Content-Type": kind})

    routes = [Route("/app-config.js", config), Route("/dicom-web/{path:path}", proxied)]
    with at_a_port(Starlette(routes=[*routes, Route("/{path:path}", pages)])) as address:
        yield address
