"""`manifest.json`: what a trained model says of itself."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tetkik import turkish
from tetkik.errors import BundleCorrupt
from tetkik.language import Sentence

FORMAT_VERSION = 1


def bundle_id(name: str) -> str:
    """`name` as the id of a model: `"göz modeli"` gives `"goz-modeli"`; empty where nothing is left."""
    plain = "".join(turkish.fold(char) if not char.isascii() else char for char in name)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")[:100]


class Task(StrEnum):
    TRIAGE = "triage"
    URGENCY = "urgency"
    FINDINGS = "findings"
    CAPTION = "caption"
    GATE = "gate"


def _fillable(sentences: tuple[Sentence, ...]) -> tuple[Sentence, ...]:
    """A template of another's bundle reaches into no value: its fields are plain names."""
    for sentence in sentences:
        for _, name, form, _ in Formatter().parse(sentence.template) if sentence.values else ():
            if name is not None and (form or not name.isidentifier() or name not in sentence.values):
                raise ValueError("a field is the name of a value")
    return sentences


Sentences = Annotated[tuple[Sentence, ...], AfterValidator(_fillable)]
"""What a bundle says in words, for either language."""


class Metric(BaseModel):
    """One measured figure with the data and split that it was measured on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(description="Name of the metric as `evaluate --json` spells it, such as `macro_f1`.")
    value: float = Field(description="The figure.")
    low: float | None = Field(default=None, description="Lower end of the 95% interval.")
    high: float | None = Field(default=None, description="Upper end of the 95% interval.")
    n: int = Field(description="Rows that it was measured on.")
    data: str = Field(description="The data set.")
    split: Sentences = Field(description="The part of it, and how it was cut: templates with values.")

    @model_validator(mode="after")
    def _interval_is_whole(self) -> Metric:
        if (self.low is None) is not (self.high is None):
            raise ValueError("an interval has both ends or none")
        return self


class Manifest(BaseModel):
    """The contents of `manifest.json`. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: int = Field(default=FORMAT_VERSION, ge=1, description="Version of the bundle format.")
    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Name of the model, as `--model` takes it."
    )
    version: str = Field(description="Version of the model.")
    task: Task = Field(description="`triage`, `urgency`, `findings`, `caption` or `gate`.")
    kind: str = Field(description="Family of the model within its task, such as `linear` or `transformer`.")
    labels: tuple[str, ...] = Field(min_length=1, description="Labels in the order of the outputs.")
    preprocessing: dict[str, Any] = Field(
        default_factory=dict, description="What is done to an input before the model."
    )
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="Decision thresholds by name; for triage `abstain`."
    )
    calibration: dict[str, Any] = Field(
        default_factory=dict, description="How scores become probabilities, with its parameters."
    )
    metrics: tuple[Metric, ...] = Field(
        default=(), description="Measured figures, each with its data and split."
    )
    training: dict[str, Any] = Field(
        default_factory=dict, description="Settings, seed and data counts of the training."
    )
    libraries: dict[str, str] = Field(
        default_factory=dict, description="Versions of the libraries that trained it."
    )
    licence: str = Field(default="unknown", description="Licence of the weights.")
    created: str = Field(description="Date of the training, ISO 8601.")
    files: dict[str, str] = Field(
        default_factory=dict, description="SHA-256 of each file of the bundle but this one."
    )

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Manifest:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: a label stands twice")
        return self

    @model_validator(mode="after")
    def _words_are_printable(self) -> Manifest:
        # They are printed: no terminal escapes, no hidden direction marks.
        for name in ("version", "kind", "licence", "created"):
            if not getattr(self, name).isprintable():
                raise ValueError(f"{name}: a character that cannot be printed")
        if not all(label.strip() and label.isprintable() for label in self.labels):
            raise ValueError("labels: empty, or with a character that cannot be printed")
        return self

    @property
    def name(self) -> str:
        """Id and version, as results quote it: `triage-linear-tr 1.0`."""
        return f"{self.id} {self.version}"


# The files that a model's own files name: only those beside them that the manifest has a hash of.
#
# ONNX keeps large weights in files of their own (`external_data` of TensorProto), which a runtime opens by
# whatever path stands there, and ONNX Runtime even takes an address in memory for one. The messages are
# walked here without the package onnx, so that nothing has opened such a file before it is refused.


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
