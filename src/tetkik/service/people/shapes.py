"""What users and accounts look like to a program, and what it may send."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from tetkik.service.kit.access.reauthentication import Proof
from tetkik.values import DEPARTMENTS, EVERY_DEPARTMENT, Permission, Role


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


class Answer(BaseModel):
    """A browser's answer, and where its page goes on."""

    credential: dict[str, Any]
    next: str = Field(default="/", max_length=2000)


class Addition(BaseModel):
    """A new passkey."""

    credential: dict[str, Any]
    name: str = Field(max_length=200)


Department = Annotated[str, Field(json_schema_extra={"enum": [EVERY_DEPARTMENT, *DEPARTMENTS]})]


class UserProfile(BaseModel):
    """What a person is in the house.

    Attributes:
        name: in full.
        title: before it.
        registration: number of the diploma.
        roles: at least one.
        departments: of a clinician; `*` is every one, and without any they open none.
    """

    name: str = Field(min_length=1, max_length=120, pattern=r"\S")
    title: str = Field(default="", max_length=60)
    registration: str = Field(default="", max_length=40)
    roles: list[Role] = Field(min_length=1)
    departments: list[Department] = []


class NewUser(UserProfile):
    """A user to be made.

    Attributes:
        login: 2 to 64 letters, digits, dots, hyphens, underscores or at signs.
    """

    login: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$")


class UserView(UserProfile):
    """A user.

    Attributes:
        id: of the user.
        login: folded.
        disabled: whether the account is closed.
        paused: whether signing in pauses after failures.
        must_change: whether the password has to be changed before anything else opens.
        created_at: when the account was made.
        last_login_at: None before the first.
        keys_held: whether passkeys or tokens came back with a backup and wait for their confirmation.
    """

    id: str
    login: str
    disabled: bool
    paused: bool
    must_change: bool
    created_at: datetime
    last_login_at: datetime | None
    keys_held: bool


class InvitedUser(UserView):
    """A user with the link to choose a password.

    Attributes:
        link: works once, for 24 hours; in this answer and nowhere else.
    """

    link: str


class Reset(BaseModel):
    """How an account is reset.

    Attributes:
        keep_keys: whether passkeys and tokens stay; else they end with the password and every session.
    """

    keep_keys: bool = False


class Link(BaseModel):
    """A one-time link, and what ended.

    Attributes:
        link: works once, for 24 hours.
        sessions_ended: browsers that were signed out.
        passkeys_removed: how many.
        tokens_revoked: how many.
    """

    link: str
    sessions_ended: int
    passkeys_removed: int
    tokens_revoked: int
