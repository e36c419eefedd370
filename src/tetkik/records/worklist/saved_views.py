"""Saved views of the worklist, and what a person chose of it last: density, columns, order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sqlalchemy import or_, select

from tetkik.errors import Forbidden, InputError, NotFound
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id, new_id
from tetkik.records.schema import SavedView, User
from tetkik.turkish import alphabetical
from tetkik.values import Permission

_LONGEST = 60
_MOST = 30
"""Views that a person may keep."""


@dataclass(frozen=True, slots=True)
class View:
    id: str
    name: str
    query: str
    """What stands behind the `?` of the worklist's address."""
    shared: bool
    mine: bool


@dataclass(frozen=True, slots=True)
class WorklistPreferences:
    """How a person last looked at the worklist; None is the service's own choice."""

    dense: bool = True
    columns: tuple[str, ...] | None = None
    sort: str | None = None


def list_views(tx: Transaction) -> tuple[View, ...]:
    """The shared views, then the actor's own, each by name."""
    mine = SavedView.created_by == tx.actor.user_id
    rows = tx.session.scalars(select(SavedView).where(or_(SavedView.shared, mine)))
    views = [row.to_value(View, mine=row.created_by == tx.actor.user_id) for row in rows]
    return tuple(sorted(views, key=lambda view: (not view.shared, alphabetical(view.name))))


def save_view(tx: Transaction, name: str, query: str, *, shared: bool) -> str:
    """Keep a view of the actor, in the place of the one of the same name; gives its id."""
    name = " ".join(name.split())
    if not 0 < len(name) <= _LONGEST:
        raise InputError("Give the view a name of 60 characters at most.")
    if shared:
        _require_head(tx)
    own = SavedView.created_by == tx.actor.user_id
    row = tx.session.scalar(select(SavedView).where(own, SavedView.name == name))
    if row is None:
        if tx.count(SavedView, own) >= _MOST:
            raise InputError("Remove a view first; a person keeps {count} at most.", count=_MOST)
        row = SavedView(id=new_id(), name=name, created_at=tx.now, created_by=tx.actor.user_id)
        tx.session.add(row)
    row.query, row.shared = query, shared
    tx.session.flush()
    return row.id


def remove_view(tx: Transaction, view_id: str) -> None:
    """Remove a view of the actor; a shared one whoever may share one."""
    row = tx.session.get(SavedView, view_id) if is_id(view_id) else None
    if row is None or not (row.shared or row.created_by == tx.actor.user_id):
        raise NotFound("There is no such view; look at the worklist.")
    if row.created_by != tx.actor.user_id:
        _require_head(tx)
    tx.session.delete(row)


def _require_head(tx: Transaction) -> None:
    if not tx.actor.may(Permission.USERS):
        raise Forbidden("Only a radiologist who is also an administrator shares views; keep it as your own.")


def load_preferences(tx: Transaction) -> WorklistPreferences:
    """How the actor last looked at the worklist."""
    user = tx.session.get(User, tx.actor.user_id) if tx.actor.user_id else None
    if user is None or user.worklist is None:
        return WorklistPreferences()
    kept = json.loads(user.worklist)
    columns = kept.get("columns")
    return WorklistPreferences(
        bool(kept.get("dense", True)), None if columns is None else tuple(columns), kept.get("sort")
    )


def save_preferences(tx: Transaction, chosen: WorklistPreferences) -> None:
    """Remember how the actor looks at the worklist."""
    user = tx.session.get(User, tx.actor.user_id) if tx.actor.user_id else None
    if user is not None:
        user.worklist = json.dumps(asdict(chosen))
