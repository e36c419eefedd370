"""Rows of any table as lines of JSON, independent of the database.

The first line names the columns and what they hold, so that a later version can read them without knowing
the tables of today.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, FromClause, LargeBinary, Table, column, insert, inspect, select, table
from sqlalchemy.types import TypeEngine

from tetkik.records.schema import Base
from tetkik.records.schema.base import Moment

_BATCH = 1_000
_PASSING = frozenset({"sessions", "events", "idempotent_requests", "rate_buckets", "challenges"})
"""What passes by itself within a day; a session that somebody ended shall not come back."""
_ORDER = {"report_versions": ("number", "id")}
"""Rows that refer to others of the same table come after those."""
_TYPES: dict[str, TypeEngine[Any]] = {"bytes": LargeBinary(), "moment": Moment()}


def backup_tables() -> Sequence[Table]:
    """The tables that a backup holds; each stands behind those that it refers to."""
    return [item for item in Base.metadata.sorted_tables if item.name not in _PASSING]


def dump_rows(connection: Connection, source: Table) -> Iterator[bytes]:
    """The rows of a table, some thousand at a time, each time with the line that names the columns."""
    kinds = {item.name: _kind(item.type) for item in source.columns}
    head = json.dumps(kinds)
    order = [source.c[name] for name in _ORDER.get(source.name, ())] or list(source.primary_key)
    found = connection.execute(
        select(source).order_by(*order), execution_options={"yield_per": _BATCH, "stream_results": True}
    )
    for part in found.partitions():
        lines = [json.dumps([_pack(value) for value in row], ensure_ascii=False) for row in part]
        yield ("\n".join([head, *lines]) + "\n").encode()


def insert_rows(connection: Connection, name: str, lines: Iterable[bytes]) -> int:
    """Insert what `dump_rows` gave, and give the number of rows; LookupError where there is no such table."""
    remaining = iter(lines)
    kinds: dict[str, str] = json.loads(next(remaining, b""))
    there = inspect(connection)
    if not there.has_table(name) or not {item["name"] for item in there.get_columns(name)}.issuperset(kinds):
        raise LookupError(name)
    target = _target(name, kinds)
    count = 0
    while batch := list(islice(remaining, _BATCH)):
        rows = [
            {key: _unpack(value, kinds[key]) for key, value in zip(kinds, json.loads(line), strict=True)}
            for line in batch
        ]
        connection.execute(insert(target), rows)
        count += len(rows)
    return count


def _target(name: str, kinds: dict[str, str]) -> Any:
    columns = [column(key, _TYPES[kind]) if kind in _TYPES else column(key) for key, kind in kinds.items()]
    made: FromClause = table(name, *columns)
    return made


def _kind(of: TypeEngine[Any]) -> str:
    return "bytes" if isinstance(of, LargeBinary) else "moment" if isinstance(of, Moment) else "plain"


def _pack(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


def _unpack(value: Any, kind: str) -> Any:
    if value is None or kind == "plain":
        return value
    return base64.b64decode(value) if kind == "bytes" else datetime.fromisoformat(value)
