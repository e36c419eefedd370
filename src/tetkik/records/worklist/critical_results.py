"""Critical results: raised by a radiologist, told to one contact after the other until somebody knows of it.

After the Joint Commission's NPSG.02.03.01: who reports it, to whom, within what time, and that it was
understood. A signed-in person acknowledges it, or the radiologist writes down who heard it by telephone and
read it back. Messages hold a random reference alone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.transfers import require_open
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.people.access import load_visible_case, visible_cases
from tetkik.records.reports.identity import said_name
from tetkik.records.schema import Case, CriticalResult, User
from tetkik.values.common import one_line
from tetkik.values.states import CriticalLevel, CriticalStanding, NotTold

LONGEST = 500
"""Characters of what was found."""
_LONGEST_NAME = 120
_SENDING = timedelta(minutes=2)
"""Nobody else sends a notice that is being sent; after this it counts as not sent."""
_RETRY = timedelta(seconds=30)
"""After a notice that could not be sent the next contact is told."""
_LATER = timedelta(hours=1)
"""Between two notices after `_MOST_NOTICES` of them."""
_MOST_NOTICES = 30


@dataclass(frozen=True, slots=True)
class SentNotice:
    at: datetime
    to: str
    """What the hospital calls the contact."""
    channel: str
    sent: bool


@dataclass(frozen=True, slots=True)
class CriticalResultView:
    """A critical result as the pages show it.

    `words` and `told_to` are empty in a list.
    """

    id: str
    case_id: str
    number: str
    level: CriticalLevel
    created_at: datetime
    raised_by: str
    mine: bool
    words: str = field(repr=False)
    notices: tuple[SentNotice, ...]
    next_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    told_directly: bool
    """By telephone or in person; `told_to` says to whom."""
    told_to: str = field(repr=False)
    read_back: bool

    @property
    def standing(self) -> CriticalStanding:
        if self.acknowledged_at is not None:
            return CriticalStanding.ACKNOWLEDGED
        if not any(notice.sent for notice in self.notices):
            waits = not self.notices and self.next_at is not None
            return CriticalStanding.QUEUED if waits else CriticalStanding.UNREACHED
        passed = any(notice.sent for notice in self.notices[:-1])
        return CriticalStanding.LATE if passed else CriticalStanding.TOLD


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice that is to be sent now: to the contact of this `step`, from 0."""

    id: str
    case_id: str
    reference: str
    level: CriticalLevel
    step: int


def raise_result(tx: Transaction, case_id: str, level: CriticalLevel, words: str, *, notify: bool) -> str:
    """Say that a result of a case cannot wait; gives its id.

    With `notify` the first contact is told at once; without, somebody calls and writes it down.
    """
    case = load_visible_case(tx, case_id)
    require_open(tx, case)
    words = one_line(words)
    if not words or len(words) > LONGEST:
        raise InputError(
            "Say what was found, in at most {longest} characters; the contacts do not get it.",
            longest=LONGEST,
        )
    row = CriticalResult(
        id=new_id(),
        case_id=case.id,
        patient_id=case.patient_id,
        reference=secrets.token_urlsafe(12),
        level=level,
        notices="[]",
        next_at=tx.now if notify else None,
        created_at=tx.now,
        created_by=tx.actor.user_id,
        read_back=False,
    )
    tx.seal_column(row, "words", words.encode())
    tx.session.add(row)
    tx.session.flush()
    tx.audit_about(Action.CRITICAL_RAISED, row, level=level.value)
    tx.announce("case", case.id)
    return row.id


def acknowledge(tx: Transaction, result_id: str) -> None:
    """Say that one knows of a result and acts on it."""
    row = _open_row(tx, result_id)
    if row.created_by == tx.actor.user_id:
        raise Conflict("You reported this result yourself; write down who heard it from you.")
    row.acknowledged_at, row.acknowledged_by, row.next_at = tx.now, tx.actor.user_id, None
    tx.audit_about(Action.CRITICAL_ACKNOWLEDGED, row, by_phone=False)
    tx.announce("case", row.case_id)


def record_call(tx: Transaction, result_id: str, told_to: str, *, read_back: bool) -> None:
    """Write down who heard a result by telephone or in person, and whether they read it back."""
    row = _open_row(tx, result_id)
    told_to = one_line(told_to)
    if not told_to or len(told_to) > _LONGEST_NAME:
        raise InputError("Say who heard the result, in at most {longest} characters.", longest=_LONGEST_NAME)
    tx.seal_column(row, "told_to", told_to.encode())
    row.acknowledged_at, row.acknowledged_by, row.next_at = tx.now, tx.actor.user_id, None
    row.read_back = read_back
    tx.audit_about(Action.CRITICAL_ACKNOWLEDGED, row, by_phone=True, read_back=read_back)
    tx.announce("case", row.case_id)


def record_not_told(tx: Transaction, case_id: str, reason: NotTold) -> None:
    """Keep in the trail why nobody needs to be told of a critical finding of a case."""
    case = load_visible_case(tx, case_id)
    tx.audit_about(Action.CRITICAL_NOT_TOLD, case, reason=reason.value)


def results_of_case(tx: Transaction, case_id: str) -> tuple[CriticalResultView, ...]:
    """Those of a case that the actor may open: what nobody knows of yet, then the newest first."""
    load_visible_case(tx, case_id)
    order = (CriticalResult.acknowledged_at.is_not(None), CriticalResult.id.desc())
    rows = tx.session.scalars(
        select(CriticalResult).where(CriticalResult.case_id == case_id).order_by(*order)
    ).all()
    return tuple(_view(tx, row, words=True) for row in rows)


def list_results(
    tx: Transaction, *, known: bool, limit: int = 100, audit: bool = True
) -> tuple[CriticalResultView, ...]:
    """Those that nobody knows of yet, the oldest first; or with `known` the newest that somebody does."""
    chosen = select(CriticalResult).join(Case, Case.id == CriticalResult.case_id).where(visible_cases(tx))
    if known:
        chosen = chosen.where(CriticalResult.acknowledged_at.is_not(None))
        chosen = chosen.order_by(CriticalResult.acknowledged_at.desc())
    else:
        chosen = chosen.where(CriticalResult.acknowledged_at.is_(None)).order_by(CriticalResult.id)
    rows = tx.session.scalars(chosen.limit(limit)).all()
    if audit:
        tx.audit(Action.CASES_LISTED, what="critical results", shown=len(rows))
    return tuple(_view(tx, row, words=False) for row in rows)


def case_of_reference(tx: Transaction, reference: str) -> str:
    """The case that a message's reference means; who may open it is asked there."""
    found = tx.session.scalar(select(CriticalResult.case_id).where(CriticalResult.reference == reference))
    if found is None:
        raise NotFound("There is no such critical result; look at the list of cases.")
    return found


def has_due(tx: Transaction) -> bool:
    return tx.session.scalar(select(CriticalResult.id).where(*_due(tx)).limit(1)) is not None


def take_due(tx: Transaction) -> DueNotice | None:
    """The next notice to send, which no other process sends meanwhile; None where none is due."""
    row = tx.session.scalar(
        select(CriticalResult)
        .where(*_due(tx))
        .order_by(CriticalResult.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if row is None:
        return None
    row.next_at = tx.now + _SENDING
    return DueNotice(row.id, row.case_id, row.reference, row.level, len(json.loads(row.notices)))


def department_of(tx: Transaction, case_id: str) -> str | None:
    """The department whose contacts are told."""
    return tx.session.get_one(Case, case_id).department


def record_notice(
    tx: Transaction, result_id: str, to: str, channel: str, *, sent: bool, wait: timedelta
) -> None:
    """Write down that a contact was told, or could not be; the next one is told after `wait`."""
    row = tx.session.get(CriticalResult, result_id, with_for_update=True)
    if row is None:
        return  # erased meanwhile
    sent_notices = json.loads(row.notices)
    sent_notices.append({"at": tx.now.isoformat(), "to": to, "channel": channel, "sent": sent})
    row.notices = json.dumps(sent_notices, ensure_ascii=False)
    if row.acknowledged_at is None:
        pause = wait if sent else _RETRY
        if len(sent_notices) >= _MOST_NOTICES:
            pause = max(pause, _LATER)  # it goes on until somebody knows it
        row.next_at = tx.now + pause
    tx.audit_about(Action.CRITICAL_SENT, row, channel=channel, sent=sent, count=len(sent_notices))
    tx.announce("case", row.case_id)


def give_up(tx: Transaction, result_id: str) -> None:
    """No contact fits: nobody is told by itself."""
    row = tx.session.get(CriticalResult, result_id, with_for_update=True)
    if row is not None:
        row.next_at = None
        tx.announce("case", row.case_id)


def _due(tx: Transaction) -> Sequence[ColumnElement[bool]]:
    return (CriticalResult.acknowledged_at.is_(None), CriticalResult.next_at <= tx.now)


def _open_row(tx: Transaction, result_id: str) -> CriticalResult:
    missing = NotFound("There is no such critical result; look at its case.")
    row = tx.find(CriticalResult, result_id, missing, lock=True)
    load_visible_case(tx, row.case_id)
    if row.acknowledged_at is not None:
        raise Conflict("Somebody acknowledged this result already; look at its case.")
    return row


def _view(tx: Transaction, row: CriticalResult, *, words: bool) -> CriticalResultView:
    notices = tuple(
        SentNotice(datetime.fromisoformat(item["at"]), item["to"], item["channel"], item["sent"])
        for item in json.loads(row.notices)
    )
    return row.to_value(
        CriticalResultView,
        number=tx.session.get_one(Case, row.case_id).number,
        raised_by=_name(tx, row.created_by),
        mine=row.created_by == tx.actor.user_id,
        words=tx.open_text(row, "words") if words else "",
        notices=notices,
        acknowledged_by=_name(tx, row.acknowledged_by),
        told_directly=row.told_to is not None,
        told_to=tx.open_text(row, "told_to") if words else "",
    )


def _name(tx: Transaction, user_id: str | None) -> str:
    user = tx.session.get(User, user_id) if user_id is not None else None
    return "" if user is None else said_name(user.title, user.name)
