"""Sends a Bundle to a FHIR server as one transaction (https://hl7.org/fhir/R4B/http.html#transaction)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

import httpx

from tetkik.integrations.answer import BUSY, Answer, answer_of_fault
from tetkik.integrations.calling import LONGEST_CALL
from tetkik.integrations.configuration import Peer

_SECONDS = 30.0
_MOST_BYTES = 5_000_000
"""Of an answer."""
_AGAIN = frozenset({408, 409, 412, 425, 429, 500, 502, 503, 504})
"""What may pass: the server is busy or down, or wrote the same resource at the same moment."""
_LONGEST_WAIT = 86_400.0


def send_bundle(
    peer: Peer,
    bundle: bytes,
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
    seconds: float = _SECONDS,
    transport: httpx.BaseTransport | None = None,
) -> Answer:
    """Post a transaction; done where the server answers that all of it was done.

    Args:
        headers: who we are, for a server that wants to know (`Peer.authorization`).
    """
    assert peer.fhir is not None
    sent = {"Content-Type": "application/fhir+json; charset=utf-8", "Accept": "application/fhir+json"}
    until = time.monotonic() + LONGEST_CALL
    try:
        with (
            httpx.Client(timeout=seconds, follow_redirects=False, transport=transport) as client,
            client.stream("POST", peer.fhir, content=bundle, headers={**sent, **headers}) as answer,
        ):
            content = b""
            for part in answer.iter_bytes():
                content += part
                if time.monotonic() > until:
                    return Answer.transient("the answer comes too slowly")
                if len(content) > _MOST_BYTES:
                    return Answer.transient("the answer is too long")
            return _judged(answer, content, len(json.loads(bundle)["entry"]))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return answer_of_fault(error)


def _judged(answer: httpx.Response, content: bytes, entries: int) -> Answer:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    body = body if isinstance(body, dict) else {}
    status = f"HTTP {answer.status_code}"
    if answer.status_code == 200:
        done = body.get("entry")
        if body.get("type") == "transaction-response" and isinstance(done, list) and len(done) == entries:
            return Answer.done(status)
        return Answer.transient(f"{status}: no answer to a transaction")
    if words := _outcome(body):
        status = f"{status}: {words}"
    if answer.status_code in _AGAIN:
        again = Answer.unavailable if answer.status_code in BUSY else Answer.transient
        return again(status, _wait(answer.headers.get("Retry-After", "")))
    return Answer.permanent(status)


def _outcome(body: dict[str, object]) -> str:
    """The codes of an OperationOutcome; its free text may name what was sent."""
    issues = body.get("issue")
    found = (item for item in (issues if isinstance(issues, list) else ()) if isinstance(item, dict))
    places = (
        " ".join([str(item.get("code", "")), *map(str, _texts(item.get("expression")))]) for item in found
    )
    return "; ".join(place.strip() for place in list(places)[:5])


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _wait(text: str) -> float | None:
    """Seconds of a Retry-After (RFC 9110, 10.2.3): a number, or a date."""
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)
    except (ValueError, OverflowError):
        return None
