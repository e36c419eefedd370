"""The same person once more: before a signature, and before what would open their account to others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field

from tetkik.errors import Forbidden
from tetkik.records.people import sessions, sign_in
from tetkik.service.kit.access import passkeys
from tetkik.service.kit.access.authentication import refuse_programs
from tetkik.service.kit.access.directory import directory_of
from tetkik.service.kit.access.passkeys import Purpose
from tetkik.service.kit.access.rate_limits import limit_rate, rate_limits_of
from tetkik.service.kit.context import context_of
from tetkik.values import Actor, Method

FRESH = timedelta(minutes=5)


class Proof(BaseModel):
    """What proves the person again: one of the two."""

    password: str | None = Field(default=None, max_length=400, repr=False)
    assertion: dict[str, Any] | None = Field(
        default=None,
        repr=False,
        description="A passkey's answer to the question of `POST /api/v1/account/passkeys/question`.",
    )


def reauthenticate(request: Request, actor: Actor, proof: Proof) -> Method:
    """Prove that the person before the screen is the actor; gives how they did.

    It takes transactions of its own, because a failure counts whatever happens next: call it before the
    transaction that needs the proof. Whoever came by single sign-on and has neither password nor passkey
    cannot prove themselves here.
    """
    refuse_programs(actor)
    limit_rate(request, rate_limits_of(request).sign_ins, f"again {actor.session_id}")
    if proof.assertion is not None:
        passkeys.verify(request, Purpose.REAUTHENTICATE, proof.assertion, actor)
        return Method.PASSKEY
    if proof.password:
        context = context_of(request)
        directory = directory_of(context.settings)
        sign_in.reauthenticate(context.records, actor, proof.password, directory)
        return Method.PASSWORD
    raise Forbidden("This needs your password or a passkey; give one of them.")


def reauthenticate_for_account(request: Request, actor: Actor, proof: Proof) -> None:
    """As `verify_again`, before one's own account changes; a sign-in just now (`FRESH`) is proof, too."""
    refuse_programs(actor)
    if proof.password or proof.assertion is not None:
        reauthenticate(request, actor, proof)
        return
    with context_of(request).records.read(actor) as tx:
        if not sessions.is_fresh(tx, FRESH):
            raise Forbidden("This needs your password or a passkey; give one of them.")
