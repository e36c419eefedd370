"""The files that a model's own files name: only those beside them that the manifest has a hash of.

ONNX keeps large weights in files of their own (`external_data` of TensorProto), which a runtime opens by
whatever path stands there, and ONNX Runtime even takes an address in memory for one. The messages are walked
here without the package onnx, so that nothing has opened such a file before it is refused.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tetkik.errors import BundleCorrupt

_PLAIN = re.compile(r"\w[\w.-]*")
_DEEPEST = 50
_MESSAGES: dict[str, dict[int, str]] = {
    # Of each message of onnx.proto the fields that lead to a tensor.
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {4: "operator", 5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {1: "key", 2: "value"},
}
_COMPILED = b"EPContext"
"""An operator of ONNX Runtime that loads a program of a graphics card, by its path."""
_TOKENIZER_FILES = ("vocab_file", "merges_file", "tokenizer_file", "spm_file")
"""Keys of `tokenizer_config.json` that transformers takes for paths."""


def check_references(folder: Path, names: Collection[str]) -> None:
    """Refuse a bundle in which a file of a model names another than `names`, those of its manifest.

    Raises:
        BundleCorrupt: it does, or cannot be followed.
    """
    for name in names:
        try:
            found = [*_named_by(folder / name)]
        except (ValueError, TypeError, AttributeError, RecursionError, OSError):
            raise BundleCorrupt(
                "{path}: {name} is not the file of a model that it should be; fetch or train it again.",
                path=folder,
                name=name,
            ) from None
        beside = PurePosixPath(name).parent
        for other in found:
            if not _PLAIN.fullmatch(other) or (beside / other).as_posix() not in names:
                raise BundleCorrupt(
                    "{path}: {name} refers to {other}, which is no file of the bundle; do not use it.",
                    path=folder,
                    name=name,
                    other=other,
                )


def _named_by(file: Path) -> Iterator[str]:
    if file.suffix == ".onnx":
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield from _named_in_onnx(content)
    elif file.name.endswith(".index.json"):
        yield from map(str, dict(_object(file).get("weight_map") or {}).values())
    elif file.name == "tokenizer_config.json":
        values = _object(file)
        yield from (values[key] for key in _TOKENIZER_FILES if isinstance(values.get(key), str))
    elif file.name == "adapter_config.json" and _object(file).get("megatron_config"):
        yield str(_object(file).get("megatron_core"))  # a module that peft would import


def _object(file: Path) -> dict[str, Any]:
    values = json.loads(file.read_text("utf-8"))
    return dict(values)


def _named_in_onnx(content: mmap.mmap) -> Iterator[str]:
    graphs = 0
    left = [("model", 0, len(content), 0)]
    while left:
        kind, start, end, depth = left.pop()
        if depth > _DEEPEST:
            raise ValueError("too deep")
        entry: dict[str, bytes] = {}
        for field, first, last in _fields(content, start, end):
            inner = _MESSAGES[kind].get(field)
            if inner in ("key", "value"):
                entry[inner] = content[first:last]
            elif inner == "operator":
                if content[first:last] == _COMPILED:
                    yield content[first:last].decode()
            elif inner is not None:
                graphs += kind == "model"
                left.append((inner, first, last, depth + 1))
        if entry.get("key") == b"location":
            yield entry.get("value", b"").decode()
    if not graphs:
        raise ValueError("no graph")


_TAG_BYTES = 5


def _fields(content: mmap.mmap, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields with a length of one message: number, start and end of what they hold.

    Protocol buffers, encoding: https://protobuf.dev/programming-guides/encoding/
    """
    while place < end:
        begin = place
        tag, place = _number(content, place, end)
        if not 8 <= tag < 1 << 32 or place - begin > _TAG_BYTES:
            raise ValueError("no field")  # readers in C++ cut such a tag to 32 bits, and see another field
        match tag & 7:
            case 0:
                _, place = _number(content, place, end)
            case 1:
                place += 8
            case 2:
                length, place = _number(content, place, end)
                yield tag >> 3, place, place + length
                place += length
            case 5:
                place += 4
            case _:
                raise ValueError("no field of proto3")
        if place > end:
            raise ValueError("cut short")


def _number(content: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            raise ValueError("cut short")
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("too long a number")
