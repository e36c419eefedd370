"""Who got which signed version as which document, and that they were told when it stood no longer.

A person who downloads a report, or whose token fetches it, has a copy that nobody can take back. They are
told by a notice of their account, and the report's page lists who has acknowledged it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.people import notices
from tetkik.records.reports.edit_conflicts import number_of
from tetkik.records.reports.identity import said_name
from tetkik.records.schema import Delivery, Notice, Report, User
from tetkik.values import AccountChange


@dataclass(frozen=True, slots=True)
class Recipient:
    """One document of one version in the hands of one person."""

    name: str
    number: int
    form: str
    at: datetime
    notified: AccountChange | None
    """What of its last change they were told; None where the version still stands as they got it."""
    notified_at: datetime | None
    acknowledged: bool


def record_delivery(tx: Transaction, report_id: str, number: int, form: str) -> None:
    """Keep that the actor got a version as a document; the first time counts, and of people alone."""
    if tx.actor.user_id is None:
        return
    user_id = tx.actor.user_id
    same = (Delivery.report_id == report_id, Delivery.number == number, Delivery.form == form)
    if not tx.count(Delivery, *same, Delivery.user_id == user_id):
        row = Delivery(id=new_id(), report_id=report_id, number=number, form=form, user_id=user_id)
        row.at = tx.now
        tx.session.add(row)


def tell_recipients(tx: Transaction, row: Report, change: AccountChange, before: int) -> int:
    """Tell everybody who got a version up to `before`, but the one who changed it; gives how many."""
    got = (Delivery.report_id == row.id, Delivery.number <= before, Delivery.user_id != tx.actor.user_id)
    notified: dict[str, str] = {}
    for delivery in tx.session.scalars(select(Delivery).where(*got).order_by(Delivery.id)):
        if delivery.user_id not in notified:
            # The number of the report and its id, and nothing of the patient.
            what = f"{number_of(tx, row)} {row.id}"
            notified[delivery.user_id] = notices.notify(tx, delivery.user_id, change, what)
        delivery.notified, delivery.notified_at, delivery.notice_id = (
            change,
            tx.now,
            notified[delivery.user_id],
        )
    return len(notified)


def recipients_of(tx: Transaction, report_id: str) -> tuple[Recipient, ...]:
    """Everybody who got a document of a report, the latest first."""
    found = tx.session.execute(
        select(Delivery, User, Notice)
        .join(User, User.id == Delivery.user_id)
        .outerjoin(Notice, Notice.id == Delivery.notice_id)
        .where(Delivery.report_id == report_id)
        .order_by(Delivery.id.desc())
    )
    return tuple(
        row.to_value(
            Recipient,
            name=said_name(user.title, user.name),
            # A notice that is gone was acknowledged a year ago or more.
            acknowledged=row.notified is not None and (notice is None or notice.seen_at is not None),
        )
        for row, user, notice in found
    )
