"""Accounts that another program changed or put back in the database: found, and repaired from the machine.

What such a row says is nobody's word. Its password and its join to single sign-on go, the roles are given
anew, and passkeys, tokens, sessions and links that were altered are removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import select, update

from tetkik.errors import NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.people import attempts
from tetkik.records.people.deactivation import end_sessions, revoke_keys, void_links
from tetkik.records.people.users import folded_login
from tetkik.records.row_authentication import (
    COVERED,
    UNCHECKED,
    authenticate,
    delete_rows,
    is_altered,
    is_put_back,
)
from tetkik.records.schema import User
from tetkik.records.schema.base import Base
from tetkik.values import Role


def list_altered(tx: Transaction, kind: type[Base]) -> Iterator[Any]:
    """Rows of one of the tables of `COVERED` that open nothing, because another program wrote them."""
    rows = tx.session.scalars(select(kind), execution_options=UNCHECKED).all()
    yield from (row for row in rows if is_altered(row) or is_put_back(tx.session, row))


def remove_altered_keys(tx: Transaction) -> int:
    """Remove altered passkeys, tokens, sessions and links; gives how many."""
    removed = 0
    for kind in COVERED:
        if kind is User:
            continue
        table: Any = kind.__table__
        (key,) = table.primary_key
        going = [getattr(row, key.name) for row in list_altered(tx, kind)]
        removed += delete_rows(tx.session, kind, key.in_(going))
    if removed:
        tx.audit(Action.USER_CHANGED, what="altered_keys_removed", count=removed)
    return removed


def repair_account(tx: Transaction, login: str, roles: Collection[Role]) -> str:
    """Take an altered account back, with these roles and nothing that opens it; gives its id.

    Departments go as well: an administrator gives them anew.
    """
    folded = folded_login(login)
    user = next((user for user in list_altered(tx, User) if user.login == folded), None)
    if user is None:
        raise NotFound(
            "The account {login} was not altered; `tetkik users repair` lists those.", login=folded
        )
    remove_altered_keys(tx)
    before = user.roles
    cleared = dict.fromkeys(("password_hash", "oidc_issuer", "oidc_subject"))
    tx.apply(
        update(User)
        .where(User.id == user.id)
        .values(roles=",".join(sorted(roles)), departments="", **cleared)
    )
    user = tx.session.get_one(User, user.id, populate_existing=True, execution_options=UNCHECKED)
    authenticate(tx.session, user)
    tx.session.refresh(user)
    attempts.forget(tx, user.id)
    end_sessions(tx, user.id)
    void_links(tx, user.id)
    revoke_keys(tx, user.id)
    tx.audit(Action.USER_CHANGED, object_id=user.id, what="repaired", before=before, given=user.roles)
    return user.id
