"""Claims: who is reading a case right now, so that two do not read the same one.

A claim lasts 20 minutes and is renewed while its page is open; then it is free again. Another may take it
over, knowing that they do; the pages of the former reader learn of it by the event `claim.taken`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from tetkik.errors import Conflict, Forbidden, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.transfers import require_open
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id
from tetkik.records.people.access import load_visible_case, visible_cases
from tetkik.records.schema import Case, Claim, User
from tetkik.values import CaseState

LASTS = timedelta(minutes=20)
"""A claim without a sign of life is free after this."""


@dataclass(frozen=True, slots=True)
class Reader:
    user_id: str
    name: str
    since: datetime
    expires_at: datetime


def claim_case(tx: Transaction, case_id: str, *, take_over: bool = False) -> Reader:
    """Say that the actor is reading a case, or goes on reading it; `Conflict` where somebody else does.

    A claim opens nothing: a restricted case is `Forbidden` before the actor opened it with a reason.
    """
    case = load_visible_case(tx, listed_case(tx, case_id).id)
    if case.state.ended:
        require_open(tx, case)
    assert tx.actor.user_id is not None
    row = tx.session.get(Claim, case_id, with_for_update=True)
    former = row.user_id if row is not None and row.expires_at > tx.now else None
    if row is not None and former == tx.actor.user_id:
        row.expires_at = tx.now + LASTS
        return _reader(tx, row)
    if row is not None and former is not None and not take_over:
        raise Conflict("{name} is reading this case; take it over, or read another.", name=_name(tx, row))
    if row is None:
        row = Claim(case_id=case_id)
        tx.session.add(row)
    row.user_id, row.since, row.expires_at = tx.actor.user_id, tx.now, tx.now + LASTS
    tx.session.flush()
    tx.audit_about(Action.CASE_CLAIMED, case, taken_from=former)
    tx.announce("claim.taken" if former is not None else "claim", case_id)
    return _reader(tx, row)


def claim_to_read(tx: Transaction, case_id: str, *, take_over: bool = False) -> None:
    """Claim a case whose page is opened next, where it is to be read and open, and nobody else reads it."""
    case = listed_case(tx, case_id)
    if case.state is CaseState.SIGNED or case.state.ended:
        return
    with suppress(Conflict, Forbidden):
        claim_case(tx, case_id, take_over=take_over)


def release_case(tx: Transaction, case_id: str, *, until: datetime | None = None) -> None:
    """Say that the actor reads a case no more; a case that they do not read stays as it is.

    `until` is when the claim would have ended as the page knew it that was left: one that was renewed since
    is another page's, and stays.
    """
    case = listed_case(tx, case_id)
    row = tx.session.get(Claim, case_id, with_for_update=True)
    if row is None or row.user_id != tx.actor.user_id or (until is not None and row.expires_at > until):
        return
    tx.session.delete(row)
    tx.audit_about(Action.CLAIM_RELEASED, case)
    tx.announce("claim", case_id)


def load_reader(tx: Transaction, case_id: str) -> Reader | None:
    """Who is reading a case that the actor sees; None where nobody is."""
    return reader_of_case(tx, listed_case(tx, case_id).id)


def reader_of_case(tx: Transaction, case_id: str) -> Reader | None:
    """Who is reading a case; None where nobody is. The caller has asked whether it may be seen."""
    return load_readers(tx, [case_id]).get(case_id)


def load_readers(tx: Transaction, case_ids: Sequence[str]) -> dict[str, Reader]:
    rows = tx.session.execute(
        select(Claim, User.name)
        .join(User, User.id == Claim.user_id)
        .where(Claim.case_id.in_(case_ids), Claim.expires_at > tx.now)
    )
    return {row.case_id: row.to_value(Reader, name=name) for row, name in rows}


def claimed_case_ids(tx: Transaction, *, mine: bool = False) -> tuple[str, ...]:
    """Ids of the cases that somebody is reading."""
    query = select(Claim.case_id).where(Claim.expires_at > tx.now)
    if mine:
        query = query.where(Claim.user_id == tx.actor.user_id)
    return tuple(tx.session.scalars(query))


def delete_expired(tx: Transaction) -> int:
    """Remove the claims that are over, and tell the pages that still show them; gives how many."""
    old = list(tx.session.scalars(select(Claim.case_id).where(Claim.expires_at <= tx.now)))
    tx.session.execute(delete(Claim).where(Claim.case_id.in_(old), Claim.expires_at <= tx.now))
    for case_id in old:
        tx.announce("claim", case_id)
    return len(old)


def listed_case(tx: Transaction, case_id: str) -> Case:
    """A case as the worklist shows it: a restricted one, too, that is not open to the actor."""
    listed = select(Case).where(Case.id == case_id, visible_cases(tx))
    case = tx.session.scalar(listed) if is_id(case_id) else None
    if case is None:
        raise NotFound("There is no such case; look for it in the worklist.")
    return case


def _reader(tx: Transaction, row: Claim) -> Reader:
    return row.to_value(Reader, name=_name(tx, row))


def _name(tx: Transaction, row: Claim) -> str:
    return tx.session.get_one(User, row.user_id).name
