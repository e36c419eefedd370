"""Single sign-on, and the directory: a person is joined to a user by issuer and subject, and by nothing else.

A login or an e-mail address may be given to somebody else one day; issuer and subject may not (OpenID Connect
Core 1.0, 5.7).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import select

from tetkik.errors import Forbidden, InputError
from tetkik.records.database import Transaction
from tetkik.records.people import users
from tetkik.records.people.users import Profile, folded_login
from tetkik.records.schema import User
from tetkik.values import Role


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
    profile = users.load_user(tx, user.id).profile
    last = Role.ADMINISTRATOR in profile.roles and users.count_administrators(tx) == 1
    roles = arrival.roles | {Role.ADMINISTRATOR} if last else arrival.roles
    departments = profile.departments if arrival.departments is None else arrival.departments
    if profile.roles != roles or {*profile.departments} != {*departments}:
        profile = replace(profile, roles=roles, departments=departments)
        users.change(tx, user.id, profile, departments=departments)
    return user


def _newcomer(tx: Transaction, arrival: Arrival) -> User:
    name = arrival.name.strip()[:120] or arrival.login
    departments = arrival.departments or ()
    profile = Profile(name, arrival.roles, departments=departments)
    user_id = users.create(tx, _free_login(tx, arrival), profile, departments=departments)
    user = users.user_row(tx, user_id)
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
