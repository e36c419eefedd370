"""Roles for whom a password alone is not enough: they sign in with a passkey, or come by single sign-on.

OWASP ASVS 4.0.3, 4.3.1. A session that a password alone began opens nothing for them but the page where a
passkey is added, and not even that once there is one: otherwise a stolen password would add the thief's.
"""

from __future__ import annotations

from tetkik.errors import Forbidden, SettingError
from tetkik.records.people import passkeys
from tetkik.service.kit.context import AppContext
from tetkik.settings import Settings
from tetkik.values import Actor, Method, Role


def passkey_roles(settings: Settings) -> frozenset[Role]:
    """The setting `passkey_roles`, read."""
    named = [part.strip() for part in settings.passkey_roles.split(",") if part.strip()]
    try:
        return frozenset(Role(name) for name in named)
    except ValueError:
        raise SettingError(
            "The setting passkey_roles names a role that there is not ({text}); write such as "
            "administrator, radiologist.",
            text=settings.passkey_roles,
        ) from None


def needs_passkey(settings: Settings, actor: Actor) -> bool:
    """Whether somebody signed in by a password alone who needs more."""
    return actor.method is Method.PASSWORD and bool(actor.roles & passkey_roles(settings))


def refuse_second_passkey(context: AppContext, actor: Actor) -> None:
    """Keep a weak session from adding a passkey where there is one, and from removing that one first."""
    if not needs_passkey(context.settings, actor):
        return
    with context.records.read(actor) as tx:
        assert actor.user_id is not None
        known = passkeys.of_user(tx, actor.user_id)
    if known:
        raise Forbidden("Your account has a passkey; sign in with it, or ask the administrator for a link.")
