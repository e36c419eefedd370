"""What a browser installs the reading room by, and the page for complaints and photos without a network.

Nothing here holds anything of a patient: the service worker keeps the page `/offline` and its files alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from enum import IntEnum
from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from tetkik.drawing.icon import TEAL, icon
from tetkik.errors import NotFound, UsageError
from tetkik.integrations.phone.android_package import parse_address
from tetkik.language import Sentence
from tetkik.service.kit.access.authorization import RequestContext, allowed, public
from tetkik.service.kit.context import ContextDep
from tetkik.service.kit.rendering.templates import asset, language_of, render
from tetkik.values.access import Permission

pages = APIRouter()
_OFFLINE = "/offline"
_FILES = re.compile(r'(?:href|src|data-phone)="(/static/[^"#]+)')
_ABOUT = Sentence("Complaints, images and reports of the hospital")


class _Side(IntEnum):
    """Pixels of an icon that is served."""

    SMALL = 192
    LARGE = 512


@pages.get("/manifest.webmanifest", dependencies=[public()])
def manifest(request: Request, context: ContextDep) -> Response:
    """The web app manifest (W3C), in the language of whoever asks."""
    language = language_of(request)
    icons = [{"src": asset("favicon.svg"), "sizes": "any", "type": "image/svg+xml"}]
    for purpose, path in (("any", "icon"), ("maskable", "maskable")):
        icons += [
            {"src": f"/{path}-{side}.png", "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose}
            for side in _Side
        ]
    content = {
        "id": "/",
        "name": " · ".join(filter(None, ("Tetkik", context.settings.hospital_name))),
        "short_name": "Tetkik",
        "description": _ABOUT.in_language(language),
        "lang": language.value,
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "background_color": "#f5f8f8",
        "theme_color": TEAL,
        "icons": icons,
    }
    return JSONResponse(content, headers=_FRESH, media_type="application/manifest+json")


_FRESH = {"Cache-Control": "no-cache"}


@pages.get("/icon-{side}.png", dependencies=[public()])
def app_icon(side: _Side) -> Response:
    return Response(icon(int(side)), media_type="image/png", headers=_DAY)


@pages.get("/maskable-{side}.png", dependencies=[public()])
def maskable_icon(side: _Side) -> Response:
    """An icon with room for a launcher to cut."""
    return Response(icon(int(side), maskable=True), media_type="image/png", headers=_DAY)


_DAY = {"Cache-Control": "public, max-age=86400"}


@pages.get("/service-worker.js", dependencies=[public()])
def service_worker(request: Request) -> Response:
    """The service worker; another page or another file in it is another worker, which replaces it."""
    page = bytes(_offline(request).body)
    files = sorted(set(_FILES.findall(page.decode())))
    version = hashlib.sha256(page).hexdigest()[:12]
    values = {"VERSION": version, "OFFLINE": _OFFLINE, "FILES": files}
    head = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
    code = resources.files("tetkik.service").joinpath("static", "js", "phone", "worker.js").read_text("utf-8")
    return Response(head + code, media_type="text/javascript", headers=_FRESH)


@pages.get(_OFFLINE, dependencies=[public()])
def offline_page(request: Request) -> HTMLResponse:
    """The page that stands where another cannot be reached; it names nobody and no session."""
    return _offline(request)


def _offline(request: Request) -> HTMLResponse:
    return render(request, "phone/offline.html.jinja")


@pages.get("/phone")
def phone_page(ctx: Annotated[RequestContext, allowed(Permission.CASE_CREATE)]) -> HTMLResponse:
    """What was taken on this phone and waits to be sent; a new complaint or photo."""
    return ctx.render("phone/page.html.jinja")


@pages.get("/.well-known/assetlinks.json", dependencies=[public()])
def asset_links(context: ContextDep) -> JSONResponse:
    """Which Android package may show these pages without a browser's bar (Digital Asset Links)."""
    settings = context.settings
    try:
        address = parse_address(settings.public_url)
    except UsageError:
        address = None
    if not settings.phone_fingerprint or address is None:
        raise NotFound("No Android package belongs to this server; see the setting phone_fingerprint.")
    target = {
        "namespace": "android_app",
        "package_name": address.package,
        "sha256_cert_fingerprints": [settings.phone_fingerprint],
    }
    statement = {"relation": ["delegate_permission/common.handle_all_urls"], "target": target}
    return JSONResponse([statement], headers=_FRESH)
