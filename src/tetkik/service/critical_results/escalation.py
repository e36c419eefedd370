"""The thread that tells contacts of critical results, one after the other, until somebody knows of it."""

from __future__ import annotations

import structlog

from tetkik.records.reports import outbox
from tetkik.records.worklist import critical_results
from tetkik.records.worklist.critical_results import DueNotice
from tetkik.service.critical_results import contacts, delivery
from tetkik.service.kit.background.periodic_thread import PeriodicThread
from tetkik.service.kit.context import AppContext
from tetkik.service.outbox.sending import systems_of
from tetkik.values import SYSTEM

_POLL_SECONDS = 2.0
_log = structlog.get_logger()


class EscalationThread(PeriodicThread):
    """Sends what is due until it is stopped; `critical_results` keeps two processes from sending the same."""

    def __init__(self, context: AppContext) -> None:
        super().__init__("critical results", _POLL_SECONDS)
        self._context = context

    def run_once(self) -> None:
        """Send everything that is due."""
        try:
            while send_due(self._context):
                pass
        except Exception as fault:
            # The database may be away for a while; what is due is sent once it is back.
            _log.error("critical results", kind=type(fault).__name__)


def send_due(context: AppContext) -> bool:
    """Tell the contact whose turn it is, of one result; gives whether there was one."""
    with context.records.read() as tx:
        if not critical_results.has_due(tx):
            return False
    with context.records.write(SYSTEM) as tx:
        due = critical_results.take_due(tx)
    if due is None:
        return False
    _send(context, due)
    return True


def _named_by_route(context: AppContext, case_id: str) -> tuple[str, ...]:
    """Whom the route of a case names; nobody where there is none."""
    systems = systems_of(context.settings)
    if systems is None:
        return ()
    with context.records.read() as tx:
        route = systems.route(*outbox.route_of_case(tx, case_id))
    return route.notify if route is not None else ()


def _send(context: AppContext, due: DueNotice) -> None:
    settings = context.settings
    known = contacts.contacts_for(settings, due.department, _named_by_route(context, due.case_id))
    if not known:
        with context.records.write(SYSTEM) as tx:
            critical_results.give_up(tx, due.id)
        return
    contact = known[due.step % len(known)]
    sent = True
    try:
        delivery.send(settings, contact, delivery.text_of(settings, due.reference))
    except Exception as fault:  # whatever it is, the next contact is told
        sent = False
        _log.warning("critical result not sent", channel=contact.channel.value, kind=type(fault).__name__)
    wait = contacts.minutes_of(settings)[due.level]
    with context.records.write(SYSTEM) as tx:
        critical_results.record_notice(tx, due.id, contact.name, contact.channel.value, sent=sent, wait=wait)
