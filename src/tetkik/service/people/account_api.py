"""One's own account, API tokens and passkeys; for browsers, not for programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from tetkik.errors import Forbidden, NotSignedIn
from tetkik.records.database import Transaction
from tetkik.records.people import sessions, tokens, users
from tetkik.records.people.refusals import record_refusal
from tetkik.records.people.sessions import Resumed
from tetkik.records.people.users import user_row
from tetkik.service.kit.access import passkeys
from tetkik.service.kit.access.authentication import limit_sign_ins, refuse_programs
from tetkik.service.kit.access.authorization import RequestContext, allowed, own_session, public
from tetkik.service.kit.access.new_session import begin
from tetkik.service.kit.access.passkeys import Purpose
from tetkik.service.kit.access.rate_limits import limit_rate, rate_limits_of
from tetkik.service.kit.access.reauthentication import Proof, reauthenticate_for_account
from tetkik.service.kit.access.required_passkey import refuse_second_passkey
from tetkik.service.kit.context import AppContext, ContextDep
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import safe_path
from tetkik.service.people.shapes import Account, Addition, Answer, MadeToken, NewToken, Tokens, TokenView
from tetkik.values import Actor, Method, Permission

router = APIRouter(prefix="/account", tags=["account"])

Owner = Annotated[RequestContext, allowed(Permission.OWN_ACCOUNT)]
TokenId = Annotated[str, Path(max_length=64)]


@router.get("")
def account(ctx: Owner) -> Account:
    """Who is signed in, and what they may do."""
    with ctx.read() as tx:
        member = users.load_user(tx, ctx.user_id)
    return Account(
        id=member.id,
        login=member.login,
        name=member.profile.name,
        roles=sorted(member.profile.roles),
        departments=list(member.profile.departments),
        permissions=sorted(ctx.actor.permissions),
    )


@router.get("/tokens")
def list_tokens(ctx: Owner) -> Tokens:
    """One's tokens, the latest first."""
    with ctx.read() as tx:
        return Tokens(items=[TokenView.from_value(token) for token in tokens.list_tokens(tx)])


@router.post("/tokens", status_code=201, response_model=MadeToken)
def make_token(ctx: Owner, once: IdempotentDep, new: NewToken) -> Response:
    """Make a token; its secret is in this answer and nowhere else."""
    reauthenticate_for_account(ctx.request, ctx.actor, new.proof)

    def make(tx: Transaction) -> MadeToken:
        secret, token = tokens.create(tx, new.name, new.scopes, timedelta(days=new.days))
        return MadeToken.from_value(token, secret=secret)

    return once.run(ctx.records, ctx.actor, make).response()


@router.delete("/tokens/{token_id}", status_code=204)
def revoke_token(ctx: Owner, token_id: TokenId) -> None:
    """End a token at once."""
    with ctx.write() as tx:
        tokens.revoke(tx, token_id)


passkey_router = APIRouter(include_in_schema=False)


@passkey_router.post("/passkeys/sign-in/question", dependencies=[public()])
def ask_at_sign_in(request: Request) -> dict[str, Any]:
    """What the browser is asked at sign-in."""
    limit_sign_ins(request)
    return passkeys.authentication_options(request, Purpose.SIGN_IN)


@passkey_router.post("/passkeys/sign-in", dependencies=[public()])
def sign_in_with(request: Request, context: ContextDep, answer: Answer) -> Response:
    """Sign in with a passkey."""
    peer = limit_sign_ins(request)
    try:
        user_id = passkeys.verify(request, Purpose.SIGN_IN, answer.credential)
    except Forbidden:
        nobody = Actor(None, "", method=Method.PASSKEY, address=peer.address)
        record_refusal(context.records, nobody, peer.network, by=Method.PASSKEY.value)
        raise
    with context.records.read() as tx:
        actor = users.build_actor(user_row(tx, user_id), Method.PASSKEY, peer)
    done = JSONResponse({"next": safe_path(answer.next)})
    begin(request, context, actor, done)
    return done


@passkey_router.post("/passkeys/unlock/question", dependencies=[public()])
async def ask_at_lock(request: Request) -> dict[str, Any]:
    """What the browser is asked at a locked screen."""
    found = await _own_session(request)
    return await run_in_threadpool(
        passkeys.authentication_options, request, Purpose.REAUTHENTICATE, found.actor
    )


@passkey_router.post("/passkeys/unlock", dependencies=[public()])
async def unlock_with(request: Request, context: ContextDep, answer: Answer) -> dict[str, str]:
    """Open the locked screen with a passkey."""
    found = await _own_session(request)
    await run_in_threadpool(_unlock, request, context, found, answer)
    return {"next": safe_path(answer.next)}


def _unlock(request: Request, context: AppContext, found: Resumed, answer: Answer) -> None:
    limit_rate(request, rate_limits_of(request).sign_ins, f"again {found.actor.session_id}")
    passkeys.verify(request, Purpose.REAUTHENTICATE, answer.credential, found.actor)
    with context.records.write(found.actor) as tx:
        sessions.unlock(tx, Method.PASSKEY)


async def _own_session(request: Request) -> Resumed:
    if request.headers.get("authorization") is not None:
        raise NotSignedIn("Nobody is signed in here; sign in first.")
    return await own_session(request)


@passkey_router.post("/account/passkeys/question")
def ask_again(ctx: Owner) -> dict[str, Any]:
    """What the browser is asked before a signature."""
    refuse_programs(ctx.actor)
    return passkeys.authentication_options(ctx.request, Purpose.REAUTHENTICATE, ctx.actor)


@passkey_router.post("/account/passkeys/new")
def ask_to_add(ctx: Owner, proof: Proof) -> dict[str, Any]:
    """What the browser is asked to make a passkey, once the person has proved themselves."""
    refuse_second_passkey(ctx.app, ctx.actor)
    reauthenticate_for_account(ctx.request, ctx.actor, proof)
    return passkeys.registration_options(ctx.request, ctx.actor)


@passkey_router.post("/account/passkeys", status_code=201)
def add_passkey(ctx: Owner, addition: Addition) -> dict[str, str]:
    """Keep the passkey that the browser made."""
    refuse_programs(ctx.actor)
    refuse_second_passkey(ctx.app, ctx.actor)
    return {"id": passkeys.register(ctx.request, ctx.actor, addition.name, addition.credential)}
