"""The places of the house: what the bar at the top shows to whom, and where each person begins."""

from __future__ import annotations

from dataclasses import dataclass

from tetkik.language import Sentence
from tetkik.values import Actor, Permission


@dataclass(frozen=True, slots=True)
class Place:
    """A page of its own in the bar.

    Attributes:
        path: its address.
        permission: that shows it.
        icon: a symbol of `static/icons.svg`.
        word: its name.
        shortcut: two keys that lead there.
    """

    path: str
    permission: Permission
    icon: str
    word: Sentence
    shortcut: str

    def holds(self, path: str) -> bool:
        """Whether a page belongs to this place and to none that lies deeper."""
        return self is max((one for one in PLACES if _below(path, one.path)), key=_depth, default=None)


PLACES = (
    Place("/reception", Permission.CASE_CREATE, "message", Sentence("Reception"), "g r"),
    Place("/upload", Permission.IMAGE_UPLOAD, "upload", Sentence("Upload"), "g u"),
    Place("/worklist", Permission.WORKLIST, "worklist", Sentence("Worklist"), "g w"),
    Place("/search", Permission.CASE_SEARCH, "search", Sentence("Search"), "g f"),
    Place("/reports", Permission.REPORT_READ, "report", Sentence("Reports"), "g o"),
    Place("/engineer", Permission.MODELS_READ, "chart", Sentence("Models"), "g m"),
    Place("/audit", Permission.AUDIT_READ, "audit", Sentence("Audit"), "g a"),
    Place("/admin/users", Permission.USERS, "persons", Sentence("Users"), "g p"),
    Place("/admin/privacy", Permission.PRIVACY, "lock", Sentence("Privacy"), "g d"),
    Place("/admin", Permission.SYSTEM, "server", Sentence("System"), "g s"),
)
_BEGINNINGS = ("/worklist", "/reception", "/reports", "/search", "/admin", "/engineer", "/audit")


def places_of(actor: Actor) -> tuple[Place, ...]:
    """The places that a person may go to, in the order of the bar."""
    return tuple(place for place in PLACES if actor.may(place.permission))


def beginning_of(actor: Actor) -> str:
    """Where a person begins after signing in."""
    open_to = {place.path for place in places_of(actor)}
    return next((path for path in _BEGINNINGS if path in open_to), "/account")


def _below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _depth(place: Place) -> int:
    return len(place.path)
