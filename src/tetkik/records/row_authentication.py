"""Rows that open an account carry a keyed code (HMAC-SHA256) over what they say, and open nothing without it.

Whoever can write into the database, and has no key, can so put no password, role, passkey, token, session or
link into it. What they can is put a whole row back as it once was: that shows in no code.

The codes are made and checked where SQLAlchemy writes and reads objects of these tables. Statements that
change many rows at once pass this by: they may touch the columns alone that no code covers.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, event, select, update
from sqlalchemy.orm import Mapper, QueryContext, Session, object_session

from tetkik.errors import Forbidden
from tetkik.records.schema import ApiToken, BrowserSession, Invite, Passkey, User
from tetkik.records.schema.base import Base
from tetkik.records.vault import Vault

COVERED: Mapping[type[Base], tuple[str, ...]] = {
    User: (
        *("id", "login", "name", "title", "registration", "roles", "departments"),
        *("password_hash", "must_change", "disabled_at", "oidc_issuer", "oidc_subject"),
    ),
    Passkey: ("id", "user_id", "credential_id", "public_key", "held_at"),
    ApiToken: ("id", "user_id", "digest", "scopes", "expires_at", "revoked_at", "held_at"),
    BrowserSession: ("id", "user_id", "method", "csrf", "created_at", "expires_at", "locked"),
    Invite: ("digest", "roles", "user_id", "expires_at", "used_at"),
}
"""The columns that a code covers; of the others none opens anything."""
FIRST_WITH_CODES = "0010"
"""The step of the database from which on rows have codes."""
UNCHECKED = {"tetkik_unchecked": True}
"""Options of an execution that takes altered rows, too; ask `is_altered` of each."""


def is_altered(row: Any) -> bool:
    """Whether a row that was read does not say what Tetkik wrote, or lacks its code."""
    return "altered" in row.__dict__


def authenticate_new(connection: Connection, vault: Vault) -> None:
    """Give every row without a code one: once, in a database that comes from a version without them."""
    with Session(connection, info={"vault": vault}) as session:
        for kind in COVERED:
            bare = select(kind).where(kind.__table__.c.mac.is_(None))
            for row in session.scalars(bare, execution_options=UNCHECKED).all():
                authenticate(session, row)


def authenticate(session: Session, row: Any) -> None:
    """Give a row a fitting code, whatever it had: for whoever has looked at what it says."""
    table = row.__table__
    (key,) = table.primary_key
    code = _code(session.info["vault"], row)
    session.connection().execute(update(table).where(key == getattr(row, key.name)).values(mac=code))


def proof(vault: Vault) -> bytes:
    """What lies outside the database once its rows have codes: no rows without any are taken after it."""
    return vault.account_code(b"authenticated").hex().encode()


def _code(vault: Vault, row: Any) -> bytes:
    values = [_plain(row, name) for name in COVERED[type(row)]]
    text = json.dumps([row.__tablename__, *values], ensure_ascii=False, separators=(",", ":"))
    return vault.account_code(text.encode())


def _plain(row: Any, name: str) -> str | int | None:
    """A value as it will come back from either database."""
    value, column = getattr(row, name), row.__table__.c[name]
    if value is None and column.default is not None:  # an object that is still to be written
        value = column.default.arg
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, bool) else str(value)


def _write(_mapper: Mapper[Any], _connection: Connection, row: Any) -> None:
    session = object_session(row)
    assert session is not None
    row.mac = _code(session.info["vault"], row)


def _rewrite(mapper: Mapper[Any], connection: Connection, row: Any) -> None:
    if is_altered(row):  # a new code would make it good
        raise _refused()
    _write(mapper, connection, row)


def _check(row: Any, context: QueryContext, _attributes: object = None) -> None:
    if hmac.compare_digest(row.mac or b"", _code(context.session.info["vault"], row)):
        row.__dict__.pop("altered", None)
        return
    row.__dict__["altered"] = True
    if not context.execution_options.get("tetkik_unchecked"):
        raise _refused()


def _refused() -> Forbidden:
    return Forbidden(
        "An account, or what opens it, was changed in the database by another program than Tetkik; it opens "
        "nothing until an administrator has run `tetkik users repair`."
    )


for _kind in COVERED:
    event.listen(_kind, "before_insert", _write)
    event.listen(_kind, "before_update", _rewrite)
    event.listen(_kind, "load", _check)
    event.listen(_kind, "refresh", _check)
