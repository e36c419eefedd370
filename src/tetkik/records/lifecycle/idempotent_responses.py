"""Responses to idempotent requests, sealed under the key of the patient whom they are about."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from tetkik.records.database import Transaction
from tetkik.records.schema import IdempotentRequest

_PLACE = "idempotent_requests.body"
FORGOTTEN = b""
"""In the place of an answer that is not given again, while the request still does not happen twice."""


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
