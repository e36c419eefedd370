"""What users and accounts look like to a program, and what it may send."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from tetkik.service.kit.access.reauthentication import Proof
from tetkik.service.kit.http.shape import Shape
from tetkik.values import Permission, Role


class Account(BaseModel):
    """Who is signed in."""

    id: str
    login: str
    name: str
    roles: list[Role]
    departments: list[str] = Field(
        description="Of a clinician; `*` is every one, and without any they open none."
    )
    permissions: list[Permission]


class TokenView(Shape):
    """A token, without its secret."""

    id: str
    name: str
    scopes: list[Permission]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = Field(description="Its last request, to the minute.")


class Tokens(BaseModel):
    """All tokens that open something."""

    items: list[TokenView]


class NewToken(BaseModel):
    """A token to be made."""

    name: str = Field(
        min_length=1, max_length=60, pattern=r"\S", description="By which the owner knows it again."
    )
    scopes: list[Permission] = Field(description="What it may do, never more than the owner.")
    days: int = Field(default=90, ge=1, le=366)
    proof: Proof = Field(
        Proof(), description="The password or a passkey; not needed in the five minutes after signing in."
    )


class MadeToken(TokenView):
    """A token with its secret, which is shown this once."""

    secret: str = Field(description="For the header `Authorization: Bearer …`.")


class Answer(BaseModel):
    """A browser's answer, and where its page goes on."""

    credential: dict[str, Any]
    next: str = Field(default="/", max_length=2000)


class Addition(BaseModel):
    """A new passkey."""

    credential: dict[str, Any]
    name: str = Field(max_length=200)


Department = Annotated[str, Field(max_length=60, examples=["Nöroloji"])]


class UserProfile(BaseModel):
    """The profile of a user."""

    name: str = Field(min_length=1, max_length=120, pattern=r"\S")
    title: str = Field(default="", max_length=60)
    registration: str = Field(default="", max_length=40)
    roles: list[Role] = Field(min_length=1)
    departments: list[Department] = Field(
        default=[], description="Of a clinician; `*` is every one, and without any they open none."
    )


class NewUser(UserProfile):
    """A user to be made."""

    login: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$",
        description="2 to 64 letters, digits, dots, hyphens, underscores or at signs.",
    )


class UserView(UserProfile, Shape):
    """A user."""

    id: str
    login: str
    disabled: bool = Field(description="Whether the account is closed.")
    paused: bool = Field(description="Whether signing in pauses after failures.")
    must_change: bool = Field(
        description="Whether the password has to be changed before anything else opens."
    )
    created_at: datetime = Field(description="When the account was made.")
    last_login_at: datetime | None = Field(description="None before the first.")
    keys_held: bool = Field(
        description="Whether passkeys or tokens came back with a backup and wait for their confirmation."
    )


class InvitedUser(UserView):
    """A user with the link to choose a password."""

    link: str = Field(description="Works once, for 24 hours; in this answer and nowhere else.")


class Reset(BaseModel):
    """How an account is reset."""

    keep_keys: bool = Field(
        default=False,
        description="Whether passkeys and tokens stay; else they end with the password and every session.",
    )


class Link(BaseModel):
    """A one-time link, and what ended."""

    link: str = Field(description="Works once, for 24 hours.")
    sessions_ended: int = Field(description="Browsers that were signed out.")
    passkeys_removed: int
    tokens_revoked: int
