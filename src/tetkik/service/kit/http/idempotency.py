"""A request that may come twice happens once: the header `Idempotency-Key` of everything that creates.

The answer is kept in the same transaction as what it describes, so that after a crash both are there or
neither is (draft-ietf-httpapi-idempotency-key-header). One that speaks of a patient is sealed under that
patient's key, so that erasure takes it away with everything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import TypeAdapter
from pydantic_core import to_json
from sqlalchemy import delete

from tetkik.errors import Conflict
from tetkik.records import schema
from tetkik.records.database import Records, Transaction
from tetkik.records.lifecycle import idempotent_responses
from tetkik.values import Actor

T = TypeVar("T")

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=80,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key gives the same answer, and the thing is made once.",
    ),
]


@dataclass(frozen=True, slots=True)
class RequestOutcome(Generic[T]):
    """What a request made, now or the first time; `fresh` is None the second time."""

    fresh: T | None
    body: bytes
    status: int

    def value(self, kind: type[T]) -> T:
        """What was made; of the second time, read from what was kept."""
        return self.fresh if self.fresh is not None else TypeAdapter(kind).validate_json(self.body)

    def response(self) -> Response:
        """The answer as JSON, byte for byte the same each time."""
        headers = {} if self.fresh is not None else {"Idempotency-Replayed": "true"}
        return Response(self.body, self.status, headers=headers, media_type="application/json")


class IdempotentRequest:
    """One request that creates something; without a key it happens each time."""

    def __init__(self, key: str | None, digest: bytes) -> None:
        self.key = key
        self.digest = digest

    def run(
        self, records: Records, actor: Actor, work: Callable[[Transaction], T], *, status: int = 201
    ) -> RequestOutcome[T]:
        """Do the work, in one transaction with the storing of its answer, or give the first answer."""

        def answered(tx: Transaction) -> RequestOutcome[T]:
            before: RequestOutcome[T] | None = self._first(tx)
            if before is not None:
                return before
            made = work(tx)
            body = to_json(made)
            if self.key is not None:
                tx.session.add(
                    schema.IdempotentRequest(
                        user_id=actor.user_id,
                        key=self.key,
                        request=self._stored_digest(tx),
                        patient_id=tx.about,
                        status=status,
                        body=idempotent_responses.seal_response(tx, actor.user_id or "", self.key, body),
                        at=tx.now,
                    )
                )
            return RequestOutcome(made, body, status)

        try:
            with records.write(actor) as tx:
                return answered(tx)
        except Conflict:
            # The same request may have been in work beside this one: by now its answer is kept.
            with records.write(actor) as tx:
                before: RequestOutcome[T] | None = self._first(tx)
            if before is None:
                raise
            return before

    def _first(self, tx: Transaction) -> RequestOutcome[T] | None:
        """The answer that was given the first time."""
        before = self._before(tx)
        if before is None:
            return None
        return RequestOutcome(None, idempotent_responses.open_response(tx, before), before.status)

    def _before(self, tx: Transaction) -> schema.IdempotentRequest | None:
        stored = schema.IdempotentRequest
        if self.key is None or tx.actor.user_id is None:
            return None
        tx.session.execute(delete(stored).where(stored.at < tx.now - idempotent_responses.KEPT))
        row = tx.session.get(stored, (tx.actor.user_id, self.key))
        if row is None:
            return None
        if row.request != self._stored_digest(tx):
            raise Conflict("This Idempotency-Key was used for another request; take a new one.")
        if row.body == idempotent_responses.FORGOTTEN:
            raise Conflict(
                "What this request made belongs to another case by now; take a new Idempotency-Key to make "
                "it once more."
            )
        return row

    def _stored_digest(self, tx: Transaction) -> bytes:
        """Keyed, for a bare hash would let a password in the request be guessed."""
        return tx.vault.digest("request", self.digest.hex())


async def _idempotent(request: Request, idempotency_key: IdempotencyKey = None) -> IdempotentRequest:
    head = f"{request.method} {request.scope['path']}\n".encode()
    return IdempotentRequest(idempotency_key, hashlib.sha256(head + await request.body()).digest())


IdempotentDep = Annotated[IdempotentRequest, Depends(_idempotent)]
"""A route's parameter for whatever creates from a JSON body."""
