"""What evaluations share: figures as JSON, subgroups of the data, sentences of several parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from tetkik.language import Language, Sentence
from tetkik.statistics import Bools, Interval

SMALLEST = 30
"""A subgroup of fewer rows gets no figure: its interval would be wider than any difference worth knowing."""


def to_json(value: object, language: Language = Language.EN) -> Any:
    """Plain values: an interval is `[low, high]`, a sentence is said, any other dataclass is its fields."""
    match value:
        case Interval():
            return value.as_json()
        case Sentence():
            return value.in_language(language)
        case Enum():
            return value.value
        case Mapping():
            return {name: to_json(item, language) for name, item in value.items()}
        case list() | tuple():
            return [to_json(item, language) for item in value]
        case np.ndarray() | np.generic():
            return value.tolist()
    if is_dataclass(value):
        return fields_json(value, language=language)
    return value


def fields_json(value: Any, *without: str, language: Language = Language.EN) -> dict[str, Any]:
    """The fields of a dataclass as JSON, but for those of the names `without`."""
    return {
        field.name: to_json(getattr(value, field.name), language)
        for field in fields(value)
        if field.name not in without
    }


@dataclass(frozen=True, slots=True, eq=False)
class Subgroup:
    """A part of the rows: its dimension and id in the JSON, its title, and which rows, (rows,)."""

    dimension: str
    id: str
    title: Sentence
    rows: Bools


@dataclass(frozen=True, slots=True)
class SubgroupFigures:
    """The figures on a part of the data, of `n` rows; None with a reason where it is too small."""

    dimension: str
    id: str
    title: Sentence
    n: int
    ci: Interval | None = None
    reason: Sentence | None = None

    def as_json(self, language: Language) -> dict[str, Any]:
        return fields_json(self, "dimension", "id", "title", language=language)


def subgroups_json(found: Iterable[SubgroupFigures], language: Language) -> dict[str, dict[str, Any]]:
    """By dimension and id."""
    subgroups: dict[str, dict[str, Any]] = {}
    for part in found:
        subgroups.setdefault(part.dimension, {})[part.id] = part.as_json(language)
    return subgroups


@dataclass(frozen=True, slots=True)
class Listed(Sentence):
    """Several sentences in a row, each said in the same language; the template stands between them."""

    parts: tuple[Sentence, ...] = ()

    def in_language(self, language: Language) -> str:
        return self.template.join(part.in_language(language) for part in self.parts)


def listed(parts: Iterable[Sentence], between: str = "; ") -> Listed:
    return Listed(between, parts=tuple(parts))


def bracket(interval: Interval | None, form: str = "{:.2f}") -> str:
    """` [low, high]`; empty for none."""
    return f" [{form.format(interval.low)}, {form.format(interval.high)}]" if interval else ""


def distinct_names(first: str, second: str) -> tuple[str, str]:
    """The names of two models, `A (…)` and `B (…)` where they are the same."""
    return (first, second) if first != second else (f"A ({first})", f"B ({second})")
