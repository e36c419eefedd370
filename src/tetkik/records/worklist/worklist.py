"""The worklist: the dangerous ones first, then who waits longest; a page at a time, however long it is.

Each page is at most three queries for the order, one a priority, and each of those is a walk along one index
that has every filter at its head and the order at its tail (`schema.cases`). Names are opened for the rows of
the page alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, func, literal, select, tuple_, union_all

from tetkik.records.cases import filter_index
from tetkik.records.database import Transaction
from tetkik.records.people.visibility import visible_cases
from tetkik.records.schema import Case, CaseMark, Claim
from tetkik.records.schema.base import Moment, within
from tetkik.records.worklist import claims
from tetkik.records.worklist.worklist_items import WorklistItem, load_items
from tetkik.values import CaseState, Priority

OPEN = (CaseState.TO_READ, CaseState.PROCESSING, CaseState.WAITING)
"""States of a case that somebody still has to do something about."""
COUNTED = 100
"""A figure beside a filter is exact up to here; more is `100+`."""


class Scope(StrEnum):
    ALL = "all"
    MINE = "mine"
    """That the actor is reading."""
    CLAIMED = "claimed"
    """That anybody is reading."""
    UNCLAIMED = "unclaimed"


@dataclass(frozen=True, slots=True)
class WorklistFilter:
    states: tuple[CaseState, ...] = OPEN
    priorities: tuple[Priority, ...] = tuple(Priority)
    department: str | None = None
    modality: str | None = None
    label: str | None = None
    scope: Scope = Scope.ALL
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class WorklistCursor:
    priority: int
    waiting_since: datetime
    case_id: str


@dataclass(frozen=True, slots=True)
class WorklistPage:
    items: tuple[WorklistItem, ...]
    next: WorklistCursor | None
    """The place after which the next page begins; None after the last."""


@dataclass(frozen=True, slots=True)
class WorklistCounts:
    """How many cases each filter would show, none beyond `COUNTED`."""

    states: dict[CaseState, int]
    priorities: dict[Priority, int]
    mine: int
    claimed: int


def load_worklist(
    tx: Transaction,
    chosen: WorklistFilter | None = None,
    *,
    after: WorklistCursor | None = None,
    limit: int = 50,
) -> WorklistPage:
    """One page of the worklist, as far as the actor may see it; None chooses every open case."""
    chosen = chosen or WorklistFilter()
    if chosen.scope in (Scope.MINE, Scope.CLAIMED):
        places = _claimed_places(tx, chosen, after)
    else:
        places = _places(tx, chosen, after, limit + 1)
    shown = places[:limit]
    items = load_items(tx, [place.case_id for place in shown])
    return WorklistPage(items, shown[-1] if len(places) > limit else None)


def count_worklist(tx: Transaction, chosen: WorklistFilter | None = None) -> WorklistCounts:
    """Figures for the filters, each as if its own choice alone were changed; None is every open case."""
    chosen = chosen or WorklistFilter()
    grid = {(state, priority): 0 for state in CaseState for priority in Priority}
    arms = []
    for state, priority in grid:
        arm = _arm(tx, chosen, state, priority, None).order_by(None).limit(COUNTED).subquery()
        arms.append(select(literal(state.value), literal(int(priority)), func.count()).select_from(arm))
    for state_word, priority_number, count in tx.session.execute(union_all(*arms)):
        grid[CaseState(state_word), Priority(priority_number)] = count
    return WorklistCounts(
        {
            state: min(COUNTED, sum(grid[state, priority] for priority in chosen.priorities))
            for state in CaseState
        },
        {
            priority: min(COUNTED, sum(grid[state, priority] for state in chosen.states))
            for priority in Priority
        },
        min(COUNTED, len(_claimed_places(tx, replace(chosen, scope=Scope.MINE), None))),
        min(COUNTED, len(_claimed_places(tx, replace(chosen, scope=Scope.CLAIMED), None))),
    )


def _places(
    tx: Transaction, chosen: WorklistFilter, after: WorklistCursor | None, limit: int
) -> list[WorklistCursor]:
    found: list[WorklistCursor] = []
    for priority in sorted(chosen.priorities):
        if after is not None and priority < after.priority:
            continue
        begins = after if after is not None and priority == after.priority else None
        rows = tx.session.execute(_order(tx, chosen, priority, begins, limit - len(found)))
        found += [WorklistCursor(priority, row.waiting_since, row.case_id) for row in rows]
        if len(found) >= limit:
            break
    return found


def _order(
    tx: Transaction, chosen: WorklistFilter, priority: Priority, after: WorklistCursor | None, limit: int
) -> Select[*tuple[Any, ...]]:
    """Cases of one priority in order: the first of each state along its index, and the first of these."""
    arms = [_arm(tx, chosen, state, priority, after).limit(limit).subquery() for state in chosen.states]
    every: Subquery = union_all(*(select(arm) for arm in arms)).subquery() if len(arms) > 1 else arms[0]
    return select(every).order_by(every.c.waiting_since, every.c.case_id).limit(limit)


def _arm(
    tx: Transaction,
    chosen: WorklistFilter,
    state: CaseState,
    priority: Priority,
    after: WorklistCursor | None,
) -> Select[*tuple[Any, ...]]:
    """Cases of one state and one priority, walked along one index."""
    mark = _mark(chosen)
    table, case_id = (CaseMark, CaseMark.case_id) if mark else (Case, Case.id)
    query: Select[*tuple[Any, ...]] = (
        select(case_id.label("case_id"), table.waiting_since.label("waiting_since"))
        .where(table.state == state, table.priority == priority)
        .where(*_between(chosen, after, table.waiting_since, case_id))
        .order_by(table.waiting_since, case_id)
    )
    if mark:
        query = query.join(Case, Case.id == CaseMark.case_id).where(CaseMark.mark == mark)
    elif chosen.department:
        query = query.where(Case.department == chosen.department)
    if chosen.scope is Scope.UNCLAIMED:
        read = select(Claim.case_id).where(Claim.case_id == Case.id, Claim.expires_at > tx.now)
        query = query.where(~read.exists())
    return query.where(visible_cases(tx))


def _between(
    chosen: WorklistFilter, after: WorklistCursor | None, since: Any, case_id: Any
) -> Iterator[ColumnElement[bool]]:
    if after is not None:
        place = tuple_(literal(after.waiting_since, Moment()), literal(after.case_id))
        yield tuple_(since, case_id) > place
    yield from within(since, chosen.since, chosen.until)


def _mark(chosen: WorklistFilter) -> str | None:
    """The mark that a filter asks for; None where it asks for none."""
    if not (chosen.label or chosen.modality):
        return None
    return filter_index.mark_of(chosen.label, chosen.modality, chosen.department)


def _claimed_places(
    tx: Transaction, chosen: WorklistFilter, after: WorklistCursor | None
) -> list[WorklistCursor]:
    """Places of the cases that are being read: few, so that they are fetched by id and chosen from here."""
    ids = claims.claimed_case_ids(tx, mine=chosen.scope is Scope.MINE)
    query = select(Case.id, Case.state, Case.priority, Case.waiting_since, Case.department).where(
        Case.id.in_(ids), visible_cases(tx)
    )
    mark = _mark(chosen)
    marks = select(CaseMark.case_id).where(CaseMark.case_id.in_(ids), CaseMark.mark == mark)
    marked = tuple(tx.session.scalars(marks)) if mark else ids
    found = sorted(
        (row.priority, row.waiting_since, row.id)
        for row in tx.session.execute(query)
        if row.state in chosen.states
        and row.priority in chosen.priorities
        and chosen.department in (None, row.department)
        and (chosen.since is None or row.waiting_since >= chosen.since)
        and (chosen.until is None or row.waiting_since < chosen.until)
        and row.id in marked
    )
    places = [WorklistCursor(*place) for place in found]
    if after is None:
        return places
    begins = (after.priority, after.waiting_since, after.case_id)
    return [place for place in places if (place.priority, place.waiting_since, place.case_id) > begins]
