"""Critical results: the list, what is done about one, and the thread that tells the contacts in turn."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from tetkik.integrations.critical_contacts import contacts_of_case, minutes_of, send, text_of
from tetkik.language import Sentence
from tetkik.records.worklist import critical_results
from tetkik.records.worklist.critical_results import DueNotice
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.threads import PeriodicThread
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.values.access import SYSTEM, Permission
from tetkik.values.states import CriticalLevel, NotTold

pages = APIRouter()
NAVIGATION = (
    NavigationEntry(
        "/critical-results", Permission.REPORT_SIGN, "bell", Sentence("Critical results"), "g k", position=45
    ),
)
Signer = Annotated[RequestContext, allowed(Permission.REPORT_SIGN)]
Hears = Annotated[RequestContext, allowed(Permission.REPORT_READ)]


@pages.get("/critical-results")
def listed(ctx: Signer) -> Response:
    """Those that nobody knows of yet, then those that somebody does."""
    with ctx.write() as tx:
        waiting = critical_results.list_results(tx, known=False)
        known = critical_results.list_results(tx, known=True)
    return ctx.render("critical_results/list.html.jinja", waiting=waiting, known=known)


@pages.get("/critical-results/waiting")
def waiting(ctx: Hears) -> Response:
    """Those that a ward is to acknowledge, after something happened; the page has the audit entry."""
    with ctx.read() as tx:
        items = critical_results.list_results(tx, known=False, audit=False)
    return ctx.render("critical_results/waiting.html.jinja", waiting=items)


@pages.get("/cases/{case_id}/critical-results")
def of_case(ctx: Hears, case_id: str) -> Response:
    """How far those of a case have come, for the reading view."""
    with ctx.read() as tx:
        items = critical_results.results_of_case(tx, case_id)
    return ctx.render("critical_results/now.html.jinja", criticals=items, case_id=case_id)


@pages.get("/c/{reference}")
def of_message(ctx: Hears, reference: str) -> Response:
    """Where the link of a message leads: the case, which asks itself who may open it."""
    with ctx.read() as tx:
        case_id = critical_results.case_of_reference(tx, reference)
    return RedirectResponse(f"/cases/{case_id}#critical", 303)


@pages.post("/cases/{case_id}/critical-results")
def report(
    ctx: Signer,
    case_id: str,
    level: Annotated[CriticalLevel, Form()],
    words: Annotated[str, Form(max_length=4000)] = "",
    told_to: Annotated[str, Form(max_length=400)] = "",
    told_at: Annotated[str, Form(pattern=r"^(\d\d:\d\d)?$")] = "",
    read_back: Annotated[bool, Form()] = False,
) -> Response:
    """Report a result; where somebody has heard it by telephone already, nobody else is told."""
    told_to = " ".join([told_to.strip(), told_at]).strip() if told_to.strip() else ""
    with ctx.write() as tx:
        notify = not told_to and bool(contacts_of_case(ctx.settings, tx, case_id))
        result_id = critical_results.raise_result(tx, case_id, level, words, notify=notify)
        if told_to:
            critical_results.record_call(tx, result_id, told_to, read_back=read_back)
    return _reported(ctx, case_id)


def _reported(ctx: RequestContext, case_id: str) -> Response:
    """What became of it, in the reading view; elsewhere the page of the case says it."""
    if ctx.request.headers.get("hx-request"):
        return of_case(ctx, case_id)
    return RedirectResponse(f"/cases/{case_id}#critical", 303)


@pages.post("/cases/{case_id}/critical-results/not-told", status_code=204)
def not_told(ctx: Signer, case_id: str, reason: Annotated[NotTold, Form()]) -> None:
    """Say at the signature why nobody needs to be told of a critical finding."""
    with ctx.write() as tx:
        critical_results.record_not_told(tx, case_id, reason)


@pages.post("/cases/{case_id}/critical-results/{result_id}/acknowledge")
def acknowledge(ctx: Hears, case_id: str, result_id: str) -> Response:
    return ctx.change(lambda tx: critical_results.acknowledge(tx, result_id), f"/cases/{case_id}#critical")


@pages.post("/cases/{case_id}/critical-results/{result_id}/told")
def record_call(
    ctx: Signer,
    case_id: str,
    result_id: str,
    told_to: Annotated[str, Form(max_length=400)] = "",
    read_back: Annotated[bool, Form()] = False,
) -> Response:
    """Write down who heard it by telephone or in person."""
    with ctx.write() as tx:
        critical_results.record_call(tx, result_id, told_to, read_back=read_back)
    return _reported(ctx, case_id)


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


def _send(context: AppContext, due: DueNotice) -> None:
    settings = context.settings
    with context.records.read() as tx:
        known = contacts_of_case(settings, tx, due.case_id)
    if not known:
        with context.records.write(SYSTEM) as tx:
            critical_results.give_up(tx, due.id)
        return
    contact = known[due.step % len(known)]
    sent = True
    try:
        send(settings, contact, text_of(settings, due.reference))
    except Exception as fault:  # whatever it is, the next contact is told
        sent = False
        _log.warning("critical result not sent", channel=contact.channel.value, kind=type(fault).__name__)
    wait = minutes_of(settings)[due.level]
    with context.records.write(SYSTEM) as tx:
        critical_results.record_notice(tx, due.id, contact.name, contact.channel.value, sent=sent, wait=wait)
