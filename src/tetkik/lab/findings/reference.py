"""The reference of a bundle: its scores and its images on data that it did not learn, for telling drift.

The network's sigmoid is described, for an imported model has no calibrated probability. Calibration is a
rising function of it (Platt), and neither the stability index over quantiles nor the largest gap of two
cumulative distributions changes under one: of the probability both would be the same figures.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tetkik.bundle import ImageReference
from tetkik.errors import BundleError, DataError, TetkikError
from tetkik.lab.engine.card import today
from tetkik.lab.findings.sources.rows import Truth
from tetkik.language import Sentence
from tetkik.statistics import Floats, Observation, describe
from tetkik.values import FindingsResult

if TYPE_CHECKING:
    from tetkik.findings.predict import Findings
    from tetkik.values import ProgressCallback

STEP = "reference"
_FEW = 64


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceImages:
    """Images to take a reference from."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    truth: Truth
    scores: Floats | None = None
    """(n, labels), sigmoids of networks that had not learned the image; None takes the model's own."""

    @classmethod
    def unlabelled(cls, files: tuple[Path, ...]) -> ReferenceImages:
        """Images of which nothing is known."""
        return cls(files, (), np.zeros((len(files), 0), np.int8))

    def __len__(self) -> int:
        return len(self.files)

    def some(self, most: int, seed: int = 0) -> ReferenceImages:
        """At most `most` of them, drawn by chance."""
        if len(self) <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False))
        return replace(
            self,
            files=tuple(self.files[row] for row in rows.tolist()),
            truth=self.truth[rows],
            scores=None if self.scores is None else self.scores[rows],
        )


def read_log(folder: Path, images: Path) -> ReferenceImages:
    """The images that a training's figures came from, scored by networks that had not learned them.

    `folder` is what `findings train` left beside its bundle.
    """
    file = folder / "scores.csv"
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        labels = tuple(name.removeprefix("score:") for name in rows[0] if name.startswith("score:"))
        truth = [[int(row[f"truth:{label}"]) for label in labels] for row in rows]
        scores = [[float(row[f"score:{label}"]) for label in labels] for row in rows]
        names = [row["file"] for row in rows]
    except (OSError, ValueError, LookupError, TypeError):
        raise DataError(
            "{path} is not the log of a training of findings; give the folder NAME-log that "
            "`tetkik findings train` left beside its bundle.",
            path=file,
        ) from None
    return ReferenceImages(
        tuple(images / name for name in names),
        labels,
        np.array(truth, np.int8).reshape(len(rows), len(labels)),
        np.array(scores, np.float64).reshape(len(rows), len(labels)),
    )


def make_reference(
    findings: Findings,
    images: ReferenceImages,
    data: str,
    split: tuple[Sentence, ...],
    *,
    workers: int | None = None,
    progress: ProgressCallback | None = None,
    answers: Iterable[FindingsResult | TetkikError] | None = None,
) -> ImageReference:
    """Look at images as the service does and describe what is seen and said.

    An image that the gate refuses counts among the inputs; it has no score, for in use it would get none.

    Args:
        workers: processes that read; None takes one for each core, and none for a few images.
        answers: those of the same network to the images, where it has looked at them before.

    Raises:
        DataError: not one image can be read.
        BundleError: the model or the gate is damaged.
    """
    if workers is None and len(images) < _FEW:
        workers = 0
    seen: list[Observation] = []
    if answers is None:
        answers = findings.predict_many(images.files, workers)
    for row, answer in enumerate(answers):
        if isinstance(answer, FindingsResult):
            seen.append(_observation(findings, answer, images, row))
        elif isinstance(answer, BundleError):
            raise answer
        if progress is not None:
            progress(STEP, row + 1, len(images))
    if not seen:
        raise DataError("Not one of the images can be read; check the folder.")
    spread = describe(seen)
    return ImageReference(
        data=data,
        split=split,
        images=len(seen),
        unreadable=len(images) - len(seen),
        created=today(),
        labels=spread.labels,
        inputs=spread.inputs,
    )


def _observation(
    findings: Findings, answer: FindingsResult, images: ReferenceImages, row: int
) -> Observation:
    measured = answer.measured
    assert measured is not None
    return Observation(
        **{**asdict(measured), "modality": measured.modality or ""},
        route=answer.route.value if answer.route else "",
        refused=not answer.suitable,
        flaws=tuple(flaw.value for flaw in answer.flaws),
        scores=dict(_scores(findings, answer, images, row)),
        known={
            label: bool(value)
            for label, value in zip(images.labels, images.truth[row].tolist(), strict=True)
            if value >= 0
        },
    )


def _scores(
    findings: Findings, answer: FindingsResult, images: ReferenceImages, row: int
) -> Iterator[tuple[str, tuple[float, bool]]]:
    for finding in answer.findings:
        if finding.assessed and finding.score is not None and finding.label in findings.points.points:
            read = finding
            if images.scores is not None and finding.label in images.labels:
                score = float(images.scores[row, images.labels.index(finding.label)])
                read = findings.points.points[finding.label].read(score)
            assert read.score is not None
            yield finding.label, (read.score, read.positive)
