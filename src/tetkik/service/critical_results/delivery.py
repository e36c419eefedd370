"""A notice on its way: SMS and pager by the hospital's HTTP gateway, e-mail by SMTP. No word of a patient."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from tetkik.choices import SmtpSecurity
from tetkik.language import translate
from tetkik.report.llm.addresses import FixedTransport, addresses_of, are_inside
from tetkik.service.critical_results.contacts import Channel, Contact
from tetkik.settings import Settings

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
