"""A page from its template, in the language and the theme of whoever looks at it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from tetkik.errors import TetkikError
from tetkik.language import Language, translate
from tetkik.records.people import notices
from tetkik.service.kit.context import context_of
from tetkik.service.kit.rendering.highlights import plain
from tetkik.service.kit.rendering.navigation import current_entry, navigation_of
from tetkik.service.kit.rendering.scripts import bundled
from tetkik.service.kit.statuses import status_of
from tetkik.values import DISCLAIMER, Permission

LANGUAGE_COOKIE = "tetkik-language"
THEME_COOKIE = "tetkik-theme"


@cache
def environment() -> Environment:
    """The templates; what they are given is escaped, and a name that is not given is a fault."""
    templates = Environment(
        loader=PackageLoader("tetkik.service"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {
        "asset": asset,
        "script": lambda path: bundled(path)[1],
        "Permission": Permission,
        "places_of": navigation_of,
    }
    templates.filters |= {"ago": _ago, "exact": exact, "iso": datetime.isoformat, "plain": plain}
    return templates


_STEPS = (
    (86400, "{n} d ago"),
    (3600, "{n} h ago"),
    (60, "{n} min ago"),
)


def exact(moment: datetime) -> str:
    """Day, month, year, hours and minutes, as both languages of the pages write them here."""
    return moment.astimezone().strftime("%d.%m.%Y %H:%M")


def ago(moment: datetime, now: datetime, language: Language) -> str:
    """How long before `now`; the other way round counts as just now."""
    seconds = (now - moment).total_seconds()
    for length, words in _STEPS:
        if seconds >= length:
            return translate(words, language, n=int(seconds // length))
    return translate("just now", language)


@pass_context
def _ago(context: Context, moment: datetime) -> str:
    return ago(moment, context["now"], context["language"])


@cache
def asset(path: str) -> str:
    """The address of a file under `static/`; it changes with the content, so browsers may keep it."""
    content = resources.files("tetkik.service").joinpath("static", *path.split("/")).read_bytes()
    return f"/static/{path}?v={hashlib.sha256(content).hexdigest()[:12]}"


def language_of(request: Request) -> Language:
    """The language of a request: the person's, the cookie's, of Accept-Language, or the setting's."""
    identified = getattr(request.state, "identified", None)
    if identified is not None and identified.language is not None:
        chosen: Language = identified.language
        return chosen
    cookie = request.cookies.get(LANGUAGE_COOKIE)
    if cookie in list(Language):
        return Language(cookie)
    for preferred in request.headers.get("accept-language", "").split(","):
        code = preferred.split(";")[0].strip()[:2].lower()
        if code in list(Language):
            return Language(code)
    return context_of(request).settings.language


def theme_of(request: Request) -> str | None:
    """`light`, `dark`, or None for the system's."""
    identified = getattr(request.state, "identified", None)
    chosen = identified.theme if identified is not None else None
    chosen = chosen or request.cookies.get(THEME_COOKIE)
    return chosen if chosen in ("light", "dark") else None


def render(
    request: Request,
    template: str,
    /,
    *,
    status: int | None = None,
    error: TetkikError | None = None,
    **values: Any,
) -> HTMLResponse:
    """A page or a fragment, of a template such as `cases/page.html.jinja`.

    Every template also gets `t`, `language`, `theme`, `actor` (None where nobody is signed in), `may`,
    `unseen_notices`, `navigation`, `current_page`, `csrf`, `now`, `hospital`, `disclaimer`, `lock_minutes`,
    `queue_hours`, `path`, `demonstration` (None but in one).
    """
    language = language_of(request)
    identified = getattr(request.state, "identified", None)
    actor = identified.actor if identified is not None else None
    settings = context_of(request).settings

    def t(sentence: str, /, **fields: object) -> str:
        return translate(sentence, language, **fields)

    def may(permission: str) -> bool:
        return actor is not None and actor.may(Permission(permission))

    def unseen_notices() -> int:
        """Called by the bar alone: a fragment needs no query."""
        if actor is None or actor.session_id is None:
            return 0
        with context_of(request).records.read(actor) as tx:
            return notices.count_unseen(tx)

    entries = navigation_of(request, actor) if actor is not None else ()
    shared = {
        "navigation": entries,
        "current_page": current_entry(entries, request.scope["path"]),
        "t": t,
        "may": may,
        "unseen_notices": unseen_notices,
        "actor": actor,
        "language": language,
        "theme": theme_of(request),
        "csrf": identified.csrf if identified is not None else "",
        "now": datetime.now(UTC),
        "hospital": settings.hospital_name,
        "disclaimer": DISCLAIMER[language],
        "lock_minutes": settings.lock_minutes,
        "queue_hours": settings.phone_queue_hours,
        "path": request.scope["path"],
        "demonstration": context_of(request).demonstration,
    }
    shared["error"] = error.in_language(language) if error is not None else None
    status = status or (status_of(error) if error is not None else 200)
    page = environment().get_template(template).render(shared | values)
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})
