"""Assignments: who is to read a case, one reader or one pool of readers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, select

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.transfers import require_open
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id, new_id
from tetkik.records.people.users import roles_of
from tetkik.records.schema import Assignment, PoolMember, ReaderPool, User
from tetkik.records.worklist.claims import listed_case
from tetkik.turkish import alphabetical
from tetkik.values import CaseState, Permission, permissions_of

_LONGEST = 60
_MISSING = NotFound("There is no such pool; look at the list of pools.")


@dataclass(frozen=True, slots=True)
class Assignee:
    """A reader or a pool, as lists name it."""

    id: str
    name: str
    pool: bool


@dataclass(frozen=True, slots=True)
class Pool:
    id: str
    name: str
    members: tuple[Assignee, ...]


def assign_case(tx: Transaction, case_id: str, assignee_id: str | None) -> Assignee | None:
    """Say who is to read a case: a reader, a pool, or nobody in particular (None)."""
    case = listed_case(tx, case_id)
    require_open(tx, case)
    if case.state is CaseState.SIGNED:
        raise Conflict("The case is signed; nobody has to read it any more.")
    chosen = None
    if assignee_id is not None:
        chosen = next((one for one in list_assignees(tx) if one.id == assignee_id), None)
        if chosen is None:
            raise InputError("Nobody reads under this id; choose a reader or a pool of the list.")
    row = tx.session.get(Assignment, case_id, with_for_update=True)
    before = (row.user_id or row.pool_id) if row is not None else None
    if before == assignee_id:
        return chosen
    if chosen is None:
        tx.session.delete(row)
    else:
        if row is None:
            row = Assignment(case_id=case_id)
            tx.session.add(row)
        row.user_id, row.pool_id = (None, chosen.id) if chosen.pool else (chosen.id, None)
        row.assigned_at, row.assigned_by = tx.now, tx.actor.user_id
    tx.session.flush()
    tx.audit_about(Action.CASE_ASSIGNED, case, to=assignee_id, before=before)
    tx.announce("case", case_id)
    return chosen


def load_assignees(tx: Transaction, case_ids: Sequence[str]) -> dict[str, Assignee]:
    """Who is to read each case, by the id of the case; those that nobody is are left out."""
    rows = tx.session.execute(
        select(Assignment.case_id, Assignment.user_id, Assignment.pool_id, User.name, ReaderPool.name)
        .outerjoin(User, User.id == Assignment.user_id)
        .outerjoin(ReaderPool, ReaderPool.id == Assignment.pool_id)
        .where(Assignment.case_id.in_(case_ids))
    )
    return {
        case_id: Assignee(user_id or pool_id or "", reader or pool or "", pool_id is not None)
        for case_id, user_id, pool_id, reader, pool in rows
    }


def list_assignees(tx: Transaction) -> tuple[Assignee, ...]:
    """Every pool, then every reader who has not been locked out, each by name."""
    pools = [Assignee(row.id, row.name, True) for row in tx.session.scalars(select(ReaderPool))]
    return (*sorted(pools, key=_by_name), *list_readers(tx))


def list_readers(tx: Transaction) -> tuple[Assignee, ...]:
    """Everybody who may claim a case, by name."""
    rows = tx.session.execute(select(User.id, User.name, User.roles).where(User.disabled_at.is_(None)))
    readers = [
        Assignee(row.id, row.name, False)
        for row in rows
        if Permission.CLAIM in permissions_of(roles_of(row.roles))
    ]
    return tuple(sorted(readers, key=_by_name))


def assigned_to_actor(tx: Transaction, *, pools: bool) -> Select[str]:
    """Ids of the cases that are assigned to the actor; `pools` asks for those of their pools instead."""
    if not pools:
        return select(Assignment.case_id).where(Assignment.user_id == tx.actor.user_id)
    mine = select(PoolMember.pool_id).where(PoolMember.user_id == tx.actor.user_id)
    return select(Assignment.case_id).where(Assignment.pool_id.in_(mine))


def list_pools(tx: Transaction) -> tuple[Pool, ...]:
    """Every pool with its readers, by name."""
    names = {one.id: one for one in list_readers(tx)}
    members: dict[str, list[Assignee]] = {}
    for row in tx.session.scalars(select(PoolMember)):
        if row.user_id in names:
            members.setdefault(row.pool_id, []).append(names[row.user_id])
    pools = [
        Pool(row.id, row.name, tuple(sorted(members.get(row.id, ()), key=_by_name)))
        for row in tx.session.scalars(select(ReaderPool))
    ]
    return tuple(sorted(pools, key=lambda pool: alphabetical(pool.name)))


def save_pool(tx: Transaction, pool_id: str | None, name: str, members: Collection[str]) -> str:
    """Make a pool (None), or give one another name and other readers; gives its id."""
    name = " ".join(name.split())
    if not 0 < len(name) <= _LONGEST:
        raise InputError("Give the pool a name of 60 characters at most.")
    same = select(ReaderPool.id).where(ReaderPool.name == name, ReaderPool.id != (pool_id or ""))
    if tx.session.scalar(same) is not None:
        raise InputError("There is a pool of this name already; choose another name.")
    known = {one.id for one in list_readers(tx)}
    if not known.issuperset(members):
        raise InputError("Nobody reads under this id; choose a reader or a pool of the list.")
    if pool_id is None:
        row = ReaderPool(id=new_id(), created_at=tx.now, created_by=tx.actor.user_id)
        tx.session.add(row)
    else:
        row = _pool(tx, pool_id)
    row.name = name
    tx.session.flush()
    tx.session.execute(delete(PoolMember).where(PoolMember.pool_id == row.id))
    tx.session.add_all(PoolMember(pool_id=row.id, user_id=user_id) for user_id in sorted(set(members)))
    tx.audit(Action.POOL_CHANGED, object_id=row.id, name=name, members=len(set(members)))
    return row.id


def remove_pool(tx: Transaction, pool_id: str) -> None:
    """Remove a pool; its cases are assigned to nobody then."""
    row = _pool(tx, pool_id)
    tx.audit(Action.POOL_CHANGED, object_id=row.id, name=row.name, removed=True)
    tx.session.execute(delete(Assignment).where(Assignment.pool_id == pool_id))
    tx.session.execute(delete(PoolMember).where(PoolMember.pool_id == pool_id))
    tx.session.delete(row)
    tx.session.flush()


def _pool(tx: Transaction, pool_id: str) -> ReaderPool:
    row = tx.session.get(ReaderPool, pool_id) if is_id(pool_id) else None
    if row is None:
        raise _MISSING
    return row


def _by_name(one: Assignee) -> tuple[tuple[int, ...], str]:
    return alphabetical(one.name)
