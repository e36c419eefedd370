"""Results on their way to other systems: written with the signature, sent later, settled by the answer.

One object at a time goes to a system: that which was tried least, and of those the oldest. What an amendment
or a withdrawal takes the place of goes no more once that is signed: nothing old arrives after it. What
was being sent when the machine stopped is sent again, as the same object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import aliased

from tetkik.errors import Conflict, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.reports.edit_conflicts import number_of, row_of
from tetkik.records.schema import Case, OutboxItem, ReceivedStudy, Report, Study
from tetkik.values import OutboxState, ReportState

DICOM_FORMS = frozenset({"sr", "pdf", "capture", "image", "presentation"})
"""Of a withdrawn report an archive gets one rejection note in the place of all of these."""
REJECTION = "rejection"
_SENDING = timedelta(minutes=10)
"""After this what was being sent counts as not sent: the process that sent it is gone."""
_OPEN = (OutboxState.WAITING, OutboxState.SENDING)


@dataclass(frozen=True, slots=True)
class DueItem:
    """What is to be sent now; `tries` counts this one."""

    id: str
    report_id: str
    number: int
    withdrawal: bool
    destination: str
    form: str
    tries: int


@dataclass(frozen=True, slots=True)
class OutboxView:
    """An item as pages show it: the number of the report, and nothing of the patient but in `status`."""

    id: str
    report_id: str
    report_number: str
    number: int
    withdrawal: bool
    destination: str
    form: str
    state: OutboxState
    tries: int
    next_at: datetime | None
    created_at: datetime
    settled_at: datetime | None
    status: str = field(repr=False)
    """The system's last answer; empty before the first."""

    @property
    def can_be_resent(self) -> bool:
        return self.state in (OutboxState.SENT, OutboxState.REFUSED)


def queue_version(tx: Transaction, report_id: str, wanted: Iterable[tuple[str, str]]) -> None:
    """Let the last signed version go to systems, each with a form; what waits of earlier ones goes no more.

    What is being sent at this moment arrives before it.
    """
    row = tx.session.get_one(Report, report_id)
    _supersede(tx, row, OutboxItem.withdrawal.is_(False))
    for destination, form in dict.fromkeys(wanted):
        _add(tx, row, destination, form, number=row.version, withdrawal=False)


def queue_withdrawal(tx: Transaction, report_id: str) -> None:
    """Tell every system that may have a version of a report that it was withdrawn.

    A message or a transaction says it of the report. A rejection note names the objects of one version, so
    an archive gets one for each version that it may have.
    """
    row = tx.session.get_one(Report, report_id)
    found = select(OutboxItem.destination, OutboxItem.form, OutboxItem.number, OutboxItem.withdrawal).where(
        OutboxItem.report_id == report_id
    )
    sent = {tuple(row) for row in tx.session.execute(found.where(OutboxItem.withdrawal))}
    notices = {
        (name, REJECTION, number, True) if form in DICOM_FORMS else (name, form, row.version, True)
        for name, form, number, _ in tx.session.execute(found.where(_may_be_there()))
    }
    _supersede(tx, row, OutboxItem.withdrawal.is_(False))
    for destination, form, number, _ in sorted(notices - sent):
        _add(tx, row, destination, form, number=number, withdrawal=True)


def reached(tx: Transaction, report_id: str) -> frozenset[tuple[str, str]]:
    """The systems that may have a version of a report, each with the form."""
    got = select(OutboxItem.destination, OutboxItem.form).where(
        OutboxItem.report_id == report_id, _may_be_there()
    )
    return frozenset((name, form) for name, form in tx.session.execute(got))


def due_destinations(tx: Transaction) -> frozenset[str]:
    """The systems for which something is due."""
    return frozenset(tx.session.scalars(select(OutboxItem.destination).where(_due(tx)).distinct()))


def take_due(tx: Transaction, destination: str, waited: timedelta | None = None) -> DueItem | None:
    """The oldest of the items that are due for a system and were tried least; None where none is. Nobody else
    sends it.

    So what a system cannot digest goes behind what it was not asked to take yet.
    Two processes that take for one system at the same moment: one of them ends in `Conflict`.

    Args:
        waited: take only what has been due for so long, which nobody else took.
    """
    late = OutboxItem.next_at <= tx.now - (waited or timedelta())
    row = tx.session.scalar(
        select(OutboxItem)
        .where(_due(tx), late, OutboxItem.destination == destination)
        .order_by(OutboxItem.tries, OutboxItem.id)
        .limit(1)
        .with_for_update()
    )
    if row is None:
        return None
    row.state, row.next_at, row.tries = OutboxState.SENDING, tx.now + _SENDING, row.tries + 1
    tx.session.flush()
    return row.to_value(DueItem)


def count_tries(tx: Transaction, destination: str) -> int:
    """Of everything together that waits for a system or is being sent to it."""
    wanted = (OutboxItem.destination == destination, OutboxItem.state.in_(_OPEN))
    return tx.session.scalar(select(func.sum(OutboxItem.tries)).where(*wanted)) or 0


def settle(
    tx: Transaction,
    due: DueItem,
    state: OutboxState,
    status: str,
    wait: timedelta | None = None,
    *,
    alone: bool = False,
) -> None:
    """Write down how a system answered; `wait` is until the next try of whatever waits for that system.

    Where it has to wait and a later version or the withdrawal was signed meanwhile, it is not sent any more.

    Args:
        alone: whether this item alone waits: the system is there, and what else waits for it may do.
    """
    row = tx.session.get(OutboxItem, due.id, with_for_update=True)
    if row is None or row.state is not OutboxState.SENDING or row.tries != due.tries:
        return  # erased meanwhile, or sent by another process after the time was over
    if state is not OutboxState.SENT and not _is_current(tx.session.get_one(Report, row.report_id), row):
        state = OutboxState.SUPERSEDED
    row.state = state
    tx.seal_column(row, "status", status.encode())
    row.next_at = row.settled_at = None
    if state is OutboxState.WAITING:
        row.next_at = tx.now + (wait or timedelta())
    else:
        row.settled_at = tx.now
    tx.session.flush()
    if wait is not None and not alone:
        # A system that does not answer is asked again once, and not once for each that waits for it.
        tx.apply(
            update(OutboxItem)
            .where(
                OutboxItem.destination == row.destination,
                OutboxItem.state == OutboxState.WAITING,
                OutboxItem.next_at < tx.now + wait,
            )
            .values(next_at=tx.now + wait)
        )
    tx.audit_about(
        Action.RESULT_SENT,
        row,
        sent=state is OutboxState.SENT,
        system=row.destination,
        form=row.form,
        version=row.number,
        count=row.tries,
    )


def items_of_report(tx: Transaction, report_id: str) -> tuple[OutboxView, ...]:
    """Where a report went that the actor may open, the latest first."""
    row_of(tx, report_id)
    found = select(OutboxItem).where(OutboxItem.report_id == report_id).order_by(OutboxItem.id.desc())
    return tuple(_view(tx, row) for row in tx.session.scalars(found))


def list_items(
    tx: Transaction,
    states: Collection[OutboxState] = (),
    destination: str = "",
    *,
    limit: int = 100,
    before: str | None = None,
) -> tuple[OutboxView, ...]:
    """What goes out and went out, the latest first; the audit trail has that the actor looked."""
    found = select(OutboxItem).order_by(OutboxItem.id.desc()).limit(limit)
    if states:
        found = found.where(OutboxItem.state.in_(states))
    if destination:
        found = found.where(OutboxItem.destination == destination)
    if before is not None:
        found = found.where(OutboxItem.id < before)
    shown = tuple(_view(tx, row) for row in tx.session.scalars(found))
    tx.audit(Action.OUTBOX_OPENED, shown=len(shown))
    return shown


def destinations(tx: Transaction) -> tuple[str, ...]:
    """Every system that something went to."""
    return tuple(
        tx.session.scalars(select(OutboxItem.destination).distinct().order_by(OutboxItem.destination))
    )


def source_of(tx: Transaction, case_id: str) -> str:
    """What system sent the images of a case; empty where a person uploaded them."""
    came = select(ReceivedStudy.peer).where(ReceivedStudy.case_id == case_id)
    return tx.session.scalar(came.order_by(ReceivedStudy.last_at.desc()).limit(1)) or ""


def route_of_case(tx: Transaction, case_id: str) -> tuple[str, str, str]:
    """What routes look at: the system that sent a case's images, modality and body part of its last study."""
    newest = select(Study.modality, Study.body_part).where(Study.case_id == case_id)
    found = tx.session.execute(newest.order_by(Study.id.desc()).limit(1)).first()
    modality, body_part = found or (None, None)
    return source_of(tx, case_id), modality or "", body_part or ""


def resend(tx: Transaction, item_id: str) -> None:
    """Send an item again at once, as the same object.

    `Conflict` where it is on its way, or something later took its place.
    """
    missing = NotFound("There is nothing of this kind among what was sent; load the page again.")
    row = tx.find(OutboxItem, item_id, missing, lock=True)
    report = tx.session.get_one(Report, row.report_id)
    if row.state in _OPEN:
        raise Conflict("It is on its way already; load the page again.")
    if not _is_current(report, row):
        raise Conflict("A later version or a withdrawal took its place, so it is not sent again.")
    _send_again(tx, row)


def resend_refused(tx: Transaction, destination: str) -> int:
    """Send all again that one system refused, once its fault is mended; gives how many."""
    refused = select(OutboxItem).where(
        OutboxItem.destination == destination, OutboxItem.state == OutboxState.REFUSED
    )
    rows = [
        row
        for row in tx.session.scalars(refused.order_by(OutboxItem.id).with_for_update())
        if _is_current(tx.session.get_one(Report, row.report_id), row)
    ]
    for row in rows:
        _send_again(tx, row)
    return len(rows)


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    waiting: int
    refused: int
    oldest_seconds: float
    """How long the oldest waits; 0 where none does."""


def count_items(tx: Transaction) -> OutboxCounts:
    """For monitoring."""
    waiting = OutboxItem.state.in_(_OPEN)
    oldest = tx.session.scalar(select(func.min(OutboxItem.created_at)).where(waiting))
    age = (tx.now - oldest).total_seconds() if oldest is not None else 0.0
    refused = tx.count(OutboxItem, OutboxItem.state == OutboxState.REFUSED)
    return OutboxCounts(tx.count(OutboxItem, waiting), refused, max(0.0, age))


def _is_current(report: Report, row: OutboxItem) -> bool:
    """Whether it says what holds: the last version while it stands, its withdrawal afterwards.

    A rejection note holds for ever: it names objects of its own version alone.
    """
    if row.state is OutboxState.SUPERSEDED:
        return False
    withdrawn = report.state is ReportState.WITHDRAWN
    return row.form == REJECTION or (row.number == report.version and row.withdrawal is withdrawn)


def _send_again(tx: Transaction, row: OutboxItem) -> None:
    row.state, row.next_at, row.settled_at, row.tries = OutboxState.WAITING, tx.now, None, 0
    tx.audit_about(Action.RESULT_RESENT, row, system=row.destination, form=row.form, version=row.number)


def _supersede(tx: Transaction, report: Report, which: ColumnElement[bool]) -> None:
    waiting = OutboxItem.state.in_((OutboxState.WAITING, OutboxState.REFUSED))
    tx.apply(
        update(OutboxItem)
        .where(OutboxItem.report_id == report.id, waiting, which)
        .values(state=OutboxState.SUPERSEDED, next_at=None, settled_at=tx.now)
    )


def _may_be_there() -> ColumnElement[bool]:
    """Of a version: it was tried, or was answered before somebody let it be sent again."""
    tried = or_(OutboxItem.tries > 0, OutboxItem.status.is_not(None))
    return and_(OutboxItem.withdrawal.is_(False), tried)


def _add(
    tx: Transaction, report: Report, destination: str, form: str, *, number: int, withdrawal: bool
) -> None:
    row = OutboxItem(id=new_id(), report_id=report.id, case_id=report.case_id, patient_id=report.patient_id)
    row.number, row.withdrawal = number, withdrawal
    row.destination, row.form, row.state, row.tries = destination, form, OutboxState.WAITING, 0
    row.created_at = row.next_at = tx.now
    tx.session.add(row)
    tx.session.flush()


def _due(tx: Transaction) -> ColumnElement[bool]:
    """Its time has come, and nothing else is on its way to the same system."""
    other = aliased(OutboxItem)
    busy = select(other.id).where(
        other.destination == OutboxItem.destination, other.state == OutboxState.SENDING
    )
    mine = OutboxItem.state == OutboxState.SENDING
    waits = and_(OutboxItem.state == OutboxState.WAITING, ~busy.exists())
    return and_(OutboxItem.next_at <= tx.now, or_(mine, waits))


def _view(tx: Transaction, row: OutboxItem) -> OutboxView:
    report = tx.session.get_one(Report, row.report_id)
    gone = tx.session.get_one(Case, row.case_id).emptied_at is not None
    status = "" if gone else tx.open_text(row, "status")
    return row.to_value(OutboxView, report_number=number_of(tx, report), status=status)
