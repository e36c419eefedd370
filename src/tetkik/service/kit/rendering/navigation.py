"""The bar at the top: each module of pages declares its entry as `NAVIGATION`; `app.py` collects them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import Request

from tetkik.language import Sentence
from tetkik.values import Actor, Permission


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
