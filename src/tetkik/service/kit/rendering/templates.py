"""A page from its template, in the language and the theme of whoever looks at it."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from tetkik.errors import (
    AccessError,
    Conflict,
    Forbidden,
    InputError,
    NotFound,
    NotSignedIn,
    TetkikError,
    TooManyRequests,
    Unavailable,
    UsageError,
)
from tetkik.language import Language, Sentence, translate
from tetkik.records.people import notices
from tetkik.service.kit.context import context_of
from tetkik.service.kit.rendering.words import plain
from tetkik.values.access import Actor, Permission
from tetkik.values.common import DISCLAIMER

_STATUS: tuple[tuple[type[TetkikError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (NotSignedIn, 401),
    (Forbidden, 403),
    (TooManyRequests, 429),
    (InputError, 422),
    (UsageError, 422),
    (Unavailable, 503),
    (AccessError, 503),  # the identity provider does not answer
)


def status_of(error: TetkikError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


# The modules of a page as one script: a browser asks for one file instead of forty.
#
# Each module becomes a function that runs once, in the order of the imports, so that names stay its own.
# Understood is what the modules of this package use: named imports, and `export` before a declaration that
# is never assigned anew.
_IMPORT = re.compile(r"^import \{([^}]*)\} from '([^']+)';$|^import \{([^}]*)\} from \"([^\"]+)\";$", re.M)
_LATER = re.compile(r"\bawait import\('([^']+)'\)")
_EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const) (\w+))", re.M)
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*(?:(?!\*/).)*\*/|//[^\n]*)\n", re.M | re.S)


@cache
def bundled(path: str) -> tuple[str, str]:
    """The script at `path` under `static/` with all that it imports, and its address."""
    modules: dict[str, str] = {}
    _add(path, modules, set())
    text = "const modules = {};\n" + "".join(modules.values())
    return text, f"/static/bundle/{path}?v={hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _add(path: str, modules: dict[str, str], seen: set[str]) -> None:
    if path in seen:
        return
    seen.add(path)
    text = resources.files("tetkik.service").joinpath("static", *path.split("/")).read_text("utf-8")
    text = _COMMENT.sub("", text)
    folder = posixpath.dirname(path)

    def named(match: re.Match[str]) -> str:
        names, source = match[1] or match[3], match[2] or match[4]
        wanted = posixpath.normpath(posixpath.join(folder, source))
        _add(wanted, modules, seen)
        return f"const {{{names.replace(' as ', ': ')}}} = modules['{wanted}'];"

    def later(match: re.Match[str]) -> str:
        wanted = posixpath.normpath(posixpath.join(folder, match[1]))
        if wanted.startswith("vendor/"):
            return f"await import('/static/{wanted}')"
        _add(wanted, modules, seen)
        return f"modules['{wanted}']"

    text = _LATER.sub(later, _IMPORT.sub(named, text))
    names = ", ".join(match[2] for match in _EXPORT.finditer(text))
    body = _EXPORT.sub(r"\1", text)
    modules[path] = f"modules['{path}'] = (() => {{\n{body}\nreturn {{ {names} }};\n}})();\n"


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """A page in the bar, with a symbol of `static/icons.svg`.

    `start` is its rank among the pages where a person begins after signing in; None for none.
    """

    path: str
    permission: Permission
    icon: str
    name: Sentence
    shortcut: str
    position: int
    start: int | None = None


def navigation_of(request: Request, actor: Actor) -> tuple[NavigationEntry, ...]:
    """The entries that a person may open, in the order of the bar."""
    entries: tuple[NavigationEntry, ...] = request.app.state.navigation
    return tuple(entry for entry in entries if actor.may(entry.permission))


def current_entry(entries: Iterable[NavigationEntry], path: str) -> NavigationEntry | None:
    """The deepest entry that a page belongs to."""
    above = [entry for entry in entries if path == entry.path or path.startswith(f"{entry.path}/")]
    return max(above, key=lambda entry: len(entry.path), default=None)


def start_page_of(request: Request, actor: Actor) -> str:
    starts = [(entry.start, entry.path) for entry in navigation_of(request, actor) if entry.start is not None]
    return min(starts)[1] if starts else "/account"


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


_STEPS = ((86400, "{n} d ago"), (3600, "{n} h ago"), (60, "{n} min ago"))


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
        # What a macro gives is escaped already, and the whole sentence is escaped once more.
        plain = {
            name: value.unescape() if isinstance(value, Markup) else value for name, value in fields.items()
        }
        return translate(sentence, language, **plain)

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
