"""Answers as tables: Arrow, pandas, Hugging Face data sets; their libraries are imported when called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from tetkik.errors import InputError, MissingExtra, TetkikError, UsageError
from tetkik.values import CaptionResult, FindingsResult, TriageResult

if TYPE_CHECKING:
    import pandas
    import pyarrow

Answer = FindingsResult | TriageResult | CaptionResult | TetkikError
_BOOLEANS = ("positive", "suitable", "abstain")
_NUMBERS = ("score", "probability", "screen", "confidence")


class Predictor(Protocol):
    """A loaded model of triage, findings or captions."""

    def predict_many(self, items: Any, /) -> Iterator[Answer]: ...


def to_arrow(answers: Iterable[Answer]) -> pyarrow.Table:
    """A row for each answer; null where an answer says nothing, and `error` where it is one.

    Findings have `score:LABEL`, `probability:LABEL` and `positive:LABEL` of each assessed label, triage has
    `probability:DEPARTMENT` beside `department`, the first.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    arrow = _library("pyarrow")
    rows = [dict(_cells(answer)) for answer in answers]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {}
    for name in names:
        base = name.partition(":")[0]
        kind = arrow.bool_() if base in _BOOLEANS else arrow.float64() if base in _NUMBERS else arrow.string()
        columns[name] = arrow.array([row.get(name) for row in rows], kind)
    return arrow.table(columns)


def to_pandas(answers: Iterable[Answer]) -> pandas.DataFrame:
    """`to_arrow` as a data frame; raises `MissingExtra` where pandas or pyarrow is not installed."""
    _library("pandas")
    return to_arrow(answers).to_pandas()


def predict_dataset(model: Predictor, dataset: Any, column: str = "image") -> Any:
    """A `datasets.Dataset` with the columns of `to_arrow` after its own, a row for each of its rows.

    Args:
        dataset: one whose `column` holds images (for triage: texts); a column of its own is kept where one of
            the answers is called the same, and a row without one gets an `error`.

    Raises:
        MissingExtra: datasets is not installed.
        UsageError: it is no `Dataset`, or has no such column.
    """
    datasets = _library("datasets")
    if not isinstance(dataset, datasets.Dataset):
        raise UsageError(
            "{kind} is no data set with rows; choose a split of it, and load it without streaming.",
            kind=type(dataset).__name__,
        )
    if column not in dataset.column_names:
        raise UsageError(
            "The data set has no column {column}; choose from {columns}.",
            column=column,
            columns=", ".join(dataset.column_names),
        )
    empty: list[int] = []

    def given() -> Iterator[Any]:
        for number, row in enumerate(dataset.select_columns([column])):
            if row[column] is None:
                empty.append(number)
            else:
                yield row[column]

    answers: list[Answer] = list(model.predict_many(given()))
    for number in empty:
        answers.insert(number, InputError("Row {row} has no {column}.", row=number + 1, column=column))
    made = to_arrow(answers)
    new = made.select([name for name in made.column_names if name not in dataset.column_names])
    if not new.num_columns:
        return dataset
    return datasets.concatenate_datasets([dataset, datasets.Dataset(new)], axis=1)


def _cells(answer: Answer) -> Iterator[tuple[str, Any]]:
    match answer:
        case TetkikError():
            yield "error", str(answer)
        case FindingsResult():
            yield from (("path", answer.path), ("suitable", answer.suitable), ("route", answer.route))
            yield from (("reasons", " ".join(answer.reasons)), ("screen", answer.screen))
            for finding in answer.findings:
                if finding.assessed:
                    yield f"score:{finding.label}", finding.score
                    yield f"probability:{finding.label}", finding.probability
                    yield f"positive:{finding.label}", finding.positive
            yield "model", answer.model
        case TriageResult():
            yield from (("text", answer.text), ("urgency", answer.urgency.level), ("abstain", answer.abstain))
            for place, department in enumerate(answer.departments):
                if not place:
                    yield from (("department", department.name), ("probability", department.probability))
                yield f"probability:{department.name}", department.probability
            yield "model", answer.model
        case CaptionResult():
            yield from (("path", answer.path), ("caption", answer.caption))
            yield from (("confidence", answer.confidence), ("model", answer.model))


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingExtra(
            "Answers as tables need the package {name}; `{extra}`.", extra="tables", name=name
        ) from None
