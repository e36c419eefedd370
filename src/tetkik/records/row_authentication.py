"""Rows that open an account carry a keyed code (HMAC-SHA256) over what they say, and open nothing without it.

Whoever can write into the database, and has no key, can so put no password, role, passkey, token, session or
link into it. A whole row that is put back as it once was has a fitting code, but not the last one: the audit
trail holds that of each account, passkey, token and link, and rows with another one open nothing. Sessions
are none of these; they end by themselves.

The codes are made and checked where SQLAlchemy writes and reads objects of these tables. Statements that
change many rows at once pass this by: they may touch the columns alone that no code covers; rows are removed
by `delete_rows`.
"""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, event, select, update
from sqlalchemy.orm import Mapper, QueryContext, Session, object_session

from tetkik.errors import Forbidden
from tetkik.records.audit_chain import Action, TrailEntry
from tetkik.records.schema import ApiToken, AuditHead, AuditRow, BrowserSession, Invite, Passkey, User
from tetkik.records.schema.base import Base
from tetkik.records.vault import Vault
from tetkik.values import Actor

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
_IN_TRAIL = (User, Passkey, ApiToken, Invite)
_ENTRIES = (
    *(Action.USER_CREATED, Action.USER_CHANGED, Action.USER_DISABLED, Action.PASSWORD_CHANGED),
    *(Action.PASSKEY_ADDED, Action.PASSKEY_REMOVED, Action.TOKEN_CREATED, Action.TOKEN_REVOKED),
    Action.INVITED,
)
"""Entries of the trail that hold codes."""
_CODES = "tetkik_codes"
"""Where a session keeps those that its entries will hold."""
_MOST_CODES, _LENGTH = 60, 8
"""Codes in an entry; bytes of each."""
UNCHECKED = {"tetkik_unchecked": True}
"""Options of an execution that takes altered rows, too; ask `is_altered` of each."""


def is_altered(row: Any) -> bool:
    """Whether a row that was read does not say what Tetkik wrote, or lacks its code."""
    return "altered" in row.__dict__


def authenticate(session: Session, row: Any) -> None:
    """Give a row a fitting code, whatever it had: for whoever has looked at what it says."""
    table = row.__table__
    (key,) = table.primary_key
    code = _code(session.info["vault"], row)
    session.connection().execute(update(table).where(key == getattr(row, key.name)).values(mac=code))
    _note(session, type(row), getattr(row, key.name), code)


def delete_rows(session: Session, kind: type[Base], *conditions: Any) -> int:
    """Remove rows of a table of `COVERED`; gives how many. One that is put back opens nothing."""
    session.flush()
    (key,) = kind.__table__.primary_key
    going = session.scalars(select(key).where(*conditions)).all()
    session.connection().execute(delete(kind).where(key.in_(going)))
    for one in going:
        _note(session, kind, one, b"")
    return len(going)


def entries_with_codes(
    session: Session, entries: Sequence[TrailEntry], at: datetime, actor: Actor
) -> Sequence[TrailEntry]:
    """The entries of a transaction with the codes of the rows that it wrote; another one where none fits."""
    codes = list(session.info.pop(_CODES, {}).items())
    out = list(entries)
    for first in range(0, len(codes), _MOST_CODES):
        free = [place for place, entry in enumerate(out) if entry.action in _ENTRIES and not entry.codes]
        if not free:
            out.append(TrailEntry(at, actor, Action.USER_CHANGED, None, None, None, {"what": "codes"}))
        place = free[-1] if free else -1
        out[place] = replace(out[place], codes=dict(codes[first : first + _MOST_CODES]))
    return out


def last_codes(connection: Connection, after: int = 0) -> dict[str, str]:
    """The last code that the trail holds of each row, empty for one that was removed, by table and key.

    Of the entries behind number `after` alone.
    """
    query = select(AuditRow.content).where(AuditRow.seq > after, AuditRow.action.in_(_ENTRIES))
    found: dict[str, str] = {}
    for content in connection.scalars(query.order_by(AuditRow.seq)):
        found |= json.loads(content or "{}").get("codes", {})
    return found


class LastCodes:
    """`last_codes` as this process knows them: of the trail only what is new is read.

    Entries become visible in the order of their numbers, for whoever appends holds the head until the commit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = 0
        self._codes: dict[str, str] = {}

    def get(self, connection: Connection, name: str, present: str) -> str | None:
        """The last code of a row that has `present`; None where the trail does not know it."""
        head = connection.scalar(select(AuditHead.seq)) or 0
        with self._lock:
            if head > self._seen:
                self._codes |= last_codes(connection, self._seen)
                self._seen = head
            last, newer = self._codes.get(name), head < self._seen
        if newer and last not in (None, present):  # the transaction began before the row was changed
            last = last_codes(connection).get(name)
        return last


def is_put_back(session: Session, row: Any) -> bool:
    """Whether a row is not the one that the trail tells of last, though it has a fitting code."""
    if type(row) not in _IN_TRAIL:
        return False
    (key,) = row.__table__.primary_key
    name, code = _name(type(row), getattr(row, key.name)), _short(row.mac)
    last = session.info.get(_CODES, {}).get(name)
    if last is None:
        known: LastCodes = session.info.setdefault("codes", LastCodes())
        last = known.get(session.connection(), name, code)
    if last is None or last == code:
        return False
    present = select(row.__table__.c.mac).where(key == getattr(row, key.name))
    return bool(session.connection().scalar(present) == row.mac)  # else somebody else has just changed it


def refuse_put_back(session: Session, *rows: Any) -> None:
    """Let nobody in by a row that was put back."""
    if any(is_put_back(session, row) for row in rows):
        raise _refused()


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


def _name(kind: type[Base], key: str) -> str:
    return f"{kind.__tablename__} {key[:26]}"


def _short(code: bytes | None) -> str:
    return (code or b"")[:_LENGTH].hex()


def _note(session: Session, kind: type[Base], key: str, code: bytes) -> None:
    if kind in _IN_TRAIL:
        session.info.setdefault(_CODES, {})[_name(kind, key)] = _short(code)


def _write(_mapper: Mapper[Any], _connection: Connection, row: Any) -> None:
    session = object_session(row)
    assert session is not None
    code = _code(session.info["vault"], row)
    if row.mac != code:
        (key,) = row.__table__.primary_key
        _note(session, type(row), getattr(row, key.name), code)
    row.mac = code


def _rewrite(mapper: Mapper[Any], connection: Connection, row: Any) -> None:
    session = object_session(row)
    assert session is not None
    changes = row.mac != _code(session.info["vault"], row) and type(row) in _IN_TRAIL
    if is_altered(row) or (changes and is_put_back(session, row)):  # a new code would make it good
        raise _refused()
    _write(mapper, connection, row)


def _remove(_mapper: Mapper[Any], _connection: Connection, row: Any) -> None:
    session = object_session(row)
    assert session is not None
    (key,) = row.__table__.primary_key
    _note(session, type(row), getattr(row, key.name), b"")


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
    event.listen(_kind, "before_delete", _remove)
    event.listen(_kind, "load", _check)
    event.listen(_kind, "refresh", _check)
