"""The worklist: the dangerous ones first, then who waits longest; a page at a time, however long it is.

Each page is at most three queries for the order, one a priority, and each of those is a walk along one index
that has every filter at its head and the order at its tail (`schema.cases`). Names are opened for the rows of
the page alone. A list that is sorted by a column holds the first `MOST_SORTED` cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Subquery, func, literal, or_, select, tuple_, union_all

from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, filter_index, patients
from tetkik.records.database import Transaction
from tetkik.records.people.access import visible_cases
from tetkik.records.schema import Assignment, Case, CaseMark, Claim, Study
from tetkik.records.schema.base import Moment, within
from tetkik.records.worklist import assignments, claims
from tetkik.records.worklist.case_contents import Sort, SortColumn, sort_cases
from tetkik.records.worklist.worklist_items import WorklistItem, load_items
from tetkik.values import CaseState, Priority

OPEN = (CaseState.TO_READ, CaseState.PROCESSING, CaseState.WAITING)
"""States of a case that somebody still has to do something about."""
COUNTED = 100
"""A figure beside a filter is exact up to here; more is `100+`."""
MOST_SORTED = 1000
"""Cases that a sorted list holds: the first by priority, or by waiting where that is its column."""


class Scope(StrEnum):
    ALL = "all"
    MINE = "mine"
    """That the actor is reading."""
    CLAIMED = "claimed"
    """That anybody is reading."""
    UNCLAIMED = "unclaimed"


class Assigned(StrEnum):
    """To whom a case is assigned."""

    MINE = "mine"
    POOLS = "pools"
    """To a pool of the actor."""
    NOBODY = "nobody"


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
    assigned: Assigned | None = None
    """None asks for cases that are assigned to anybody or nobody."""

    @property
    def few(self) -> bool:
        """Whether the cases are found by who has them: few, so that they are fetched by id."""
        return self.scope in (Scope.MINE, Scope.CLAIMED) or self.assigned in (Assigned.MINE, Assigned.POOLS)


@dataclass(frozen=True, slots=True)
class WorklistCursor:
    priority: int
    waiting_since: datetime
    case_id: str


@dataclass(frozen=True, slots=True)
class WorklistPage:
    items: tuple[WorklistItem, ...]
    next: WorklistCursor | int | None
    """The place after which the next page begins, in a sorted list how many cases stand before it; None after
    the last."""
    partial: bool = False
    """Whether a sorted list holds the first `MOST_SORTED` cases alone."""


@dataclass(frozen=True, slots=True)
class WorklistCounts:
    """How many cases each filter would show, none beyond `COUNTED`."""

    states: dict[CaseState, int]
    priorities: dict[Priority, int]
    mine: int
    claimed: int
    assigned: dict[Assigned, int]


def load_worklist(
    tx: Transaction,
    chosen: WorklistFilter | None = None,
    *,
    sort: Sort | None = None,
    after: WorklistCursor | int | None = None,
    limit: int = 50,
) -> WorklistPage:
    """One page of the worklist, as far as the actor may see it; None chooses every open case.

    `after` is `WorklistPage.next` of a page in the same order.
    """
    chosen = chosen or WorklistFilter()
    if sort is not None:
        begin = after if isinstance(after, int) else 0
        ids = _candidates(tx, chosen, sort)
        partial, ids = len(ids) > MOST_SORTED, sort_cases(tx, ids[:MOST_SORTED], sort)
        following = begin + limit if len(ids) > begin + limit else None
        return WorklistPage(load_items(tx, ids[begin : begin + limit]), following, partial)
    places = _all_places(tx, chosen, None if isinstance(after, int) else after, limit + 1)
    shown = places[:limit]
    items = load_items(tx, [place.case_id for place in shown])
    return WorklistPage(items, shown[-1] if len(places) > limit else None)


def find_next_case(tx: Transaction, chosen: WorklistFilter, sort: Sort | None, after: str) -> str | None:
    """The case to read after another one: the following one of the list that nobody reads, then its first.

    In order of priority a critical case comes before any that is not. None where nothing is left.
    """
    chosen = replace(chosen, states=(CaseState.TO_READ,), scope=Scope.UNCLAIMED)
    left = tx.session.get(Case, after)
    if sort is not None:
        ids = [case_id for case_id in _candidates(tx, chosen, sort)[:MOST_SORTED] if case_id != after]
        order = sort_cases(tx, [*ids, *([after] if left is not None else [])], sort)
        place = order.index(after) if left is not None else -1
        return next(iter([*order[place + 1 :], *order[: max(place, 0)]]), None)
    first = next((one for one in _all_places(tx, chosen, None, 2) if one.case_id != after), None)
    if first is None or left is None or first.priority == Priority.CRITICAL < left.priority:
        return first.case_id if first is not None else None
    here = WorklistCursor(left.priority, left.waiting_since, left.id)
    return (_all_places(tx, chosen, here, 1) or [first])[0].case_id


def _candidates(tx: Transaction, chosen: WorklistFilter, sort: Sort) -> list[str]:
    """The cases of a list that is sorted, and one more than it holds where there are more."""
    if chosen.few or sort.column is not SortColumn.WAITING:
        return [place.case_id for place in _all_places(tx, chosen, None, MOST_SORTED + 1)]
    arms = []
    for state in chosen.states:
        for priority in chosen.priorities:
            arm = _arm(tx, chosen, state, priority, None)
            if sort.descending:
                since, case_id = (column.desc() for column in _place_columns(chosen))
                arm = arm.order_by(None).order_by(since, case_id)
            arms.append(select(arm.limit(MOST_SORTED + 1).subquery()))
    every = union_all(*arms).subquery()
    since = every.c.waiting_since.desc() if sort.descending else every.c.waiting_since
    return list(tx.session.scalars(select(every.c.case_id).order_by(since).limit(MOST_SORTED + 1)))


def count_worklist(tx: Transaction, chosen: WorklistFilter | None = None) -> WorklistCounts:
    """Figures for the filters, each as if its own choice alone were changed; None is every open case."""
    chosen = chosen or WorklistFilter()
    grid = {(state, priority): 0 for state in CaseState for priority in Priority}
    if chosen.few:
        every = replace(chosen, states=tuple(CaseState), priorities=tuple(Priority))
        for row in _few_cases(tx, every):
            grid[row.state, Priority(row.priority)] += 1
    else:
        arms = []
        for state, priority in grid:
            arm = _arm(tx, chosen, state, priority, None).order_by(None).limit(COUNTED).subquery()
            arms.append(select(literal(state.value), literal(int(priority)), func.count()).select_from(arm))
        for state_word, priority_number, count in tx.session.execute(union_all(*arms)):
            grid[CaseState(state_word), Priority(priority_number)] = count

    def figure(**changed: Any) -> int:
        return min(COUNTED, len(_few_cases(tx, replace(chosen, **changed))))

    return WorklistCounts(
        {
            state: min(COUNTED, sum(grid[state, priority] for priority in chosen.priorities))
            for state in CaseState
        },
        {
            priority: min(COUNTED, sum(grid[state, priority] for state in chosen.states))
            for priority in Priority
        },
        figure(scope=Scope.MINE),
        figure(scope=Scope.CLAIMED),
        {one: figure(assigned=one) for one in (Assigned.MINE, Assigned.POOLS)},
    )


def count_cases(tx: Transaction, chosen: WorklistFilter) -> int:
    """How many cases a list holds, none beyond `COUNTED`."""
    if chosen.few:
        return min(COUNTED, len(_few_cases(tx, chosen)))
    arms = [
        select(_arm(tx, chosen, state, priority, None).order_by(None).limit(COUNTED).subquery())
        for state in chosen.states
        for priority in chosen.priorities
    ]
    every = select(union_all(*arms).subquery()).limit(COUNTED).subquery()
    return tx.session.scalar(select(func.count()).select_from(every)) or 0


def _all_places(
    tx: Transaction, chosen: WorklistFilter, after: WorklistCursor | None, limit: int
) -> list[WorklistCursor]:
    return _few_places(tx, chosen, after)[:limit] if chosen.few else _places(tx, chosen, after, limit)


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
    table = CaseMark if mark else Case
    since, case_id = _place_columns(chosen)
    query: Select[*tuple[Any, ...]] = (
        select(case_id.label("case_id"), since.label("waiting_since"))
        .where(table.state == state, table.priority == priority)
        .where(*_between(chosen, after, since, case_id))
        .order_by(since, case_id)
    )
    if mark:
        query = query.join(Case, Case.id == CaseMark.case_id).where(CaseMark.mark == mark)
    elif chosen.department:
        query = query.where(Case.department == chosen.department)
    if chosen.scope is Scope.UNCLAIMED:
        read = select(Claim.case_id).where(Claim.case_id == Case.id, Claim.expires_at > tx.now)
        query = query.where(~read.exists())
    if chosen.assigned is Assigned.NOBODY:
        query = query.where(~select(Assignment.case_id).where(Assignment.case_id == Case.id).exists())
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


def _place_columns(chosen: WorklistFilter) -> tuple[Any, Any]:
    """The columns of the order: of the marks where a filter asks for one."""
    return (CaseMark.waiting_since, CaseMark.case_id) if _mark(chosen) else (Case.waiting_since, Case.id)


def _few_places(
    tx: Transaction, chosen: WorklistFilter, after: WorklistCursor | None
) -> list[WorklistCursor]:
    """Places of the cases that somebody is reading or is to read."""
    found = sorted((row.priority, row.waiting_since, row.id) for row in _few_cases(tx, chosen))
    begins = (after.priority, after.waiting_since, after.case_id) if after is not None else None
    return [WorklistCursor(*place) for place in found if begins is None or place > begins]


def _few_cases(
    tx: Transaction, chosen: WorklistFilter
) -> list[Row[str, CaseState, int, datetime, str | None]]:
    """The cases that somebody is reading or is to read: few, fetched by id and chosen from here."""
    ids: set[str] | None = None
    if chosen.scope in (Scope.MINE, Scope.CLAIMED):
        ids = set(claims.claimed_case_ids(tx, mine=chosen.scope is Scope.MINE))
    if chosen.assigned in (Assigned.MINE, Assigned.POOLS):
        wanted = assignments.assigned_to_actor(tx, pools=chosen.assigned is Assigned.POOLS)
        assigned = set(tx.session.scalars(wanted))
        ids = assigned if ids is None else ids & assigned
    if not ids:
        return []
    if chosen.scope is Scope.UNCLAIMED:
        ids -= set(claims.claimed_case_ids(tx))
    if chosen.assigned is Assigned.NOBODY:
        ids -= set(tx.session.scalars(select(Assignment.case_id).where(Assignment.case_id.in_(ids))))
    if mark := _mark(chosen):
        marks = select(CaseMark.case_id).where(CaseMark.case_id.in_(ids), CaseMark.mark == mark)
        ids = set(tx.session.scalars(marks))
    query = select(Case.id, Case.state, Case.priority, Case.waiting_since, Case.department)
    return [
        row
        for row in tx.session.execute(query.where(Case.id.in_(ids), visible_cases(tx)))
        if row.state in chosen.states
        and row.priority in chosen.priorities
        and chosen.department in (None, row.department)
        and (chosen.since is None or row.waiting_since >= chosen.since)
        and (chosen.until is None or row.waiting_since < chosen.until)
    ]


# Find a case: by the patient's name or number, by accession number, by the case's own number.
#
# What is looked for is compared by keyed digests alone; it stands in no address, no log and no audit entry.


MOST_FOUND = 50
"""Cases that a search shows; whoever sees so many says more."""
LONGEST_WORDS = 120
"""Characters of what is looked for."""


def search_cases(tx: Transaction, words: str) -> tuple[WorklistItem, ...]:
    """Cases that the words lead to and the actor may see, the newest first; the trail notes the search.

    Words are a name or the beginning of one, a TCKN, a number of the hospital, an accession number, or the
    number of a case or a report. A restricted case that is not open to the actor is found by its own number
    alone: found by a name, it would tell whose it is.
    """
    words = " ".join(words[:LONGEST_WORDS].split())
    found = _by_number(tx, words)
    if not found and words:
        found = tuple(item for item in _by_patient(tx, words) if not item.hidden)
    tx.audit(Action.PATIENT_SEARCHED, found=len(found))
    return found


def _by_number(tx: Transaction, words: str) -> tuple[WorklistItem, ...]:
    number = cases.number_in(words)
    if number is None:
        return ()
    return load_items(
        tx, list(tx.session.scalars(select(Case.id).where(Case.number == number, visible_cases(tx))))
    )


def _by_patient(tx: Transaction, words: str) -> tuple[WorklistItem, ...]:
    accession = tx.vault.digest("accession", words)
    studies = list(tx.session.scalars(select(Study.case_id).where(Study.accession_digest == accession)))
    people = patients.find(tx, words)
    ids = tx.session.scalars(
        select(Case.id)
        .where(or_(Case.id.in_(studies), Case.patient_id.in_(people)), visible_cases(tx))
        .order_by(Case.id.desc())
        .limit(MOST_FOUND)
    )
    return load_items(tx, list(ids))
