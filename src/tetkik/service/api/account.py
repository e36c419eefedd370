"""One's own account, and the tokens that programs use in one's name; for browsers, not for programs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from tetkik.records.database import Transaction
from tetkik.records.people import tokens, users
from tetkik.service.access.again import Proof, verify_for_account
from tetkik.service.access.guard import allowed
from tetkik.service.house import InHouse
from tetkik.service.http.once import OnlyOnce
from tetkik.values import Actor, Permission, Role

router = APIRouter(prefix="/account", tags=["account"])

Owner = Annotated[Actor, allowed(Permission.OWN_ACCOUNT)]
TokenId = Annotated[str, Path(max_length=64)]


class Account(BaseModel):
    """Who is signed in.

    Attributes:
        id: of the user.
        login: theirs.
        name: in full.
        roles: theirs.
        departments: of a clinician; `*` is every one, and without any they open none.
        permissions: what they may do.
    """

    id: str
    login: str
    name: str
    roles: list[Role]
    departments: list[str]
    permissions: list[Permission]


class TokenView(BaseModel):
    """A token, without its secret.

    Attributes:
        id: of the token.
        name: that its owner gave.
        scopes: what it may do.
        created_at: when it was made.
        expires_at: when it ends.
        used_at: its last request, to the minute.
    """

    id: str
    name: str
    scopes: list[Permission]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class Tokens(BaseModel):
    """All tokens that open something."""

    items: list[TokenView]


class NewToken(BaseModel):
    """A token to be made.

    Attributes:
        name: by which the owner knows it again.
        scopes: what it may do, never more than the owner.
        days: after which it ends.
        proof: the password or a passkey; not needed in the five minutes after signing in.
    """

    name: str = Field(min_length=1, max_length=60, pattern=r"\S")
    scopes: list[Permission]
    days: int = Field(default=90, ge=1, le=366)
    proof: Proof = Proof()


class MadeToken(TokenView):
    """A token with its secret, which is shown this once.

    Attributes:
        secret: for the header `Authorization: Bearer …`.
    """

    secret: str


@router.get("")
def account(house: InHouse, actor: Owner) -> Account:
    """Who is signed in, and what they may do."""
    with house.records.read(actor) as tx:
        assert actor.user_id is not None
        member = users.load_user(tx, actor.user_id)
    return Account(
        id=member.id,
        login=member.login,
        name=member.profile.name,
        roles=sorted(member.profile.roles),
        departments=list(member.profile.departments),
        permissions=sorted(actor.permissions),
    )


@router.get("/tokens")
def list_tokens(house: InHouse, actor: Owner) -> Tokens:
    """One's tokens, the latest first."""
    with house.records.read(actor) as tx:
        return Tokens(items=[_view(token) for token in tokens.list_tokens(tx)])


@router.post("/tokens", status_code=201, response_model=MadeToken)
def make_token(request: Request, house: InHouse, actor: Owner, once: OnlyOnce, new: NewToken) -> Response:
    """Make a token; its secret is in this answer and nowhere else."""
    verify_for_account(request, actor, new.proof)

    def make(tx: Transaction) -> MadeToken:
        secret, token = tokens.create(tx, new.name, new.scopes, timedelta(days=new.days))
        return MadeToken(secret=secret, **_view(token).model_dump())

    return once.run(house.records, actor, make)


@router.delete("/tokens/{token_id}", status_code=204)
def revoke_token(house: InHouse, actor: Owner, token_id: TokenId) -> None:
    """End a token at once."""
    with house.records.write(actor) as tx:
        tokens.revoke(tx, token_id)


def _view(token: tokens.Token) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        scopes=list(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        used_at=token.used_at,
    )
