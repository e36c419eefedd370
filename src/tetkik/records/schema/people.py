"""Who works here: users, how they prove it, and what is open in their name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Authenticated, Base, Identified, Moment, enum_column
from tetkik.values import AccountChange, Method


class User(Identified, Authenticated, Base):
    """A user account. Never deleted: signatures and the audit trail name them."""

    __tablename__ = "users"

    login: Mapped[str] = mapped_column(String(64), unique=True)
    """Folded, so that İREM and irem are one."""
    name: Mapped[str] = mapped_column(String(120))
    title: Mapped[str] = mapped_column(String(60), default="")
    registration: Mapped[str] = mapped_column(String(40), default="")
    """Number of the diploma, as reports show it."""
    roles: Mapped[str] = mapped_column(String(200))
    """Names of roles, with commas."""
    departments: Mapped[str] = mapped_column(String(600), default="")
    """Names of departments, with `|`; `*` is every one, and empty is none."""
    password_hash: Mapped[str | None] = mapped_column(String(200))
    """argon2id, with its parameters; None where only single sign-on or a passkey opens."""
    must_change: Mapped[bool] = mapped_column(default=False)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    oidc_issuer: Mapped[str | None] = mapped_column(String(300))
    oidc_subject: Mapped[str | None] = mapped_column(String(255))
    language: Mapped[str | None] = mapped_column(String(2))
    theme: Mapped[str | None] = mapped_column(String(5))
    worklist: Mapped[str | None] = mapped_column(Text)
    """JSON of `worklist.preferences`: density, columns, order; None before the first choice."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    password_at: Mapped[datetime | None] = mapped_column(Moment)
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (UniqueConstraint("oidc_issuer", "oidc_subject"),)


class Passkey(Identified, Authenticated, Base):
    """A WebAuthn credential of a user."""

    __tablename__ = "passkeys"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(1023), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(default=0)
    name: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    held_at: Mapped[datetime | None] = mapped_column(Moment)
    """It came back with a backup, and opens nothing before an administrator confirms it."""


class BrowserSession(Authenticated, Base):
    """A signed-in browser. The id is the SHA-256 of the cookie: the table opens nothing."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    method: Mapped[Method] = mapped_column(enum_column(Method))
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)
    seen_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    locked: Mapped[bool] = mapped_column(default=False)
    """The screen is locked: nothing is shown before the password comes again."""
    address: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[str | None] = mapped_column(String(200))
    challenge: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of a passkey ceremony under way."""


class SignInFailures(Base):
    """Wrong passwords of one account from one place, such as a session, a browser or a network."""

    __tablename__ = "sign_in_failures"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the user and the place."""
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), index=True)
    """None for a login of the directory that nobody has here yet."""
    failed: Mapped[int]
    until: Mapped[datetime | None] = mapped_column(Moment)
    """No password is looked at from there before this."""
    at: Mapped[datetime] = mapped_column(Moment)


class ApiToken(Identified, Authenticated, Base):
    """A token for a program, with the SHA-256 of its secret."""

    __tablename__ = "api_tokens"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(600))
    """Permissions, with commas; never more than the owner's."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    held_at: Mapped[datetime | None] = mapped_column(Moment)
    """As `Passkey.held_at`."""


class Invite(Authenticated, Base):
    """A one-time link: it creates a user with the given roles, or sets a new password for one."""

    __tablename__ = "invites"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    roles: Mapped[str] = mapped_column(String(200))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Whose password it sets; None for a new user."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)


class Notice(Identified, Base):
    """A notice about an account: shown until its person says that they have seen it."""

    __tablename__ = "notices"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    kind: Mapped[AccountChange] = mapped_column(enum_column(AccountChange))
    at: Mapped[datetime] = mapped_column(Moment)
    by_user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Who did it; None for the program itself and whoever came signed out."""
    address: Mapped[str | None] = mapped_column(String(64))
    agent: Mapped[str | None] = mapped_column(String(200))
    what: Mapped[str] = mapped_column(String(200), default="")
    """The name of a passkey or token, the new roles, the time of a backup."""
    browser: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of a browser's cookie and the user: by it a browser is known again."""
    seen_at: Mapped[datetime | None] = mapped_column(Moment)


class BrokenGlass(Identified, Base):
    """Emergency access of one person to one case, with a sealed reason."""

    __tablename__ = "break_glass"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"))
    reason: Mapped[bytes | None] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index(None, "user_id", "case_id", "expires_at"),)
