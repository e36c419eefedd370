"""Who is told of a critical result: the hospital's contacts, in which order, and how one is told."""

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
from typing import Annotated, Self
from urllib.parse import urlsplit

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from tetkik.choices import SmtpSecurity
from tetkik.errors import SettingError
from tetkik.integrations.systems import systems_of
from tetkik.language import translate
from tetkik.records.database import Transaction
from tetkik.records.reports import outbox
from tetkik.records.worklist import critical_results
from tetkik.report.llm.clients import FixedTransport, addresses_of, are_inside
from tetkik.settings import Settings
from tetkik.values.states import CriticalLevel


class Channel(StrEnum):
    SMS = "sms"
    PAGER = "pager"
    EMAIL = "email"
    SCREEN = "screen"
    """Above the reports of those who may open the case, in Tetkik itself; nothing is sent."""


class Contact(BaseModel):
    """Somebody who can be told: a person on duty, a ward, a desk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=80)]
    channel: Channel
    to: Annotated[str, Field(max_length=200, pattern=r"^[^\s<>,;]*$")] = ""
    """A number or an address, as the gateway wants it; a screen has none."""
    departments: tuple[str, ...] = ()
    """Whose cases they are told of; none is every department's."""

    @model_validator(mode="after")
    def _has_address(self) -> Self:
        if not self.to and self.channel is not Channel.SCREEN:
            raise ValueError(f"{self.name}: to")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    contact: tuple[Contact, ...] = ()


def contacts_for(
    settings: Settings, department: str | None, first: Sequence[str] = ()
) -> tuple[Contact, ...]:
    """The contacts of a department in the order of the file, those of every department behind them.

    Before both come those whose names are in `first`.
    """
    known = _last_known(settings.critical_contacts)
    named = [item for name in first for item in known if item.name == name]
    own = [item for item in known if department in item.departments]
    return tuple(dict.fromkeys((*named, *own, *(item for item in known if not item.departments))))


def contacts_of_case(settings: Settings, tx: Transaction, case_id: str) -> tuple[Contact, ...]:
    """Who is told of a result of a case, in order: those of its route, of its department, of every one."""
    systems = systems_of(settings)
    route = systems.route(*outbox.route_of_case(tx, case_id)) if systems is not None else None
    department = critical_results.department_of(tx, case_id)
    return contacts_for(settings, department, route.notify if route is not None else ())


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
    known = _known[settings.critical_contacts] = _read(settings.critical_contacts)
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
        Channel.SCREEN: False,
    }
    for contact in known:
        if missing[contact.channel]:
            raise SettingError(
                "The contact {name} is told by {channel}, for which there is no server; set sms_url, "
                "pager_url, or smtp_host and smtp_from.",
                name=contact.name,
                channel=contact.channel.value,
            )


_log = structlog.get_logger()
_known: dict[Path | None, tuple[Contact, ...]] = {}
"""What was read last, by file."""


def _last_known(file: Path | None) -> tuple[Contact, ...]:
    """The contacts as the file has them now; while somebody has spoilt it, those that it had before."""
    try:
        _known[file] = _read(file)
    except SettingError as fault:
        if file not in _known:
            raise
        _log.error("contacts of critical results", template=fault.template)
    return _known[file]


def _read(file: Path | None) -> tuple[Contact, ...]:
    if file is None:
        return ()
    try:
        return _File.model_validate(tomllib.loads(file.read_text("utf-8"))).contact
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        fault = ".".join(map(str, first["loc"])) or first["msg"] if first is not None else error
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
        case Channel.SCREEN:
            pass  # the announcement of the notice brings it there


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
