"""What evaluations share: figures as JSON, subgroups of the data, sentences of several parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.language import Language, Sentence
from tetkik.statistics.intervals import Bools, Interval, Ints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from tetkik.lab.engine.learned_rows import LearnedMatch  # it reads pictures

DataclassT = TypeVar("DataclassT", bound="DataclassInstance")
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


def only_rows(value: DataclassT, rows: Any, *names: str) -> DataclassT:
    """The dataclass with these rows of its fields `names`, arrays and tuples, in this order.

    `rows` are numbers, or a boolean for each row.
    """
    chosen = np.asarray(rows)
    index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
    changes: dict[str, Any] = {}
    for name in names:
        column = getattr(value, name)
        changes[name] = (
            column[index] if isinstance(column, np.ndarray) else tuple(column[row] for row in index.tolist())
        )
    return replace(value, **changes)


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


def ends(interval: Interval | None, scale: float = 1.0) -> dict[str, Any]:
    """Its `low` and `high`, for a sentence or the metric of a manifest; nothing for none."""
    return {"low": scale * interval.low, "high": scale * interval.high} if interval else {}


def confusion(truth: Ints, predicted: Ints, labels: int) -> Ints:
    """Counts, (labels, labels): a row a true label, a column a predicted one; below 0 is no answer."""
    answered = predicted >= 0
    flat = truth[answered] * labels + predicted[answered]
    counts: Ints = np.bincount(flat, minlength=labels * labels).astype(np.int64)
    return counts.reshape(labels, labels)


def distinct_names(first: str, second: str) -> tuple[str, str]:
    """The names of two models, `A (…)` and `B (…)` where they are the same."""
    return (first, second) if first != second else (f"A ({first})", f"B ({second})")


# What an evaluation does with rows that the model learned, and what it says of them.


_NAMES = {
    "accuracy": Sentence("Accuracy"),
    "macro_f1": Sentence("Macro-F1"),
    "mean_auroc": Sentence("Mean AUROC"),
}


@dataclass(frozen=True, slots=True)
class LearnedReport:
    """How many of the `given` rows a model learned: the same, nearly the same; None where it does not tell.

    Near are rows of one group with a learned one, too. `figures` are those of the learned rows alone, by
    name; not `complete` where the model from which its training began does not tell what it learned.
    """

    treatment: LearnedTreatment
    given: int
    same: int | None
    near: int | None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    complete: bool = True

    @property
    def count(self) -> int:
        return (self.same or 0) + (self.near or 0)

    def with_figures(self, **figures: float | None) -> LearnedReport:
        return replace(self, figures=figures)

    def as_json(self) -> dict[str, Any]:
        return {
            "known": self.same is not None,
            "complete": self.same is not None and self.complete,
            "given": self.given,
            "same": self.same,
            "near": self.near,
            "treatment": self.treatment.value,
            "figures": dict(self.figures),
        }

    def sentence(self, model: str) -> Sentence:
        values: dict[str, object] = {
            "model": model,
            "given": self.given,
            "count": self.count,
            "same": self.same,
            "near": self.near,
        }
        if self.same is None:
            return Sentence(
                "Warning: {model} does not tell which rows it learned, so whether any of these are among "
                "them could not be checked.",
                values,
            )
        if not self.count and not self.complete:
            return _incomplete(model)
        if not self.count:
            return Sentence("None of the {given} rows is among those that {model} learned.", values)
        if self.treatment is LearnedTreatment.INCLUDE:
            return Sentence(
                "Warning: {count} of the {given} rows are among those that {model} learned ({same} the same, "
                "{near} nearly so or of one group with such) and are in the figures, which are better than "
                "on new rows.",
                values,
            )
        if not self.figures:
            return Sentence(
                "{count} of the {given} rows are among those that {model} learned ({same} the same, {near} "
                "nearly so or of one group with such); they are left out.",
                values,
            )
        figures = (
            Sentence(
                "{name} –" if value is None else "{name} {value:.3f}", {"name": _NAMES[name], "value": value}
            )
            for name, value in self.figures.items()
        )
        return Sentence(
            "{count} of the {given} rows are among those that {model} learned ({same} the same, {near} "
            "nearly so or of one group with such); they are left out, and on them alone it has: {figures}.",
            {**values, "figures": listed(figures, ", ")},
        )


def around(
    figures: Iterable[Sentence], reports: Sequence[LearnedReport], names: Sequence[str]
) -> Iterator[Sentence]:
    """What is said of the figures; before it learned rows, behind it that there are none or none known."""
    found = [*zip(reports, names, strict=False)]
    yield from (report.sentence(name) for report, name in found if report.count)
    yield from figures
    for report, name in found:
        if not report.count:
            yield report.sentence(name)
        elif not report.complete:
            yield _incomplete(name)


def _incomplete(model: str) -> Sentence:
    return Sentence(
        "Warning: {model} does not tell which rows the model that it was trained from had learned, so "
        "whether any of these are among them could not be checked.",
        {"model": model},
    )


def divide(
    models: Sequence[tuple[str, LearnedMatch | None]], given: int, treatment: LearnedTreatment
) -> tuple[Bools, tuple[LearnedReport, ...]]:
    """Which of the `given` rows are judged, (given,), and a report for each of the models, by name.

    Raises:
        DataError: there are learned rows and they are refused, or there are no others.
    """
    learned = np.zeros(given, bool)
    reports = []
    for name, match in models:
        if match is None:
            reports.append(LearnedReport(treatment, given, None, None))
            continue
        counts = int(match.same.sum()), int(match.near.sum())
        report = LearnedReport(treatment, given, *counts, complete=match.complete)
        reports.append(report)
        learned |= match.either
        if report.count and treatment is LearnedTreatment.REFUSE:
            raise DataError(
                "{count} of the {given} rows are among those that {model} learned ({same} the same, {near} "
                "nearly so or of one group with such), so figures on them would be recall; leave them out "
                "with --learned-rows separate, or give others.",
                count=report.count,
                given=given,
                model=name,
                same=report.same,
                near=report.near,
            )
    if treatment is LearnedTreatment.INCLUDE:
        return np.ones(given, bool), tuple(reports)
    if learned.all():
        raise DataError(
            "All {given} rows are among those that {model} learned, so figures on them would be recall; give "
            "others, or add --learned-rows include.",
            given=given,
            model=", ".join(name for (name, _), report in zip(models, reports, strict=True) if report.count),
        )
    return ~learned, tuple(reports)
