"""What a model answered, image by image: from the model itself, or from what `predict --json` printed.

Both ways go through the same answers in the same six decimals, so both give the same figures.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError, TetkikError
from tetkik.findings.label_names import to_shared
from tetkik.findings.operating_points import check_assessed
from tetkik.lab.engine.tables import read_table
from tetkik.lab.findings.sources.hospital_table import FILE_COLUMNS
from tetkik.statistics import Bools, Floats
from tetkik.values import FINDING_LABELS, ThresholdOn

if TYPE_CHECKING:
    from tetkik.findings.predict import Findings
    from tetkik.values import FindingsResult, ProgressCallback

SCORING = "images scored"
_TABLE_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class OperatedAt:
    """The threshold of a label, and what it is compared with."""

    threshold: float
    on: ThresholdOn


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The answers of one model."""

    model: str
    paths: tuple[str, ...]
    """Each file as it was named."""
    labels: tuple[str, ...]
    """Those assessed in one image at least: the shared ones in their order, then others."""
    scores: Floats
    """(images, labels), float64, the network's sigmoids; NaN where a label was not assessed."""
    probabilities: Floats
    """(images, labels), calibrated; NaN where there is none."""
    positive: NDArray[np.int8]
    """(images, labels): 1, 0, or -1 where not assessed."""
    screen: Floats
    """(images,), probability that anything is abnormal; NaN where it cannot be computed."""
    operated_at: Mapping[str, OperatedAt]
    flaws: tuple[tuple[str, ...], ...]
    """What the quality gate found in each image."""
    refused: Bools
    failed: Bools
    """`refused`, `failed`: (images,), whether the gate refused it; whether the file could not be read."""
    gated: bool
    sha256: tuple[str, ...]
    """Of each file; empty where it could not be read."""

    def __len__(self) -> int:
        return len(self.paths)

    def with_thresholds(self, given: Mapping[str, float]) -> Predictions:
        """With other thresholds of some labels, each on the scale that the label's own is on."""
        positive, operated_at = self.positive.copy(), dict(self.operated_at)
        for label, threshold in given.items():
            check_assessed(label, operated_at)
            on, column = operated_at[label].on, self.labels.index(label)
            values = (self.scores if on is ThresholdOn.SCORE else self.probabilities)[:, column]
            operated_at[label] = OperatedAt(threshold, on)
            positive[:, column] = np.where(np.isnan(values), -1, values >= threshold)
        return replace(self, positive=positive, operated_at=operated_at)

    def rows_of(self, files: Iterable[Path]) -> NDArray[np.int64]:
        """For each file the number of its answer, -1 for none.

        A file is found by its path from the working folder, or else, where no other answer and no other of
        the files has it, by its name alone: the images may have been scored in another place.
        """
        whole = {os.path.abspath(path): row for row, path in enumerate(self.paths)}  # noqa: PTH100
        names = Counter(os.path.basename(path) for path in self.paths)  # noqa: PTH119
        by_name = {os.path.basename(path): row for row, path in enumerate(self.paths)}  # noqa: PTH119
        files = list(files)
        counts = Counter(file.name for file in files)

        def row(file: Path) -> int:
            found = whole.get(os.path.abspath(file))  # noqa: PTH100
            if found is None and names[file.name] == 1 and counts[file.name] == 1:
                found = by_name[file.name]
            return -1 if found is None else found

        return np.array([row(file) for file in files], dtype=np.int64)


def predict_all(
    findings: Findings,
    files: Sequence[Path],
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> Predictions:
    return gather(files, answer_all(findings, files, workers, progress), findings.name)


def answer_all(
    findings: Findings,
    files: Sequence[Path],
    workers: int | None = None,
    progress: ProgressCallback | None = None,
) -> Iterator[FindingsResult | TetkikError]:
    for number, answer in enumerate(findings.predict_many(files, workers), 1):
        if progress is not None:
            progress(SCORING, number, len(files))
        yield answer


def gather(files: Sequence[Path], answers: Iterable[FindingsResult | TetkikError], model: str) -> Predictions:
    """The answers to `files`, in their order; `model` names the model where none could be answered."""
    lines = (
        {"path": str(file), "error": str(answer)} if isinstance(answer, TetkikError) else answer.as_json()
        for file, answer in zip(files, answers, strict=True)
    )
    return _gathered(lines, model)


def read_predictions(path: Path) -> Predictions:
    """Read what `tetkik findings predict --json` printed, or a table of scores (`.csv`).

    Raises:
        DataError: it is something else, or the answers are of several models or several thresholds.
        OSError: the file cannot be opened.
    """
    if path.suffix.lower() == ".csv":
        return _read_scores(path)
    with path.open(encoding="utf-8", errors="strict") as file:
        try:
            return _gathered((json.loads(line) for line in file if line.strip()), str(path))
        except (AttributeError, KeyError, TypeError, UnicodeDecodeError, ValueError, RecursionError):
            raise DataError(
                "{path} is not what `tetkik findings predict --json` prints; give its output, one JSON "
                "object a line.",
                path=path,
            ) from None
        except _Mixed:
            raise DataError(
                "{path} holds answers of more than one model or threshold; give one run of "
                "`tetkik findings predict --json`.",
                path=path,
            ) from None


def _read_scores(path: Path) -> Predictions:
    """A column of files and one of scores from 0 to 1 a label; an empty cell was not assessed.

    The thresholds are 0.5 on the score.
    """
    table = read_table(path)
    file_column = table.first_of(FILE_COLUMNS)
    if file_column is None:
        raise DataError(
            "{path} has no column of image files; call it {columns}.",
            path=path,
            columns=" | ".join(FILE_COLUMNS[:4]),
        )
    columns = [name for name in table.columns if name != file_column]
    scores = np.array([table.numbers(name) for name in columns], np.float64).T
    for name, values in zip(columns, scores.T, strict=True):
        for cell, value in zip(table[name], values, strict=True):
            if cell and not 0 <= value <= 1:
                raise DataError(
                    "{path}: {cell} in the column {column} is no score from 0 to 1; leave the column out or "
                    "the cell empty.",
                    path=path,
                    cell=cell[:40],
                    column=name,
                )
    rows, labels = table.rows, to_shared(columns)
    return Predictions(
        model=path.name,
        paths=tuple(table[file_column]),
        labels=labels,
        scores=scores,
        probabilities=np.full(scores.shape, np.nan),
        positive=np.where(np.isnan(scores), -1, scores >= _TABLE_THRESHOLD).astype(np.int8),
        screen=np.full(rows, np.nan),
        operated_at=dict.fromkeys(labels, OperatedAt(_TABLE_THRESHOLD, ThresholdOn.SCORE)),
        flaws=((),) * rows,
        refused=np.asarray(np.isnan(scores).all(axis=1)),
        failed=np.zeros(rows, np.bool_),
        gated=True,
        sha256=("",) * rows,
    )


class _Mixed(Exception):
    """Answers that do not belong together."""


def _gathered(answers: Iterable[Mapping[str, Any]], fallback: str) -> Predictions:
    """Answers as arrays; `fallback` names the model where no file could be answered."""
    kept = list(answers)
    if not kept:
        raise ValueError("no answers")
    models = {answer["model"] for answer in kept if "error" not in answer}
    gates = {bool(answer.get("gated", True)) for answer in kept if "error" not in answer}
    if len(models) > 1 or len(gates) > 1:
        raise _Mixed
    read = [
        {finding["label"]: finding for finding in answer.get("findings", ()) if finding["assessed"]}
        for answer in kept
    ]
    names = {label for findings in read for label in findings}
    labels = (*(label for label in FINDING_LABELS if label in names), *sorted(names - set(FINDING_LABELS)))
    called = [[bool(item[label]["positive"]) if label in item else -1 for label in labels] for item in read]
    scores = _table(read, labels, "score")
    if ((scores < 0) | (scores > 1)).any():
        raise ValueError("a score outside 0 to 1")
    failed = np.array(["error" in answer for answer in kept])
    return Predictions(
        model=str(models.pop()) if models else fallback,
        paths=tuple(str(answer.get("path") or "") for answer in kept),
        labels=labels,
        scores=scores,
        probabilities=_table(read, labels, "probability"),
        positive=np.array(called, dtype=np.int8).reshape(scores.shape),
        screen=np.array([answer.get("screen") for answer in kept], dtype=np.float64),
        operated_at=_operated_at(read),
        flaws=tuple(tuple(map(str, answer.get("flaws", ()))) for answer in kept),
        refused=np.array([not answer.get("suitable", False) for answer in kept]) & ~failed,
        failed=failed,
        gated=gates.pop() if gates else True,
        sha256=tuple(str(answer.get("sha256") or "") for answer in kept),
    )


def _table(read: list[dict[str, Any]], labels: tuple[str, ...], key: str) -> Floats:
    """(images, labels), float64; NaN where there is no value."""
    rows = [[findings.get(label, {}).get(key) for label in labels] for findings in read]
    return np.array(rows, dtype=np.float64).reshape(len(read), len(labels))


def _operated_at(read: list[dict[str, Any]]) -> dict[str, OperatedAt]:
    found: dict[str, OperatedAt] = {}
    for findings in read:
        for label, finding in findings.items():
            own = OperatedAt(float(finding["threshold"]), ThresholdOn(finding["threshold_on"]))
            if found.setdefault(label, own) != own:
                raise _Mixed
    return found
