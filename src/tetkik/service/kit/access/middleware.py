"""What every answer carries and every request must keep to: headers, host, origin, a number for the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI, Request
from starlette.datastructures import Headers as RequestHeaders
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tetkik.language import Sentence
from tetkik.records.ids import new_id
from tetkik.service.kit.access.body_limits import BodyLimitMiddleware
from tetkik.service.kit.access.oidc import departments_by_value, roles_by_group
from tetkik.service.kit.access.proxies import TrustedProxyMiddleware, networks
from tetkik.service.kit.access.rate_limits import RateLimits
from tetkik.service.kit.access.required_passkey import passkey_roles
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http import problems

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'"
)
"""Content-Security-Policy: nothing from elsewhere, and no script or style within a page."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_ELSEWHERE = frozenset({"cross-site", "same-site"})
_API = "/api/v1"
_ASSETS = "/static"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_log = structlog.get_logger()
Observe = Callable[[Scope, int, float], None]
"""Called with each request that was answered: its scope, the status, and the seconds that it took."""


class HeadersMiddleware:
    """Gives each request a number and each answer its headers, and writes one line of it into the log."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        secure: bool,
        microphone: bool = False,
        agent: str = "",
        observe: Observe | None = None,
    ) -> None:
        allowed = "(self)" if microphone else "()"
        self._app = app
        self._observe = observe
        self._headers = {
            # The page of a report asks the agent of the signature card on the reader's own computer.
            "Content-Security-Policy": f"{POLICY}; connect-src 'self' {agent}" if agent else POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": f"camera=(), microphone={allowed}, geolocation=()",
        }
        if secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = new_id()
        state = scope.setdefault("state", {})
        state["request_id"] = number
        status, began, stream = 500, time.perf_counter(), False

        async def with_headers(message: Message) -> None:
            nonlocal status, stream
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                stream = headers.get("content-type", "").startswith("text/event-stream")
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = number
                if scope["path"].startswith(f"{_API}/") and _is_json(headers):
                    headers.setdefault("Content-Disposition", 'attachment; filename="api.json"')
                if status == 429 and "retry_after" in state:
                    headers["Retry-After"] = str(state["retry_after"])
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        finally:
            seconds = time.perf_counter() - began
            if self._observe is not None and not stream:  # how long somebody listens is no latency
                self._observe(scope, status, seconds)
            route = template_of(scope)
            say = _log.debug if route == _ASSETS and status < 400 else _log.info
            say(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 1),
                id=number,
            )


def _is_json(headers: MutableHeaders) -> bool:
    """Whether a browser that is led to such an answer shall keep it as a file (OWASP ASVS 4.0.3, 14.4.2)."""
    kind = headers.get("content-type", "").partition(";")[0]
    return kind in ("application/json", "application/problem+json")


def template_of(scope: Scope) -> str:
    """The template of the route that answered; the path itself may hold a link's secret."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return _ASSETS if scope["path"].startswith(f"{_ASSETS}/") else "-"
    # A router's own path stands without the prefix that it was included under.
    api = scope["path"].startswith(f"{_API}/") and not path.startswith(f"{_API}/")
    return f"{_API}{path}" if api else path


class HostOriginMiddleware:
    """Refuses requests for another host than that of `public_url`, and changes that another site asks for."""

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self._app = app
        host = urlsplit(public_url).hostname if public_url else None
        self._hosts = {host.lower()} | _LOOPBACK if host else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._refusal(RequestHeaders(scope=scope), scope["method"])
            if refusal is not None:
                answer = problems.answer(Request(scope), refusal[0], refusal[1], "Refused")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, headers: RequestHeaders, method: str) -> tuple[int, Sentence] | None:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if self._hosts is not None and host.lower() not in self._hosts:
            return 400, Sentence("This server is not reached under that name; see the setting public_url.")
        # Another site's page must not sign anybody in either, where there is no session's token yet.
        if method not in _SAFE and headers.get("sec-fetch-site") in _ELSEWHERE:
            return 403, Sentence("The request does not come from a page of this server; load the page again.")
        return None


def install(app: FastAPI, context: AppContext, observe: Observe) -> None:
    """Add the middleware; what is added last stands outermost."""
    for read in (roles_by_group, departments_by_value, passkey_roles):
        read(context.settings)  # a wrong setting is an error at the start
    app.state.rate_limits = RateLimits(context.settings)
    app.add_middleware(BodyLimitMiddleware, routes=app.router, most=context.settings.max_upload_bytes)
    app.add_middleware(HostOriginMiddleware, public_url=context.settings.public_url)
    microphone = bool(context.settings.dictation_url) or context.settings.dictation_browser
    app.add_middleware(
        HeadersMiddleware,
        secure=context.secure,
        microphone=microphone,
        agent=context.settings.signature_agent,
        observe=observe,
    )
    app.add_middleware(TrustedProxyMiddleware, trusted=networks(context.settings.trusted_proxies))
