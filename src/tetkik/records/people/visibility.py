"""Which cases a person may open: their department's, none that is restricted, others with a reason.

The table of permissions says what a role does; this says to which cases. A radiologist reads every
department's; a clinician those of their own departments, and none where none was given. A second role that
opens no case (engineer, auditor, administrator) widens nothing. A restricted case (a colleague, a person in
public view) opens for nobody without breaking the glass but for reception, which made it, the technician, who
makes its images, and the radiologist who has claimed it. What is kept of an erased patient, for the law
alone, opens to neither of the first two.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, false, or_, select

from tetkik.errors import Forbidden, NotFound
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id
from tetkik.records.schema import BrokenGlass, Case, Claim
from tetkik.values import EVERY_DEPARTMENT, Permission, Role

_EVERYWHERE = frozenset({Role.RECEPTION, Role.TECHNICIAN, Role.RADIOLOGIST})
"""Who works for every department."""


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """Whether a case may be opened."""

    open: bool
    by_glass: bool = False
    """Whether only because the glass was broken."""
    could_break: bool = False
    """Whether breaking the glass would open it."""


def load_visible_case(tx: Transaction, case_id: str) -> Case:
    """The row of a case that the actor may open."""
    case = tx.session.get(Case, case_id) if is_id(case_id) else None
    if case is None:
        raise NotFound("There is no such case; look for it in the worklist.")
    sight = decide_access(tx, case)
    if not sight.open:
        raise Forbidden(
            "This case is restricted or belongs to another department; if the patient needs you now, open it "
            "with a reason."
        )
    return case


def decide_access(tx: Transaction, case: Case) -> AccessDecision:
    """Whether the actor may open this case."""
    actor = tx.actor
    if actor.user_id is None:
        return AccessDecision(True)
    if _ordinarily(tx, case):
        return AccessDecision(True)
    glass = tx.session.scalar(
        select(BrokenGlass.id).where(
            BrokenGlass.user_id == actor.user_id,
            BrokenGlass.case_id == case.id,
            BrokenGlass.expires_at > tx.now,
        )
    )
    return AccessDecision(glass is not None, glass is not None, actor.may(Permission.BREAK_GLASS))


def _ordinarily(tx: Transaction, case: Case) -> bool:
    actor = tx.actor
    if case.restricted:
        claim = tx.session.get(Claim, case.id)
        reader = claim is not None and claim.user_id == actor.user_id and claim.expires_at > tx.now
        makes = bool(actor.roles & {Role.RECEPTION, Role.TECHNICIAN}) and case.emptied_at is None
        return makes or (Role.RADIOLOGIST in actor.roles and reader)
    return _everywhere(tx) or case.department in actor.departments


def _everywhere(tx: Transaction) -> bool:
    """Whether the actor's roles see every department."""
    return bool(tx.actor.roles & _EVERYWHERE) or EVERY_DEPARTMENT in tx.actor.departments


def visible_cases(tx: Transaction) -> ColumnElement[bool]:
    """The same rule as a condition of a query, for lists: what is not to be opened is not listed by name.

    Restricted cases are listed for those who may claim them, for otherwise nobody would read them.
    """
    actor = tx.actor
    if actor.user_id is None:
        return Case.id.is_not(None)
    condition: ColumnElement[bool] = (
        Case.id.is_not(None) if _everywhere(tx) else Case.department.in_(actor.departments)
    )
    if not actor.roles & _EVERYWHERE:
        glass = select(BrokenGlass.case_id).where(
            BrokenGlass.user_id == actor.user_id, BrokenGlass.expires_at > tx.now
        )
        condition = or_(condition & (Case.restricted == false()), Case.id.in_(glass))
    return condition
