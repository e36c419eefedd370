"""What a model answered, image by image: from the model itself, or from what `predict --json` printed.

Both ways go through the same answers in the same six decimals, so both give the same figures.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError, TetkikError
from tetkik.statistics import Bools, Floats
from tetkik.values import FINDING_LABELS, ThresholdOn

if TYPE_CHECKING:
    from tetkik.findings.predict import Findings
    from tetkik.values import FindingsResult, ProgressCallback

SCORING = "images scored"


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
    """Read what `tetkik findings predict --json` printed.

    Raises:
        DataError: it is something else, or the answers are of several models or several thresholds.
        OSError: the file cannot be opened.
    """
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
