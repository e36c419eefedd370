"""A request that may come twice happens once: the header `Idempotency-Key` of everything that creates.

The answer is kept in the same transaction as what it tells of, so that after a crash both are there or
neither is (draft-ietf-httpapi-idempotency-key-header). One that speaks of a patient is sealed under that
patient's key, so that erasure takes it away with everything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import delete

from tetkik.errors import Conflict
from tetkik.records.database import Records, Transaction
from tetkik.records.lifecycle import idempotent_responses
from tetkik.records.schema import IdempotentRequest
from tetkik.values import Actor

_KEPT = timedelta(days=1)
_M = TypeVar("_M", bound=BaseModel)


class Once:
    """One request that creates something.

    Args:
        key: the header; None where the program gave none, and then it happens each time.
        digest: of method, path and body.
    """

    def __init__(self, key: str | None, digest: bytes) -> None:
        self.key = key
        self.digest = digest

    def run(
        self, records: Records, actor: Actor, work: Callable[[Transaction], _M], *, status: int = 201
    ) -> Response:
        """Do it, or give the answer of the first time.

        Args:
            records: of the house.
            actor: who asks; a key is theirs alone.
            work: what is done, in one transaction with the keeping of its answer.
            status: of the answer.

        Raises:
            Conflict: the key was used for another request, or the same request is being answered right now.
        """
        with records.write(actor) as tx:
            before = self._before(tx)
            if before is not None:
                return before
            body = work(tx).model_dump_json().encode()
            if self.key is not None:
                tx.session.add(
                    IdempotentRequest(
                        user_id=actor.user_id,
                        key=self.key,
                        request=_kept_digest(tx, self.digest),
                        patient_id=tx.about,
                        status=status,
                        body=idempotent_responses.seal_response(tx, actor.user_id or "", self.key, body),
                        at=tx.now,
                    )
                )
        return _response(body, status)

    def _before(self, tx: Transaction) -> Response | None:
        if self.key is None or tx.actor.user_id is None:
            return None
        tx.session.execute(delete(IdempotentRequest).where(IdempotentRequest.at < tx.now - _KEPT))
        row = tx.session.get(IdempotentRequest, (tx.actor.user_id, self.key))
        if row is None:
            return None
        if row.request != _kept_digest(tx, self.digest):
            raise Conflict("This Idempotency-Key was used for another request; take a new one.")
        if row.body == idempotent_responses.FORGOTTEN:
            raise Conflict(
                "What this request made belongs to another case by now; take a new Idempotency-Key to make "
                "it once more."
            )
        return _response(idempotent_responses.open_response(tx, row), row.status, replayed=True)


def _kept_digest(tx: Transaction, digest: bytes) -> bytes:
    """What is kept of a request: keyed, for a bare hash would let a password in it be guessed."""
    return tx.vault.digest("request", digest.hex())


def _response(body: bytes, status: int, *, replayed: bool = False) -> Response:
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return Response(body, status, headers=headers, media_type="application/json")


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=80,
            pattern=r"^[\x21-\x7e]+$",
            description="The same key gives the same answer, and the thing is made once.",
        ),
    ] = None,
) -> Once:
    body = await request.body()
    head = f"{request.method} {request.url.path}\n".encode()
    return Once(idempotency_key, hashlib.sha256(head + body).digest())


OnlyOnce = Annotated[Once, Depends(_once)]
"""A route's parameter for whatever creates from a JSON body."""
