"""Which cases a person may open, breaking the glass, and who may go on listening to events.

Whether the people behind open event streams may still do what they could: one query for many of them.

A stream of events goes on for an hour; in that time a session may end or be locked, a token be revoked, an
account be closed or get other roles.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, String, case, false, func, literal, or_, select, true

from tetkik.errors import Forbidden, InputError, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.people.deactivation import live_tokens
from tetkik.records.people.users import departments_of, roles_of
from tetkik.records.row_authentication import UNCHECKED, is_altered, is_put_back
from tetkik.records.schema.cases import Case, Claim, PatientLink
from tetkik.records.schema.orders import Encounter
from tetkik.records.schema.people import ApiToken, BrokenGlass, BrowserSession, User
from tetkik.values.access import EVERY_DEPARTMENT, Actor, Permission, Role


@dataclass(frozen=True, slots=True)
class AccessState:
    """What somebody may do at one moment."""

    roles: frozenset[Role]
    departments: tuple[str, ...]

    @classmethod
    def of(cls, actor: Actor) -> AccessState:
        """As it was when they came."""
        return cls(actor.roles, actor.departments)


def load_access_states(
    tx: Transaction, actors: Collection[Actor], idle: timedelta | None = None
) -> dict[str, AccessState]:
    """What each one who is still there is now, by the id of their session or token."""
    sessions = {actor.session_id for actor in actors if actor.session_id is not None}
    tokens = {actor.token_id for actor in actors if actor.token_id is not None}
    awake = (
        BrowserSession.locked.is_(False),
        BrowserSession.expires_at > tx.now,
        BrowserSession.seen_at > tx.now - idle if idle is not None else true(),
        User.must_change.is_(False),
    )
    usable = (live_tokens(tx), ApiToken.held_at.is_(None))
    found: dict[str, AccessState] = {}
    for table, ids, conditions in ((BrowserSession, sessions, awake), (ApiToken, tokens, usable)):
        rows: Any = (
            select(table, User)
            .join(User, User.id == table.user_id)
            .where(table.id.in_(ids), User.disabled_at.is_(None), *conditions)
        )
        for owner, user in tx.session.execute(rows, execution_options=UNCHECKED) if ids else ():
            if not any(is_altered(row) or is_put_back(tx.session, row) for row in (owner, user)):
                found[owner.id] = AccessState(roles_of(user.roles), departments_of(user.departments))
    return found


# Which cases a person may open: their department's, none that is restricted, others with a reason.
#
# The table of permissions says what a role does; this says to which cases. A radiologist reads every
# department's; a clinician those of their own departments, and none where none was given; with the setting
# `encounter_access` those of patients alone of whom an encounter is open, as the regulation on personal
# health data asks for (change of 3 December 2025). A second role that opens no case (engineer, auditor,
# administrator) widens nothing. A restricted case (a colleague, a person in public view) opens for nobody
# without breaking the glass but for reception, which made it, the technician, who makes its images; for the
# radiologist who broke it and claimed the case it stays open while they read. What is kept of an erased
# patient, for the law alone, opens to neither of the first two.


_EVERYWHERE = frozenset({Role.RECEPTION, Role.TECHNICIAN, Role.RADIOLOGIST})
"""Who works for every department."""
_OPEN = (Encounter.opened_at.is_not(None), Encounter.closed_at.is_(None))


@dataclass(frozen=True, slots=True)
class AccessDecision:
    open: bool
    by_glass: bool = False
    """Whether only because the glass was broken."""
    could_break: bool = False
    """Whether breaking the glass would open it."""


def find_case(tx: Transaction, case_id: str) -> Case:
    """The row of a case, whether or not the actor may open it."""
    return tx.find(Case, case_id, NotFound("There is no such case; look for it in the worklist."))


def require(tx: Transaction, permission: Permission, *, person: bool = False) -> None:
    """Hold that the actor may do this, below every route; the program itself may what needs no `person`."""
    if not tx.actor.may(permission) and (person or tx.actor.user_id is not None):
        raise Forbidden("Your role does not allow this ({permission}).", permission=permission)


def load_visible_case(tx: Transaction, case_id: str) -> Case:
    """The row of a case that the actor may open."""
    case = find_case(tx, case_id)
    sight = decide_access(tx, case)
    if not sight.open and tx.encounter_access:
        raise Forbidden(
            "This case is restricted or belongs to another department, or no encounter of the patient is "
            "open; if the patient needs you now, open it with a reason."
        )
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
    mine = (BrokenGlass.user_id == actor.user_id, BrokenGlass.case_id == case.id)
    until = tx.session.scalar(select(func.max(BrokenGlass.expires_at)).where(*mine))
    is_open = (until is not None and until > tx.now) or _is_reading_restricted(tx, case)
    return AccessDecision(is_open, is_open and until is not None, actor.may(Permission.BREAK_GLASS))


def _ordinarily(tx: Transaction, case: Case) -> bool:
    actor = tx.actor
    if case.restricted:
        return bool(actor.roles & {Role.RECEPTION, Role.TECHNICIAN}) and case.emptied_at is None
    of_department = _everywhere(tx) or case.department in actor.departments
    return of_department and (not _needs_encounter(tx) or _is_here(tx, case.patient_id))


def _is_reading_restricted(tx: Transaction, case: Case) -> bool:
    """Whether the actor goes on reading it; to claim it, it had to be open to them."""
    if not case.restricted or Role.RADIOLOGIST not in tx.actor.roles:
        return False
    claim = tx.session.get(Claim, case.id)
    return claim is not None and claim.user_id == tx.actor.user_id and claim.expires_at > tx.now


def _glass(tx: Transaction) -> Select[str]:
    """The cases for which the actor has broken the glass."""
    mine = BrokenGlass.user_id == tx.actor.user_id
    return select(BrokenGlass.case_id).where(mine, BrokenGlass.expires_at > tx.now)


def _everywhere(tx: Transaction) -> bool:
    """Whether the actor's roles see every department."""
    return bool(tx.actor.roles & _EVERYWHERE) or EVERY_DEPARTMENT in tx.actor.departments


def _needs_encounter(tx: Transaction) -> bool:
    """Whether the actor sees patients while they are here alone."""
    return tx.encounter_access and not tx.actor.roles & _EVERYWHERE


def _is_here(tx: Transaction, patient_id: str) -> bool:
    """Whether an encounter of the patient is open, in whatever record."""
    records = _with_links(select(literal(patient_id, String).label("id")))
    wanted = select(Encounter.id).where(*_OPEN, Encounter.patient_id.in_(records)).limit(1)
    return tx.session.scalar(wanted) is not None


def _with_links(records: Select[str]) -> Select[str]:
    """These records (a column `id`) and all that are of the same people.

    Links are followed both ways: an encounter is told of one record, and a case was opened for another one.
    """
    found = records.cte("found", recursive=True)
    ends = PatientLink.patient_id, PatientLink.survivor_id
    other = case((ends[0] == found.c.id, ends[1]), else_=ends[0])
    linked = select(other).join_from(found, PatientLink, or_(*(end == found.c.id for end in ends)))
    return select(found.union(linked).c.id)


def visible_cases(tx: Transaction) -> ColumnElement[bool]:
    """The same rule as a condition of a query, for lists: what is not to be opened is not listed by name.

    Restricted cases are listed for those who may read them, without a name, for otherwise nobody would.
    """
    actor = tx.actor
    if actor.user_id is None:
        return Case.id.is_not(None)
    condition: ColumnElement[bool] = (
        Case.id.is_not(None) if _everywhere(tx) else Case.department.in_(actor.departments)
    )
    if _needs_encounter(tx):
        condition = condition & Case.patient_id.in_(
            _with_links(select(Encounter.patient_id.label("id")).where(*_OPEN))
        )
    if not actor.roles & _EVERYWHERE:
        condition = or_(condition & (Case.restricted == false()), Case.id.in_(_glass(tx)))
    return condition


# Breaking the glass: one person opens one case for an hour, with a reason that the auditor reads.
#
# The reason may speak of the patient, so it is sealed under the patient's key.


LASTS = timedelta(hours=1)
SHORTEST = 10
LONGEST = 500


def break_glass(tx: Transaction, case_id: str, reason: str) -> datetime:
    """Open a case that is not open to the actor; gives until when."""
    case = find_case(tx, case_id)
    reason = " ".join(reason.split())
    if not SHORTEST <= len(reason) <= LONGEST:
        raise InputError(
            "The reason needs {least} to {most} characters; say why the patient needs it now.",
            least=SHORTEST,
            most=LONGEST,
        )
    sight = decide_access(tx, case)
    if sight.open and not sight.by_glass:
        raise Forbidden("This case is open to you as it is; no reason is needed.")
    if not sight.could_break:
        raise Forbidden("Your role does not open closed cases; ask the radiologist on call.")
    row_id, until = new_id(), tx.now + LASTS
    tx.session.add(
        BrokenGlass(
            id=row_id,
            user_id=tx.actor.user_id,
            case_id=case_id,
            reason=tx.seal(case.patient_id, "break_glass.reason", row_id, reason.encode()),
            at=tx.now,
            expires_at=until,
        )
    )
    tx.session.flush()
    tx.audit(Action.BREAK_GLASS, case_id=case_id, patient_id=case.patient_id, object_id=row_id)
    return until


def open_until(tx: Transaction, case_id: str) -> datetime | None:
    """Until when the actor's broken glass keeps a case open; None where no glass is broken."""
    return tx.session.scalar(
        select(func.max(BrokenGlass.expires_at)).where(
            BrokenGlass.user_id == tx.actor.user_id,
            BrokenGlass.case_id == case_id,
            BrokenGlass.expires_at > tx.now,
        )
    )
