"""A page with nothing but the viewer, over images whose every pixel is known, behind the real headers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests.phantom import BITS, draw_phantom
from tests.service.browser import PATIENT
from tetkik.language import Language, translate
from tetkik.service.kit.access.middleware import HeadersMiddleware
from tetkik.service.kit.rendering.templates import environment
from tetkik.service.studies.viewer import Hanging, Stack, Viewer, ViewerStudy

ROWS, COLUMNS = 400, 600
BLOCK = (60, 40, 120, 90)
"""Left, top, right, bottom of the white block in `blocks`."""

PAGE = """
{% import "drafts/viewer.html.jinja" as viewer with context %}
<!doctype html>
<html lang="{{ language }}" data-theme="dark">
<head><title>viewer</title><meta name="csrf-token" content="">
{% for name in ("tokens", "base", "components", "viewer") %}
<link rel="stylesheet" href="/static/css/{{ name }}.css">{% endfor %}
<link rel="stylesheet" href="/test.css">
<script type="module" src="/static/js/shell.js"></script><script type="module" src="/test.js"></script></head>
<body{% include "parts/body.html.jinja" %}><main id="main">{{ viewer.viewer(shown) }}</main>
{% include "parts/overlays.html.jinja" %}</body></html>
"""
SCRIPT = """
import { mount } from '/static/js/viewer/viewer.js';
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective));
const root = document.querySelector('[data-viewer]');
// The WebGL of the tests is an emulated one, which the viewer leaves alone by itself.
root.dataset.drawing = new URLSearchParams(location.search).get('drawing') ?? 'webgl';
window.viewer = await mount(root);
"""
STYLE = ".viewer { width: 900px; height: 700px; } main { padding: 0; margin: 0; }"


def blocks(dtype: type[np.uint8] | type[np.uint16] = np.uint16) -> NDArray[Any]:
    """Grey of a fifth of white, with one white block near the upper left corner."""
    white = np.iinfo(dtype).max
    pixels: NDArray[Any] = np.full((ROWS, COLUMNS), white // 5, dtype)
    left, top, right, bottom = BLOCK
    pixels[top:bottom, left:right] = white
    return pixels


def blocks_in_colour() -> NDArray[np.uint8]:
    """(rows, columns, 3): a red block on dark blue."""
    left, top, right, bottom = BLOCK
    pixels = np.full((ROWS, COLUMNS, 3), (0, 0, 51), np.uint8)
    pixels[top:bottom, left:right] = (255, 0, 0)
    return pixels


@cache
def images() -> dict[str, tuple[NDArray[Any], dict[str, str]]]:
    """Pixels and what is said of them, by the name of the image."""
    return {
        "blocks": (blocks(), {"X-White": "65535", "X-Spacing": "0.2,0.2"}),
        "eight": (blocks(np.uint8), {"X-White": "255"}),
        "colour": (blocks_in_colour(), {"X-White": "255", "X-Samples": "3"}),
        "uneven": (blocks(), {"X-White": "65535", "X-Spacing": "0.4,0.2"}),
        "windowed": (blocks(), {"X-White": "65535", "X-Window": "13107,13107"}),
        "chest": (draw_phantom(), {"X-White": str(2**BITS - 1), "X-Spacing": "0.34,0.34"}),
    }


def heatmap() -> bytes:
    """At half the image's resolution: opaque red over its left upper quarter, nothing elsewhere."""
    pixels = np.zeros((ROWS // 2, COLUMNS // 2, 4), np.uint8)
    pixels[: ROWS // 4, : COLUMNS // 4] = (255, 0, 0, 255)
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    return packed.getvalue()


def shown(image: str, prior: str | None = None, series: Sequence[str] = ()) -> dict[str, Any]:
    """What `service/studies/viewer.py` gives of a case with one image, or of a series that begins with it."""
    whole = Stack(
        (image, *series), f"PA {image}", None, None, ROWS, COLUMNS, 1, ("lung", "mediastinum", "bone")
    )
    study = ViewerStudy("now", "case", "20.11.2026", "", "", 1, (whole,))
    earlier = None
    if prior:
        before = replace(whole, images=(prior,), title=f"PA {prior}")
        earlier = ViewerStudy("then", "other", "02.03.2025", "", "", 1, (before,))
    priors = (earlier,) if earlier else ()
    return Viewer("case", (study,), priors, earlier, Hanging("1x1", (image,)), image).as_json()


def _page(request: Request) -> Response:
    language = Language(request.query_params.get("language", "tr"))

    image = request.query_params.get("image", "blocks")
    prior = request.query_params.get("prior")
    series = request.query_params.get("series")
    text = (
        environment()
        .from_string(PAGE)
        .render(
            t=lambda sentence, /, **fields: translate(sentence, language, **fields),
            language=language,
            actor=None,
            shown=shown(image, prior, series.split(",") if series else ()),
        )
    )
    return HTMLResponse(text)


def _pixels(request: Request) -> Response:
    if request.path_params["id"] not in images():
        return JSONResponse({"detail": "There is no such image."}, 404)
    pixels, headers = images()[request.path_params["id"]]
    bits = pixels.dtype.itemsize * 8
    shape = {"X-Rows": str(pixels.shape[0]), "X-Columns": str(pixels.shape[1]), "X-Bits": str(bits)}
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    return Response(content, media_type="application/octet-stream", headers=shape | headers)


def _heatmap(request: Request) -> Response:
    if request.path_params["label"] == "missing":
        return Response(status_code=404)
    return Response(heatmap(), media_type="image/png")


def viewer_app() -> HeadersMiddleware:
    """The application."""
    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/test.js", lambda _request: Response(SCRIPT, media_type="text/javascript")),
            Route("/test.css", lambda _request: Response(STYLE, media_type="text/css")),
            Route("/favicon.ico", lambda _request: Response(status_code=204)),
            Route("/api/v1/images/{id}/pixels", _pixels),
            Route("/api/v1/images/{id}/heatmaps/{label}", _heatmap),
            Mount("/static", StaticFiles(packages=[("tetkik.service", "static")])),
        ]
    )
    return HeadersMiddleware(app, secure=False)


WEBGL = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PROCESSOR = ("--no-sandbox", "--disable-gpu", "--disable-3d-apis")


@contextmanager
def a_page(browser: Browser, fineness: float = 1) -> Iterator[Page]:
    """A page, and no fault and no violation of the policy in it.

    Args:
        browser: that shows it.
        fineness: the screen's pixels for one of CSS.
    """
    page = browser.new_page(viewport={"width": 1000, "height": 760}, device_scale_factor=fineness)
    page.set_default_timeout(PATIENT)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    assert page.evaluate("window.violations") == []
    assert faults == []
    page.close()


def opened(page: Page, address: str, query: str = "") -> None:
    """Go to the viewer and wait for its image."""
    page.goto(f"{address}/?{query}")
    page.wait_for_selector("[data-viewer][data-ready]")
    settle(page)


def settle(page: Page) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def place(page: Page, point: tuple[float, float], pane: int = 0) -> tuple[float, float]:
    """Where a point of the image is on the page, by the viewer's own matrix."""
    x, y = page.evaluate("([pane, point]) => viewer.panes[pane].display.toPane(point)", [pane, list(point)])
    box = page.locator("[data-stage]").nth(pane).bounding_box()
    assert box is not None
    return box["x"] + x, box["y"] + y


def colours(page: Page, *points: tuple[float, float], pane: int = 0) -> list[tuple[int, ...]]:
    """The colours on the screen at points of the image."""
    settle(page)
    places = [place(page, point, pane) for point in points]
    left, top = (min(axis) - 2 for axis in zip(*places, strict=True))
    right, bottom = (max(axis) + 2 for axis in zip(*places, strict=True))
    clip = {"x": round(left), "y": round(top), "width": right - left + 2, "height": bottom - top + 2}
    shot = Image.open(io.BytesIO(page.screenshot(clip=clip, scale="css")))  # type: ignore[arg-type]
    seen = np.asarray(shot.convert("RGB"))
    return [
        tuple(int(value) for value in seen[round(y) - clip["y"], round(x) - clip["x"]]) for x, y in places
    ]
