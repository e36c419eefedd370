"""Critical results: who is told, how, and when the next one is; the list, and what is done about one."""

from __future__ import annotations

import smtplib
import ssl
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import structlog
from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from tetkik.choices import SmtpSecurity
from tetkik.errors import SettingError
from tetkik.language import Sentence, translate
from tetkik.records.reports import outbox
from tetkik.records.worklist import critical_results
from tetkik.records.worklist.critical_results import DueNotice
from tetkik.report.llm.clients import FixedTransport, addresses_of, are_inside
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.threads import PeriodicThread
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.service.outbox import systems_of
from tetkik.settings import Settings
from tetkik.values.access import SYSTEM, Permission
from tetkik.values.states import CriticalLevel, NotTold


class Channel(StrEnum):
    SMS = "sms"
    PAGER = "pager"
    EMAIL = "email"


class Contact(BaseModel):
    """Somebody who can be told: a person on duty, a ward, a desk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=80)]
    channel: Channel
    to: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s<>,;]+$")]
    """A number or an address, as the gateway wants it."""
    departments: tuple[str, ...] = ()
    """Whose cases they are told of; none is every department's."""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    contact: tuple[Contact, ...] = ()


def contacts_for(
    settings: Settings, department: str | None, first: Sequence[str] = ()
) -> tuple[Contact, ...]:
    """The contacts of a department in the order of the file, those of every department behind them.

    Before both come those whose names are in `first`.
    """
    known = _read(settings.critical_contacts)
    named = [item for name in first for item in known if item.name == name]
    own = [item for item in known if department in item.departments]
    return tuple(dict.fromkeys((*named, *own, *(item for item in known if not item.departments))))


def minutes_of(settings: Settings) -> Mapping[CriticalLevel, timedelta]:
    """How long a contact has before the next one is told.

    Raises:
        SettingError: a level without a time, or one that is no number of minutes.
    """
    found = {}
    for pair in settings.critical_minutes.split(","):
        name, _, minutes = pair.partition("=")
        if name.strip() in list(CriticalLevel) and minutes.strip().isdecimal() and int(minutes) > 0:
            found[CriticalLevel(name.strip())] = timedelta(minutes=int(minutes))
    if set(found) != set(CriticalLevel):
        raise SettingError(
            "The setting critical_minutes needs minutes for each level; write it as red=15, orange=60, "
            "yellow=1440."
        )
    return found


def check(settings: Settings, named: Iterable[str] = ()) -> None:
    """Refuse wrong settings at the start, rather than when a patient waits.

    `named` are the contacts that other files name.
    """
    minutes_of(settings)
    known = _read(settings.critical_contacts)
    for name in sorted(set(named) - {contact.name for contact in known}):
        raise SettingError(
            "A route tells {name} of critical results, who is no contact; correct notify in {file}, or "
            "critical_contacts.",
            name=name,
            file=settings.integrations,
        )
    missing = {
        Channel.SMS: not settings.sms_url,
        Channel.PAGER: not settings.pager_url,
        Channel.EMAIL: not (settings.smtp_host and settings.smtp_from),
    }
    for contact in known:
        if missing[contact.channel]:
            raise SettingError(
                "The contact {name} is told by {channel}, for which there is no server; set sms_url, "
                "pager_url, or smtp_host and smtp_from.",
                name=contact.name,
                channel=contact.channel.value,
            )


def _read(file: Path | None) -> tuple[Contact, ...]:
    if file is None:
        return ()
    try:
        return _File.model_validate(tomllib.loads(file.read_text("utf-8"))).contact
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        fault = ".".join(map(str, first["loc"])) if first is not None else error
        raise SettingError(
            "The contacts of critical results in {file} cannot be read ({fault}); correct the file.",
            file=file,
            fault=fault,
        ) from None


_SECONDS = 15.0


def text_of(settings: Settings, reference: str) -> str:
    """What a contact reads: that a result waits, and where."""
    base = settings.public_url.rstrip("/") or f"http://{settings.listen_host}:{settings.listen_port}"
    sentence = "A critical result is waiting; sign in to Tetkik: {link}"
    return translate(sentence, settings.language, link=f"{base}/c/{reference}")


def send(settings: Settings, contact: Contact, text: str) -> None:
    """Tell one contact.

    Raises:
        OSError, httpx.HTTPError: the server is not there, or does not take it.
    """
    match contact.channel:
        case Channel.SMS:
            _post(settings.sms_url, settings.sms_key, contact.to, text)
        case Channel.PAGER:
            _post(settings.pager_url, settings.pager_key, contact.to, text)
        case Channel.EMAIL:
            _mail(settings, contact.to, text)


def _post(url: str, key: SecretStr | None, to: str, text: str) -> None:
    """The form fields `to` and `text`, the key as a bearer token; a redirect counts as refused.

    So does a gateway outside the hospital without TLS.
    """
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key is not None else {}
    parts = urlsplit(url)
    addresses = addresses_of(parts.hostname or "")
    if parts.scheme != "https" and not are_inside(addresses):
        raise httpx.HTTPError("http to a gateway outside the hospital")
    transport = FixedTransport(addresses)
    with httpx.Client(
        transport=transport, timeout=_SECONDS, follow_redirects=False, trust_env=False
    ) as client:
        response = client.post(url, data={"to": to, "text": text}, headers=headers)
    if not response.is_success:
        raise httpx.HTTPError(f"HTTP {response.status_code}")


def _mail(settings: Settings, to: str, text: str) -> None:
    message = EmailMessage()
    message["From"], message["To"] = settings.smtp_from, to
    message["Subject"] = translate("Critical result", settings.language)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid("tetkik", "tetkik.invalid")
    message.set_content(text)
    security, host, port = settings.smtp_security, settings.smtp_host, settings.smtp_port
    with (
        smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=ssl.create_default_context())
        if security is SmtpSecurity.TLS
        else smtplib.SMTP(host, port, timeout=_SECONDS)
    ) as server:
        if security is SmtpSecurity.STARTTLS:
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_user and settings.smtp_password is not None:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        server.send_message(message)


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
) -> RedirectResponse:
    """Report a result; where somebody has heard it by telephone already, nobody else is told."""
    told_to = " ".join([told_to.strip(), told_at]).strip() if told_to.strip() else ""
    with ctx.write() as tx:
        result_id = critical_results.raise_result(tx, case_id, level, words, notify=not told_to)
        if told_to:
            critical_results.record_call(tx, result_id, told_to, read_back=read_back)
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
    return ctx.change(
        lambda tx: critical_results.record_call(tx, result_id, told_to, read_back=read_back),
        f"/cases/{case_id}#critical",
    )


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
    known = contacts_for(settings, due.department, _named_by_route(context, due.case_id))
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
