"""The questions and answers of passkeys, between the pages' script and the house; no programs' business."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tetkik.errors import Forbidden, NotSignedIn
from tetkik.records.audit_chain import Action
from tetkik.records.people import sessions, sign_in
from tetkik.records.people.sessions import Resumed
from tetkik.records.people.users import user_row
from tetkik.service.access import passkeys
from tetkik.service.access.again import Proof, verify_for_account
from tetkik.service.access.gate import gate_of, take
from tetkik.service.access.guard import allowed, check_origin, public
from tetkik.service.access.identify import of_session, peer_of, refuse_programs, resumed
from tetkik.service.access.opening import begin
from tetkik.service.access.passkeys import Purpose
from tetkik.service.access.returning import inside
from tetkik.service.access.stronger import refuse_second
from tetkik.service.house import House, InHouse
from tetkik.values import Actor, Method, Permission

router = APIRouter(include_in_schema=False)

Owner = Annotated[Actor, allowed(Permission.OWN_ACCOUNT)]


class Answer(BaseModel):
    """A browser's answer, and where its page goes on."""

    credential: dict[str, Any]
    next: str = Field(default="/", max_length=2000)


class Addition(BaseModel):
    """A new passkey."""

    credential: dict[str, Any]
    name: str = Field(max_length=200)


@router.post("/passkeys/sign-in/question", dependencies=[public()])
def ask_at_sign_in(request: Request) -> dict[str, Any]:
    """What the browser is asked at sign-in."""
    take(request, gate_of(request).sign_ins, f"address {peer_of(request).address}")
    return passkeys.ask(request, Purpose.SIGN_IN)


@router.post("/passkeys/sign-in", dependencies=[public()])
def sign_in_with(request: Request, house: InHouse, answer: Answer) -> Response:
    """Sign in with a passkey."""
    peer = peer_of(request)
    take(request, gate_of(request).sign_ins, f"address {peer.address}")
    try:
        user_id = passkeys.proved(request, Purpose.SIGN_IN, answer.credential)
    except Forbidden:
        _note_failure(house, Actor(None, "", method=Method.PASSKEY, address=peer.address))
        raise
    with house.records.read() as tx:
        actor = sign_in.build_actor(user_row(tx, user_id), Method.PASSKEY, peer)
    done = JSONResponse({"next": inside(answer.next)})
    begin(request, house, actor, done)
    return done


def _note_failure(house: House, actor: Actor) -> None:
    with house.records.write(actor) as tx:
        tx.audit(Action.SIGN_IN_FAILED, by=Method.PASSKEY.value)


@router.post("/passkeys/unlock/question", dependencies=[public()])
async def ask_at_lock(request: Request) -> dict[str, Any]:
    """What the browser is asked at a locked screen."""
    found = await _own_session(request)
    return await run_in_threadpool(passkeys.ask, request, Purpose.AGAIN, found.actor)


@router.post("/passkeys/unlock", dependencies=[public()])
async def unlock_with(request: Request, house: InHouse, answer: Answer) -> dict[str, str]:
    """Open the locked screen with a passkey."""
    found = await _own_session(request)
    await run_in_threadpool(_unlock, request, house, found, answer)
    return {"next": inside(answer.next)}


def _unlock(request: Request, house: House, found: Resumed, answer: Answer) -> None:
    take(request, gate_of(request).sign_ins, f"again {found.actor.user_id}")
    passkeys.proved(request, Purpose.AGAIN, answer.credential, found.actor)
    with house.records.write(found.actor) as tx:
        sessions.unlock(tx, Method.PASSKEY)


async def _own_session(request: Request) -> Resumed:
    if request.headers.get("authorization") is not None:
        raise NotSignedIn("Nobody is signed in here; sign in first.")
    found = await run_in_threadpool(resumed, request)
    await check_origin(request, of_session(found))
    return found


@router.post("/account/passkeys/question")
def ask_again(request: Request, actor: Owner) -> dict[str, Any]:
    """What the browser is asked before a signature."""
    refuse_programs(actor)
    return passkeys.ask(request, Purpose.AGAIN, actor)


@router.post("/account/passkeys/new")
def ask_to_add(request: Request, house: InHouse, actor: Owner, proof: Proof) -> dict[str, Any]:
    """What the browser is asked to make a passkey, once the person has proved themselves."""
    refuse_second(house, actor)
    verify_for_account(request, actor, proof)
    return passkeys.ask_to_add(request, actor)


@router.post("/account/passkeys", status_code=201)
def add(request: Request, house: InHouse, actor: Owner, addition: Addition) -> dict[str, str]:
    """Keep the passkey that the browser made."""
    refuse_programs(actor)
    refuse_second(house, actor)
    return {"id": passkeys.added(request, actor, addition.name, addition.credential)}
