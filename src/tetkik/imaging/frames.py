"""Values between two processes as typed frames: a header in JSON, then the bytes of arrays and files.

Each end knows from annotations what it is sent, and takes nothing else: no frame names a class or a function,
and the template of a sentence must be one of ours, for `str.format` reaches into what it is given. What does
not fit is a `ValueError`, `TypeError`, `LookupError`, `EOFError` or `RecursionError`.
"""

from __future__ import annotations

import json
import struct
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import IO, Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from tetkik import errors
from tetkik.errors import TetkikError
from tetkik.language import Language, Sentence, is_message, translate

_HEAD = struct.Struct("<II")
"""Bytes of the header, and how many pieces of bytes follow it."""
_MOST_HEADER = 32 << 20
_MOST_PIECES = 10_000
_PLAIN = (str, int, float, bool)


def send(value: Any, stream: IO[bytes]) -> None:
    """Write a value, or a `TetkikError`, as one frame."""
    pieces: list[memoryview] = []
    if isinstance(value, TetkikError):
        content = {"error": [type(value).__name__, value.template, _pack_values(value.values)]}
    else:
        content = {"value": _pack(value, pieces)}
    header = json.dumps([content, [piece.nbytes for piece in pieces]]).encode()
    stream.write(_HEAD.pack(len(header), len(pieces)) + header)
    for piece in pieces:
        stream.write(piece)
    stream.flush()


def receive(kind: Any, stream: IO[bytes], most: int) -> Any:
    """The next value, of the type `kind`; or a `TetkikError`, which may always come.

    Args:
        most: bytes of its arrays and files together.
    """
    length, count = _HEAD.unpack(_read(stream, _HEAD.size))
    if length > _MOST_HEADER or count > _MOST_PIECES:
        raise ValueError("too long a frame")
    content, sizes = json.loads(_read(stream, length))
    if len(sizes) != count or any(type(size) is not int or size < 0 for size in sizes) or sum(sizes) > most:
        raise ValueError("too long a frame")
    pieces = [_read(stream, size) for size in sizes]
    if "error" in content:
        return _error(*content["error"])
    return _unpack(kind, content["value"], pieces)


def answer_of(function: Callable[..., Any]) -> Any:
    """The type of what a function gives, by its annotation."""
    return _hints(function)["return"]


def request_of(function: Callable[..., Any]) -> Any:
    """The type of what a function takes."""
    return next(hint for name, hint in _hints(function).items() if name != "return")


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _pack(value: Any, pieces: list[memoryview]) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, bytes):
        pieces.append(memoryview(value))
        return len(pieces) - 1
    if isinstance(value, np.ndarray):
        pieces.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        return [value.dtype.str, value.shape, len(pieces) - 1]
    if isinstance(value, Sentence):
        return [value.template, _pack_values(value.values)]
    if isinstance(value, tuple | list):
        return [_pack(item, pieces) for item in value]
    if is_dataclass(value):
        own = [_pack(getattr(value, item.name), pieces) for item in fields(value)]
        return [type(value).__name__, *own]
    raise TypeError(f"not a value that is sent: {type(value).__name__}")


def _pack_values(values: Mapping[str, object]) -> dict[str, object]:
    """The values of a sentence: a sentence among them stays one, a word of an enumeration becomes one."""
    packed: dict[str, object] = {}
    for name, value in values.items():
        entry = Sentence(str(value.value)) if isinstance(value, Enum) else value
        if isinstance(entry, Sentence):
            packed[name] = [entry.template, _pack_values(entry.values)]
        else:
            packed[name] = entry if entry is None or isinstance(entry, _PLAIN) else str(entry)
    return packed


def _unpack(kind: Any, packed: Any, pieces: list[bytes]) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _unpack_union(get_args(kind), packed, pieces)
    if origin is np.ndarray:
        return _unpack_array((kind,), packed, pieces)
    if origin is tuple:
        return _unpack_tuple(get_args(kind), packed, pieces)
    if kind is Sentence:
        return _sentence(packed)
    if is_dataclass(kind):
        return _unpack_fields(kind, packed, pieces)
    if kind is bytes:
        return pieces[_index(packed)]
    if kind is type(None) and packed is None:
        return None
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(packed)
    if kind is float and type(packed) is int:
        return float(packed)
    if kind not in _PLAIN or type(packed) is not kind:
        raise ValueError(f"not {kind}: {type(packed).__name__}")
    return packed


def _unpack_union(kinds: tuple[Any, ...], packed: Any, pieces: list[bytes]) -> Any:
    if packed is None and type(None) in kinds:
        return None
    left = [kind for kind in kinds if kind is not type(None)]
    if all(get_origin(kind) is np.ndarray for kind in left):
        return _unpack_array(left, packed, pieces)
    if len(left) > 1:  # values of several classes, told apart by the names of these
        left = [kind for kind in left if kind.__name__ == packed[0]]
    (kind,) = left
    return _unpack(kind, packed, pieces)


def _unpack_array(kinds: Any, packed: Any, pieces: list[bytes]) -> Any:
    """Read-only; of one of the element types that the annotation names."""
    name, shape, place = packed
    allowed = {np.dtype(get_args(get_args(kind)[1])[0]).str for kind in kinds}
    if name not in allowed or any(type(side) is not int or side < 0 for side in shape):
        raise ValueError("not such an array")
    return np.frombuffer(pieces[_index(place)], name).reshape(shape)


def _unpack_tuple(kinds: tuple[Any, ...], packed: Any, pieces: list[bytes]) -> tuple[Any, ...]:
    if not isinstance(packed, list):
        raise ValueError("not a list")
    if kinds[-1] is Ellipsis:
        return tuple(_unpack(kinds[0], item, pieces) for item in packed)
    return tuple(_unpack(kind, item, pieces) for kind, item in zip(kinds, packed, strict=True))


def _unpack_fields(kind: Any, packed: Any, pieces: list[bytes]) -> Any:
    hints, (name, *own) = _hints(kind), packed
    if name != kind.__name__:
        raise ValueError(f"not {kind.__name__}")
    known = fields(kind)
    values = (_unpack(hints[item.name], one, pieces) for item, one in zip(known, own, strict=True))
    return kind(**dict(zip((item.name for item in known), values, strict=True)))


def _index(packed: Any) -> int:
    if type(packed) is not int or packed < 0:
        raise ValueError("not a piece")
    return packed


def _sentence(packed: Any) -> Sentence:
    template, values = packed
    return Sentence(*_checked(template, values))


def _error(name: Any, template: Any, values: Any) -> TetkikError:
    kind = getattr(errors, name)
    if not (isinstance(kind, type) and issubclass(kind, TetkikError)):
        raise ValueError("no error of ours")
    template, own = _checked(template, values)
    error: TetkikError = kind(template, **own)
    return error


def _checked(template: Any, values: Any) -> tuple[str, dict[str, object]]:
    """A template of ours, and values that fill it."""
    own = {name: _sentence(one) if isinstance(one, list) else one for name, one in values.items()}
    if not all(one is None or isinstance(one, (*_PLAIN, Sentence)) for one in own.values()):
        raise ValueError("no value of a sentence")
    if not isinstance(template, str) or not is_message(template):
        raise ValueError("no sentence of ours")
    translate(template, Language.EN, **own)
    return template, own


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
