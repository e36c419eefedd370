"""Passkeys (WebAuthn level 2): what the browser is asked, and whether its answer proves the person.

A challenge is good for one purpose, one person and one answer. The authenticator verifies its user (a finger,
a PIN), so that a passkey alone is two factors.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from pydantic import BaseModel, Field
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from tetkik.errors import Forbidden
from tetkik.records.people import passkeys, sessions, sign_in
from tetkik.records.people.passkeys import KnownPasskey, keep_challenge, redeem_challenge
from tetkik.records.people.users import load_user, user_row
from tetkik.service.kit.access.authentication import refuse_programs
from tetkik.service.kit.access.identity_providers import directory_of
from tetkik.service.kit.access.rate_limits import limit_rate, rate_limits_of
from tetkik.service.kit.context import context_of
from tetkik.values.access import SYSTEM, Actor, Method

_REQUIRED = UserVerificationRequirement.REQUIRED


class Purpose(StrEnum):
    """What a challenge is good for."""

    SIGN_IN = "sign in"
    ADD = "add"
    REAUTHENTICATE = "again"


def origin_of(request: Request) -> str:
    """Where the browser is, as it says it itself; the middleware has checked the host."""
    public = context_of(request).settings.public_url.rstrip("/")
    if public and urlsplit(public).hostname == request.url.hostname:
        return public
    return f"{request.url.scheme}://{request.url.netloc}"


def _party(request: Request) -> str:
    return request.url.hostname or ""


def registration_options(request: Request, actor: Actor) -> dict[str, Any]:
    """What a browser needs to make a passkey for the actor."""
    assert actor.user_id is not None
    with context_of(request).records.read() as tx:
        member, known = load_user(tx, actor.user_id), passkeys.of_user(tx, actor.user_id)
    options = generate_registration_options(
        rp_id=_party(request),
        rp_name="Tetkik",
        user_name=member.login,
        user_id=actor.user_id.encode(),
        user_display_name=member.profile.name,
        challenge=_challenge(request, Purpose.ADD, actor.user_id),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_REQUIRED
        ),
        exclude_credentials=_descriptors(known),
    )
    return _as_json(options_to_json(options))


def register(request: Request, actor: Actor, name: str, answer: dict[str, Any]) -> str:
    """Keep the passkey that a browser made; gives its id."""
    challenge = _answered(request, answer, Purpose.ADD, actor.user_id)
    with _refusing():
        verified = verify_registration_response(credential=answer, **_expected(request, challenge))
    with context_of(request).records.write(actor) as tx:
        return passkeys.add(
            tx, name, verified.credential_id, verified.credential_public_key, verified.sign_count
        )


def authentication_options(request: Request, purpose: Purpose, actor: Actor | None = None) -> dict[str, Any]:
    """What a browser needs to prove who sits before it; at sign-in (`actor` None) the passkey says who."""
    user_id = actor.user_id if actor is not None else None
    known: list[KnownPasskey] = []
    if user_id is not None:
        with context_of(request).records.read() as tx:
            known = [one for one in passkeys.of_user(tx, user_id) if not one.held]
        if not known:
            raise Forbidden("You have no passkey here; add one in your account.")
    options = generate_authentication_options(
        rp_id=_party(request),
        challenge=_challenge(request, purpose, user_id),
        allow_credentials=_descriptors(known),
        user_verification=_REQUIRED,
    )
    return _as_json(options_to_json(options))


def verify(request: Request, purpose: Purpose, answer: dict[str, Any], actor: Actor | None = None) -> str:
    """The id of the user whom a browser's answer proves: that of the actor, if it has to be one."""
    expected = actor.user_id if actor is not None else None
    challenge = _answered(request, answer, purpose, expected)
    records = context_of(request).records
    with records.read() as tx:
        known = passkeys.find(tx, _bytes(answer.get("rawId")))
        closed = known is not None and user_row(tx, known.user_id).disabled_at is not None
    if known is None or closed or (expected is not None and known.user_id != expected):
        raise _refused()
    if known.held:
        raise Forbidden("The passkey came back with a backup and waits; ask the administrator to confirm it.")
    with _refusing():
        verified = verify_authentication_response(
            credential=answer,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
            **_expected(request, challenge),
        )
    with records.write(Actor(known.user_id, "")) as tx:
        passkeys.used(tx, known.id, verified.new_sign_count)
    return known.user_id


def _expected(request: Request, challenge: bytes) -> dict[str, Any]:
    return {
        "expected_challenge": challenge,
        "expected_rp_id": _party(request),
        "expected_origin": origin_of(request),
        "require_user_verification": True,
    }


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever is wrong with an answer, it is refused in the same words."""
    try:
        yield
    except (WebAuthnException, ValueError, KeyError, TypeError, RecursionError):
        raise _refused() from None


def _challenge(request: Request, purpose: Purpose, user_id: str | None) -> bytes:
    challenge = secrets.token_bytes(32)
    with context_of(request).records.write(SYSTEM) as tx:
        keep_challenge(tx, challenge.hex(), _asked(purpose, user_id))
    return challenge


def _answered(request: Request, answer: dict[str, Any], purpose: Purpose, user_id: str | None) -> bytes:
    """The challenge that an answer names, if we asked it for this purpose of this person, and only once."""
    with _refusing():
        client_data = json.loads(_bytes(answer["response"]["clientDataJSON"]))
        challenge = _bytes(client_data["challenge"])
    with context_of(request).records.write(SYSTEM) as tx:
        asked = redeem_challenge(tx, challenge.hex())
    if asked != _asked(purpose, user_id):
        raise _refused()
    return challenge


def _asked(purpose: Purpose, user_id: str | None) -> str:
    return f"{purpose} {user_id or ''}"


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise _refused()
    with _refusing():
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    raise AssertionError  # what is refused is raised


def _descriptors(known: list[KnownPasskey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=one.credential_id) for one in known]


def _as_json(text: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text)
    return content


def _refused() -> Forbidden:
    return Forbidden("The passkey does not open this; try again, or use your password.")


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
        verify(request, Purpose.REAUTHENTICATE, proof.assertion, actor)
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
