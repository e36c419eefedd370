"""Values as JSON and back, exactly: what is kept of a model's answer, a draft, a signed document.

A frozen dataclass becomes an object of its fields, a tuple a list, an enumeration its word, a moment ISO
8601, bytes base64. The fields of a `ReportContent` stand among those of the object that holds it, where they
stood before it was a value of its own. What comes back equals what went in. A `Sentence` keeps template and
values, so that it can be said in either language years later.

    packed = pack(result)                     # what json.dumps takes
    assert unpack(FindingsResult, packed) == result
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from tetkik.errors import RecordsError
from tetkik.language import Sentence
from tetkik.values import ReportContent

VERSION = 1
"""Of the form; a later one must read the earlier ones, for signed reports stay."""
_T = TypeVar("_T")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PLAIN = (str, int, float, bool)


def to_bytes(value: Any) -> bytes:
    """A value in UTF-8 JSON with the version of its form: always the same bytes for the same value."""
    content = {"form": VERSION, "value": pack(value)}
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def to_json(value: Any) -> bytes:
    """What JSON can say, as it is sealed: without spaces, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def to_csv(rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV (RFC 4180), each ended by a line feed."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    return table.getvalue()


def to_spreadsheet(rows: Iterable[Iterable[str]]) -> str:
    """The same for a spreadsheet: it opens as UTF-8, and no cell is taken for a formula.

    A cell that begins as one is preceded by an apostrophe (OWASP, CSV injection).
    """
    safe = ((f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row) for row in rows)
    return "\ufeff" + to_csv(safe)


def from_bytes(kind: type[_T], content: bytes) -> _T:
    """What `to_bytes` wrote."""
    try:
        stored = json.loads(content)
        if stored["form"] != VERSION:
            raise RecordsError(
                "What is stored was written by a newer version of Tetkik; install that version to read it."
            )
        return unpack(kind, stored["value"])
    except (KeyError, TypeError, ValueError):
        raise RecordsError(
            "What is stored is not what this version can read; restore it from a backup."
        ) from None


def digest_of(content: bytes) -> str:
    """SHA-256 of a value's JSON, hexadecimal: what a signature signs."""
    return hashlib.sha256(content).hexdigest()


def pack(value: Any) -> Any:
    """A value as what JSON can say."""
    if isinstance(value, Sentence):
        packed_values = {name: _pack_template_value(item) for name, item in value.values.items()}
        return {"template": value.template, "values": packed_values}
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple | list):
        return [pack(item) for item in value]
    if isinstance(value, Mapping):
        return {key: pack(item) for key, item in value.items()}
    if is_dataclass(value):
        return _pack_fields(value)
    raise TypeError(f"not a value that is kept: {type(value).__name__}")


def unpack(kind: type[_T], packed: Any) -> _T:
    """What `pack` made of a value of this kind; else `ValueError`, `TypeError` or `KeyError`.

    A field that an older form did not have takes its default.
    """
    value: _T = _unpack(kind, packed)
    return value


def _pack_template_value(value: Any) -> Any:
    """A value of a sentence: a sentence in it stays one, and a word of an enumeration becomes one."""
    if isinstance(value, Enum):
        value = Sentence(str(value.value))
    if isinstance(value, Sentence):
        return {"sentence": pack(value)}
    return value if value is None or isinstance(value, _PLAIN) else str(value)


def _pack_fields(value: Any) -> dict[str, Any]:
    packed: dict[str, Any] = {}
    for item in fields(value):
        own = getattr(value, item.name)
        if isinstance(own, ReportContent):
            packed |= _pack_fields(own)
        elif not item.metadata.get("added") or own != item.default:
            packed[item.name] = pack(own)
    return packed


def _unpack_template_value(packed: Any) -> Any:
    return _sentence(packed["sentence"]) if isinstance(packed, dict) else packed


def _sentence(packed: Any) -> Sentence:
    packed_values = {name: _unpack_template_value(item) for name, item in packed["values"].items()}
    return Sentence(str(packed["template"]), packed_values)


def _unpack(kind: Any, packed: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _unpack_union(get_args(kind), packed)
    if origin is tuple:
        return _unpack_tuple(get_args(kind), packed)
    if kind is Sentence:
        return _sentence(packed)
    if is_dataclass(kind):
        return _unpack_fields(cast("type", kind), packed)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(packed)
    if kind is datetime:
        return datetime.fromisoformat(packed)
    if kind is bytes:
        return base64.b64decode(packed, validate=True)
    if kind is float and type(packed) is int:
        return float(packed)
    if kind not in _PLAIN or type(packed) is not kind:
        raise ValueError(f"not {kind}: {type(packed).__name__}")
    return packed


def _unpack_union(kinds: tuple[Any, ...], packed: Any) -> Any:
    if packed is None:
        if type(None) in kinds:
            return None
        raise ValueError("nothing, where something is needed")
    (kind,) = (item for item in kinds if item is not type(None))
    return _unpack(kind, packed)


def _unpack_tuple(kinds: tuple[Any, ...], packed: Any) -> tuple[Any, ...]:
    if not isinstance(packed, list):
        raise ValueError("not a list")
    if kinds[-1] is Ellipsis:
        return tuple(_unpack(kinds[0], item) for item in packed)
    return tuple(_unpack(kind, item) for kind, item in zip(kinds, packed, strict=True))


def _unpack_fields(kind: type, packed: Any) -> Any:
    hints, known = _hints(kind), _fields(kind)
    for name in (name for name, hint in hints.items() if hint is ReportContent):
        own = {key: packed[key] for key in _fields(ReportContent) if key in packed}
        packed = {key: item for key, item in packed.items() if key not in own} | {name: own}
    unknown = set(packed) - set(known)
    missing = [name for name, item in known.items() if name not in packed and _needed(item)]
    if unknown or missing:
        raise ValueError(f"not the fields of {kind.__name__}")
    return kind(**{name: _unpack(hints[name], item) for name, item in packed.items()})


def _needed(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


@cache
def _fields(kind: Any) -> Mapping[str, Field[Any]]:
    return {item.name: item for item in fields(kind)}
