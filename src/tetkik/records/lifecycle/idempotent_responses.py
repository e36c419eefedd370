"""Responses to idempotent requests, sealed under the key of the patient whom they are about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select

from tetkik.records.database import Transaction
from tetkik.records.schema import IdempotentRequest

_PLACE = "idempotent_requests.body"
FORGOTTEN = b""
"""In the place of an answer that is not given again, while the request still does not happen twice."""
KEPT = timedelta(days=1)
"""How long an answer is given again."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A message of another system that may come twice: its sender's key, and a digest of what it says."""

    system: str
    key: str
    request: bytes


def kept_response(tx: Transaction, message: Replay) -> bytes | None:
    """The answer that this very message got before; None where it is new, or its key was used for another."""
    tx.session.execute(delete(IdempotentRequest).where(IdempotentRequest.at < tx.now - KEPT))
    row = tx.session.get(IdempotentRequest, (message.system, message.key))
    same = row is not None and row.request == message.request and row.body != FORGOTTEN
    return open_response(tx, row) if row is not None and same else None


def keep_response(tx: Transaction, message: Replay, body: bytes) -> None:
    """Keep the answer, in the transaction with what the message did."""
    row = IdempotentRequest(
        user_id=message.system,
        key=message.key,
        request=message.request,
        patient_id=tx.about,
        status=200,
        body=seal_response(tx, message.system, message.key, body),
        at=tx.now,
    )
    tx.session.merge(row)


def seal_response(tx: Transaction, user_id: str, key: str, body: bytes) -> bytes:
    """An answer as its row keeps it: under the key of the transaction's patient or the installation's own."""
    name = f"{user_id}:{key}"
    if tx.about is not None:
        return tx.seal(tx.about, _PLACE, name, body)
    return tx.vault.seal(body, f"{_PLACE}:{name}")


def open_response(tx: Transaction, row: IdempotentRequest) -> bytes:
    """The answer of a row."""
    name = f"{row.user_id}:{row.key}"
    if row.patient_id is not None:
        return tx.open(row.patient_id, _PLACE, name, row.body)
    return tx.vault.open(row.body, f"{_PLACE}:{name}")


def forget_responses(tx: Transaction, patient_id: str, ids: Collection[str]) -> None:
    """Let no answer about a patient be given again that names one of these: a case, an image, a report.

    Its row stays for its day: a program that asks once more gets that answer, and nothing is made twice.
    """
    wanted = select(IdempotentRequest).where(
        IdempotentRequest.patient_id == patient_id, IdempotentRequest.body != FORGOTTEN
    )
    for row in tx.session.scalars(wanted):
        response = open_response(tx, row)
        if any(one.encode() in response for one in ids):
            row.body = FORGOTTEN
