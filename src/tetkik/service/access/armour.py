"""What every answer carries and every request must keep to: headers, a number for the log."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tetkik.records.ids import new_id
from tetkik.service.house import House

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'"
)
"""Content-Security-Policy: nothing from elsewhere, and no script or style within a page."""


class Headers:
    """Gives each request a number and each answer its headers.

    Args:
        app: the application behind it.
        secure: whether browsers come over TLS.
    """

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._headers = {
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        }
        if secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = new_id()
        scope.setdefault("state", {})["request_id"] = number

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = number
            await send(message)

        await self._app(scope, receive, with_headers)


def install(app: FastAPI, house: House) -> None:
    """Put the armour around the application."""
    app.add_middleware(Headers, secure=house.secure)
