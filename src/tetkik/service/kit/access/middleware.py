"""What every answer carries and every request must keep to: headers, host, origin, a number for the log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.datastructures import Headers as RequestHeaders
from starlette.exceptions import HTTPException
from starlette.routing import Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tetkik.language import Sentence
from tetkik.records.ids import new_id
from tetkik.service.kit.access.authentication import passkey_roles
from tetkik.service.kit.access.connections import TrustedProxyMiddleware, networks
from tetkik.service.kit.access.identity_providers import directory_of, oidc_departments, oidc_roles
from tetkik.service.kit.access.rate_limits import RateLimits
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http import problems
from tetkik.service.kit.http.responses import is_phone

# How much a request may carry: 1 MB, and more where a route takes files.


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


POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'"
)
"""Content-Security-Policy: nothing from elsewhere, and no script or style within a page."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HERE = frozenset({"same-origin", "none"})
_API = "/api/v1"
_ASSETS = "/static"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
"""A name or an address, and maybe a port (RFC 9110, 7.2); fewer signs than RFC 3986 lets names have."""
_PORTS = {"http": 80, "https": 443}
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
            "Referrer-Policy": "same-origin",  # without any, browsers send forms with `Origin: null`
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
                # An image that a desk keeps and asks for anew is not kept on a phone at all.
                if headers.get("cache-control", "").startswith("private") and is_phone(
                    RequestHeaders(scope=scope)
                ):
                    headers["Cache-Control"] = "no-store"
                if _kind(headers).endswith("json"):  # what it says of patients is for now alone
                    headers.setdefault("Cache-Control", "no-store")
                if scope["path"].startswith(f"{_API}/") and _is_json(headers):
                    headers.setdefault("Content-Disposition", 'attachment; filename="api.json"')
                if status == 429 and "retry_after" in state:
                    headers["Retry-After"] = str(state["retry_after"])
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        finally:
            for release in state.pop("releases", ()):
                release()
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
    return _kind(headers) in ("application/json", "application/problem+json")


def _kind(headers: MutableHeaders) -> str:
    return headers.get("content-type", "").partition(";")[0]


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

    def __init__(self, app: ASGIApp, *, public_url: str, secure: bool) -> None:
        self._app = app
        self._public = _netloc(public_url)
        self._secure = secure
        host = urlsplit(public_url).hostname if public_url else None
        self._hosts = {host.lower()} | _LOOPBACK if host else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._refusal(scope, RequestHeaders(scope=scope))
            if refusal is not None:
                answer = problems.answer(Request(scope), refusal[0], refusal[1], "Refused")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: RequestHeaders) -> tuple[int, Sentence] | None:
        hosts = headers.getlist("host")
        if len(hosts) > 1 or not all(map(_HOST.fullmatch, filter(None, hosts))) or scope["path"][:1] != "/":
            return 400, Sentence("The address or the Host header of this request is not valid; correct it.")
        host = (urlsplit(f"//{hosts[0]}").hostname if hosts else None) or ""
        if self._hosts is not None and host.lower() not in self._hosts:
            return 400, Sentence("This server is not reached under that name; see the setting public_url.")
        # Another site's page must not sign anybody in either, where there is no session's token yet.
        if scope["method"] not in _SAFE and self._is_from_elsewhere(scope, headers):
            return 403, Sentence("The request does not come from a page of this server; load the page again.")
        return None

    def _is_from_elsewhere(self, scope: Scope, headers: RequestHeaders) -> bool:
        """Whether a page of another site sends a request; programs say nothing of where they are.

        Browsers send Sec-Fetch-Site over TLS and to this machine alone, and old ones never.
        """
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site not in _HERE
        if origin is None:
            return False
        scheme, _, _ = origin.partition("://")
        here = _netloc(f"{scheme}://{headers.get('host', '')}")
        allowed = {one for one in (here, self._public) if one is not None}
        return (self._secure and scheme != "https") or _netloc(origin) not in allowed


def _netloc(url: str) -> tuple[str, int | None] | None:
    """Host and port of a URL; None where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None


def install(app: FastAPI, context: AppContext, observe: Observe) -> None:
    """Add the middleware; what is added last stands outermost."""
    for read in (oidc_roles, oidc_departments, passkey_roles, directory_of):
        read(context.settings)  # a wrong setting is an error at the start
    app.state.rate_limits = RateLimits(context)
    app.add_middleware(BodyLimitMiddleware, routes=app.router, most=context.settings.max_upload_bytes)
    app.add_middleware(HostOriginMiddleware, public_url=context.settings.public_url, secure=context.secure)
    microphone = bool(context.settings.dictation_url) or context.settings.dictation_browser
    app.add_middleware(
        HeadersMiddleware,
        secure=context.secure,
        microphone=microphone,
        agent=context.settings.signature_agent,
        observe=observe,
    )
    app.add_middleware(TrustedProxyMiddleware, trusted=networks(context.settings.trusted_proxies))
