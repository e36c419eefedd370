"""What the tests of the outbox share: a signed report on its way, and the sending of all that waits."""

from __future__ import annotations

from sqlalchemy import update

from tests.records.kit import made_user
from tests.records.reports_kit import signed_report
from tetkik.integrations.outbox import queue_results, send_due
from tetkik.records.cases.patients import Person
from tetkik.records.reports import outbox
from tetkik.records.schema import OutboxItem
from tetkik.settings import Settings
from tetkik.values import SYSTEM, Role

GUL = Person(name="Gülçin ŞAHİN", number="4711")
SETTINGS = Settings()


def no_greys(_):
    return {}


def sent_all(app_context, chosen):
    """Send everything that is due, whatever its time; gives how many."""
    count = 0
    with app_context.records.read() as tx:
        due = outbox.due_destinations(tx)
    for name in due:
        while send_due(app_context.records, chosen, SETTINGS, no_greys, name):
            count += 1
    return count


def now(app_context):
    with app_context.records.write(SYSTEM) as tx:
        tx.apply(update(OutboxItem).where(OutboxItem.next_at.is_not(None)).values(next_at=tx.now))


def items(app_context, report_id):
    with app_context.records.read() as tx:
        return {(one.destination, one.form): one for one in outbox.items_of_report(tx, report_id)}


def queued(app_context, chosen):
    """A signed report that went where the routes say."""
    actor = made_user(app_context.records, Role.RADIOLOGIST, name="Gül Işık")
    report = signed_report(app_context.records, actor, person=GUL)
    with app_context.records.write(actor) as tx:
        queue_results(tx, chosen, report.id)
    return report
