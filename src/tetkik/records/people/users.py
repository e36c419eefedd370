"""User accounts: created, changed and disabled, never deleted, because signatures and the trail name them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

from sqlalchemy import select

from tetkik.errors import Conflict, Forbidden, InputError, NotFound
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.people import notices, passwords
from tetkik.records.people.deactivation import (
    RevokedAccess,
    end_sessions,
    live_tokens,
    revoke_keys,
    void_links,
)
from tetkik.records.row_authentication import UNCHECKED, is_altered, is_put_back
from tetkik.records.schema.people import ApiToken, Passkey, User
from tetkik.turkish import fold
from tetkik.values.access import EVERY_DEPARTMENT, AccountChange, Actor, Method, Role, permissions_of

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
_KEPT = "._@-"


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request comes from."""

    address: str | None = None
    request_id: str | None = None
    agent: str = ""
    browser: str = field(default="", repr=False)
    """By which a browser is known again, as its signed cookie says; empty where it says nothing."""

    @property
    def network(self) -> str:
        """What limits count; see `network_of`."""
        return network_of(self.address)


def network_of(address: str | None) -> str:
    """An IPv4 address, or the /64 of IPv6 that one machine has for itself (RFC 8981); else the text."""
    try:
        known = ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(known, IPv4Address):
        return str(known)
    return str(known.ipv4_mapped or ip_network((known, 64), strict=False))


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person is called, here and on a report."""

    name: str
    roles: frozenset[Role]
    title: str = ""
    """Before it, such as `Uzm. Dr.`."""
    registration: str = ""
    departments: tuple[str, ...] = ()
    """Of a clinician; `EVERY_DEPARTMENT` among them is each, none is none."""


@dataclass(frozen=True, slots=True)
class Member:
    id: str
    login: str
    profile: Profile
    has_password: bool
    passkeys: int
    single_sign_on: bool
    must_change: bool
    locked_until: datetime | None
    """Until when passwords from some place are not looked at; None where none pauses."""
    disabled_at: datetime | None
    created_at: datetime
    last_login_at: datetime | None
    keys_held: bool = False
    altered: bool = False
    """Whether another program changed the row: the account opens nothing."""


def digest_of(secret: str) -> str:
    """What is kept of a cookie, a link or a token: it opens nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def build_actor(user: User, method: Method, peer: Peer, session_id: str | None = None) -> Actor:
    """A user who proved themselves, as an actor."""
    roles, departments = roles_of(user.roles), departments_of(user.departments)
    who = (user.id, user.name, roles, permissions_of(roles), departments)
    return Actor(*who, session_id, method, peer.address, peer.request_id)


def folded_login(text: str) -> str:
    """A login as it is kept: `İrem.IŞIK`, `irem.isik` and `IREM.IŞIK` are one."""
    login = "".join(char if char in _KEPT else fold(char) for char in text.strip())
    if not _LOGIN.fullmatch(login):
        raise InputError(
            "The login cannot be used; take 2 to 64 letters, digits, dots, hyphens, underscores or at signs."
        )
    return login


def create(
    tx: Transaction,
    login: str,
    profile: Profile,
    *,
    password: str | None = None,
    departments: Collection[str] = (),
) -> str:
    """A new user; gives the id. Without a password a link, a passkey or single sign-on will open."""
    refuse_tokens(tx)
    folded = folded_login(login)
    _check(profile, departments)
    if tx.session.scalar(select(User.id).where(User.login == folded)) is not None:
        raise Conflict("The login is taken; choose another.")
    if password is not None:
        passwords.refuse_weak(password, (folded, profile.name))
    user_id = new_id()
    tx.session.add(
        User(
            id=user_id,
            login=folded,
            password_hash=passwords.hashed(password) if password is not None else None,
            password_at=tx.now if password is not None else None,
            created_at=tx.now,
            **_columns(profile),
        )
    )
    tx.session.flush()
    tx.audit(Action.USER_CREATED, object_id=user_id, given=",".join(sorted(profile.roles)))
    return user_id


def change(tx: Transaction, user_id: str, profile: Profile, *, departments: Collection[str] = ()) -> None:
    """Give a user another name, other roles, other departments; open pages follow at their next request.

    `departments` are those that can be given, of the triage model; whatever the user has already stays.
    `Conflict` where it would leave nobody who administers.
    """
    _hold_everybody(tx)
    user = user_row(tx, user_id)
    _check(profile, (*departments, *departments_of(user.departments)))
    before = (user.roles, user.departments)
    for column, value in _columns(profile).items():
        setattr(user, column, value)
    if before != (user.roles, user.departments):
        refuse_tokens(tx)
    tx.session.flush()
    _keep_an_administrator(tx, roles_of(before[0]))
    tx.audit(Action.USER_CHANGED, object_id=user_id, what="profile", before=before[0], given=user.roles)
    if before != (user.roles, user.departments):
        notices.notify(tx, user_id, AccountChange.ROLES_CHANGED, user.roles)


def set_password(
    tx: Transaction, user_id: str, password: str, hospital: str = "", *, keys: bool = False
) -> RevokedAccess:
    """A new password, of the person's own choosing; ends every other session and link of theirs.

    Passkeys and tokens end as well (`keys`) for whoever suspects that somebody else has used them.
    """
    user = user_row(tx, user_id)
    passwords.refuse_weak(password, (user.login, user.name, hospital))
    if user.must_change and passwords.matches(password, user.password_hash):
        raise InputError("This is the present password, and another one is asked for; choose a new one.")
    first = user.last_login_at is None
    user.password_hash = passwords.hashed(password)
    user.password_at = tx.now
    user.must_change = False
    passwords.forget(tx, user_id)
    void_links(tx, user_id)
    ended = _end(tx, user_id, keys=keys, keep=tx.actor.session_id)
    tx.audit(Action.PASSWORD_CHANGED, object_id=user_id, **_counted(ended))
    if not first:
        notices.notify(tx, user_id, AccountChange.PASSWORD_CHANGED)
    return ended


def reset_access(tx: Transaction, user_id: str, *, keys: bool = True) -> RevokedAccess:
    """Take the password away and end every session, and with `keys` passkeys and tokens.

    A link sets a new password. What was lost or stolen is seldom the password alone.
    """
    refuse_tokens(tx)
    user = user_row(tx, user_id)
    user.password_hash = None
    passwords.forget(tx, user_id)
    ended = _end(tx, user_id, keys=keys)
    tx.audit(Action.USER_CHANGED, object_id=user_id, what="reset", **_counted(ended))
    notices.notify(tx, user_id, AccountChange.PASSWORD_RESET)
    return ended


def _end(tx: Transaction, user_id: str, *, keys: bool, keep: str | None = None) -> RevokedAccess:
    """End the sessions of a user, and where wanted passkeys and tokens."""
    sessions = end_sessions(tx, user_id, keep=keep)
    ended = revoke_keys(tx, user_id) if keys else RevokedAccess()
    return replace(ended, sessions=sessions)


def _counted(ended: RevokedAccess) -> dict[str, Any]:
    return {"passkeys": ended.passkeys or None, "tokens": ended.tokens or None}


def require_password_change(tx: Transaction, user_id: str) -> None:
    """Let the person choose a new password before anything else: at the next request, or the next sign-in."""
    user = user_row(tx, user_id)
    if user.password_hash is None:
        raise Conflict("This account has no password, so none can be changed; make a link for a first one.")
    user.must_change = True
    tx.audit(Action.USER_CHANGED, object_id=user_id, what="must_change")


def disable(tx: Transaction, user_id: str) -> None:
    """Close an account: nothing opens it, and its sessions and tokens are over."""
    _hold_everybody(tx)
    user = user_row(tx, user_id)
    user.disabled_at = tx.now
    tx.session.flush()
    _keep_an_administrator(tx, roles_of(user.roles))
    end_sessions(tx, user_id)
    tx.audit(Action.USER_DISABLED, object_id=user_id)


def enable(tx: Transaction, user_id: str) -> None:
    """Open a closed account again."""
    refuse_tokens(tx)
    user_row(tx, user_id).disabled_at = None
    tx.audit(Action.USER_CHANGED, object_id=user_id, what="enabled")


def unlock(tx: Transaction, user_id: str) -> None:
    """End the pause after failed sign-ins."""
    refuse_tokens(tx)
    user_row(tx, user_id)
    passwords.forget(tx, user_id)
    tx.audit(Action.USER_CHANGED, object_id=user_id, what="unlocked")


def refuse_tokens(tx: Transaction) -> None:
    """Keep programs from what opens an account or widens what it may do: with it a token would be one."""
    if tx.actor.method is Method.TOKEN:
        raise Forbidden(
            "A token closes accounts and corrects names; accounts, roles, departments and links are given by "
            "a person: sign in with a browser."
        )


def load_user(tx: Transaction, user_id: str) -> Member:
    """One user."""
    return _member(tx, user_row(tx, user_id))


def find_user(tx: Transaction, login: str) -> Member:
    """The user of a login."""
    user = tx.session.scalar(select(User).where(User.login == folded_login(login)))
    if user is None:
        raise NotFound("There is no user {login}; `tetkik users list` shows them.", login=folded_login(login))
    return _member(tx, user)


def list_users(tx: Transaction, *, after: str = "", limit: int | None = None) -> list[Member]:
    """Users by login, those behind `after`."""
    query = select(User).where(User.login > after).order_by(User.login).limit(limit)
    return [_member(tx, user) for user in tx.session.scalars(query, execution_options=UNCHECKED)]


def roles_of(text: str) -> frozenset[Role]:
    """The roles that a column names."""
    return frozenset(Role(name) for name in text.split(",") if name)


def departments_of(text: str) -> tuple[str, ...]:
    """The departments that a column names."""
    return tuple(name for name in text.split("|") if name)


def count_administrators(tx: Transaction) -> int:
    """How many open accounts have the administrator's role."""
    rows = tx.session.scalars(select(User.roles).where(User.disabled_at.is_(None)))
    return sum(Role.ADMINISTRATOR in roles_of(roles) for roles in rows)


def user_row(tx: Transaction, user_id: str) -> User:
    """The row of a user, for the other modules of `records`."""
    return tx.find(User, user_id, NotFound("There is no such user; look for them in the list of users."))


def _hold_everybody(tx: Transaction) -> None:
    """Let two administrators who remove each other come one after the other, not both at once."""
    tx.session.execute(select(User.id).order_by(User.id).with_for_update())


def _keep_an_administrator(tx: Transaction, before: frozenset[Role]) -> None:
    if Role.ADMINISTRATOR in before and count_administrators(tx) == 0:
        raise Conflict(
            "This is the last administrator; give somebody else the role first, so that the hospital is "
            "not locked out."
        )


def _check(profile: Profile, departments: Collection[str]) -> None:
    if not profile.name.strip() or not profile.roles:
        raise InputError("A user needs a name and at least one role; give both.")
    unknown = [name for name in profile.departments if name not in (*departments, EVERY_DEPARTMENT)]
    if unknown:
        raise InputError("There is no department {name}; choose from the list.", name=unknown[0])
    limits = ((profile.name, 120), (profile.title, 60), (profile.registration, 40))
    if any(len(text) > most for text, most in limits):
        raise InputError("The name, the title or the number of the diploma is too long; shorten it.")


def _columns(profile: Profile) -> dict[str, str]:
    return {
        "name": profile.name.strip(),
        "title": profile.title.strip(),
        "registration": profile.registration.strip(),
        "roles": ",".join(sorted(profile.roles)),
        "departments": "|".join(profile.departments),
    }


def _member(tx: Transaction, user: User) -> Member:
    held_passkey = select(Passkey.id).where(Passkey.user_id == user.id, Passkey.held_at.is_not(None))
    held_token = select(ApiToken.id).where(
        ApiToken.user_id == user.id, ApiToken.held_at.is_not(None), live_tokens(tx)
    )
    altered = is_altered(user) or is_put_back(tx.session, user)
    roles = frozenset() if altered else roles_of(user.roles)
    departments = departments_of(user.departments)
    return user.to_value(
        Member,
        profile=user.to_value(Profile, roles=roles, departments=departments),
        has_password=user.password_hash is not None,
        passkeys=tx.count(Passkey, Passkey.user_id == user.id),
        single_sign_on=user.oidc_subject is not None,
        locked_until=passwords.paused_until(tx, user.id),
        keys_held=bool(tx.session.scalar(select(held_passkey.exists() | held_token.exists()))),
        altered=altered,
    )


def save_preferences(tx: Transaction, *, language: Language | None = None, theme: str | None = None) -> None:
    """Keep the actor's choice of language and theme (`light`, `dark`, `system`); None leaves what was."""
    user = tx.session.get(User, tx.actor.user_id)
    if user is None:
        return
    if language is not None:
        user.language = language.value
    if theme is not None:
        user.theme = theme if theme != "system" else None


# Single sign-on, and the directory: a person is joined to a user by issuer and subject, and by nothing else.
#
# A login or an e-mail address may be given to somebody else one day; issuer and subject may not (OpenID
# Connect
# Core 1.0, 5.7).


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the identity provider says of a person."""

    issuer: str
    subject: str
    login: str
    name: str
    roles: frozenset[Role]
    departments: tuple[str, ...] | None = None
    """Of the person's groups; None where the provider does not say, and an administrator does."""


def departments_of_groups(
    opens: Mapping[str, tuple[str, ...]], groups: Collection[str]
) -> tuple[str, ...] | None:
    """The departments that a person's groups open, as the setting orders them; None where it is empty."""
    if not opens:
        return None
    return tuple(dict.fromkeys(name for group, names in opens.items() if group in groups for name in names))


def sign_in_by_sso(tx: Transaction, arrival: Arrival) -> User:
    """The user that a person is; made at the first arrival, and given the roles of their groups at each.

    So are the departments, where the provider speaks of them. Where it does not, a newcomer has none, and a
    clinician opens nothing before an administrator says which. `Forbidden` where no group has a role here, or
    the account is closed.
    """
    if not arrival.roles:
        raise Forbidden("None of your groups has a role in this hospital; ask the administrator.")
    user = tx.session.scalar(
        select(User).where(User.oidc_issuer == arrival.issuer, User.oidc_subject == arrival.subject)
    )
    if user is None:
        return _newcomer(tx, arrival)
    if user.disabled_at is not None:
        raise Forbidden("Your account here is closed; ask the administrator.")
    profile = load_user(tx, user.id).profile
    last = Role.ADMINISTRATOR in profile.roles and count_administrators(tx) == 1
    roles = arrival.roles | {Role.ADMINISTRATOR} if last else arrival.roles
    departments = profile.departments if arrival.departments is None else arrival.departments
    if profile.roles != roles or {*profile.departments} != {*departments}:
        profile = replace(profile, roles=roles, departments=departments)
        change(tx, user.id, profile, departments=departments)
    return user


def _newcomer(tx: Transaction, arrival: Arrival) -> User:
    name = arrival.name.strip()[:120] or arrival.login
    departments = arrival.departments or ()
    profile = Profile(name, arrival.roles, departments=departments)
    user_id = create(tx, _free_login(tx, arrival), profile, departments=departments)
    user = user_row(tx, user_id)
    user.oidc_issuer, user.oidc_subject = arrival.issuer, arrival.subject
    return user


def _free_login(tx: Transaction, arrival: Arrival) -> str:
    try:
        wanted = folded_login(arrival.login[:60])
    except InputError:
        wanted = "user"
    for login in (wanted, *(f"{wanted}-{number}" for number in range(2, 100))):
        if tx.session.scalar(select(User.id).where(User.login == login)) is None:
            return login
    raise Forbidden("No login could be made for you here; ask the administrator.")
