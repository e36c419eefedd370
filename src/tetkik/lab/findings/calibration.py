"""`tetkik findings calibrate`: the same network, read as a hospital's own labelled images say.

Nothing is reported on rows that it was chosen on: each fold of patients and duplicates is read as the others
teach it. The bundle's own calibration and thresholds come from all folds together.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from tetkik.bundle.card import REFERENCE, CardSection, card_words, finish_bundle
from tetkik.bundle.manifest import Manifest, Metric, Task
from tetkik.bundle.store import Bundle, open_bundle, staged_folder, write_manifest
from tetkik.choices import Device
from tetkik.errors import DataError, TetkikError
from tetkik.findings.onnx_model import preprocessing_of
from tetkik.findings.operating_points import DIGITS, OperatingPoint, screen
from tetkik.findings.operating_points import OperatingPoints as BundlePoints
from tetkik.findings.predict import Findings, load_findings
from tetkik.lab.engine.card import cell, markdown_table, model_id, today
from tetkik.lab.engine.duplicate_images import SIDE, duplicate_images
from tetkik.lab.engine.learned_rows import LEARNED, LearnedMatch, LearnedRows, Pictures, read_learned
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.results import LearnedReport, ends
from tetkik.lab.engine.splits import folds
from tetkik.lab.findings.data import LabelledImages, learned_among, read_pictures
from tetkik.lab.findings.evaluate import judge
from tetkik.lab.findings.predictions import Predictions, answer_all, gather
from tetkik.lab.findings.reference import ReferenceImages, make_reference
from tetkik.lab.findings.sources.rows import Truth, in_columns
from tetkik.lab.findings.summaries import (
    Judged,
    Screening,
    Unscored,
    metrics_of,
    screening_figures,
    words_separate,
)
from tetkik.lab.findings.thresholds import ThresholdRule
from tetkik.lab.findings.training.data import LabelCounts, count_labels
from tetkik.lab.findings.training.held_out import HeldOut, OperatingPoints, cross_calibrated
from tetkik.lab.findings.training.runs import data_digest
from tetkik.language import Sentence, translate
from tetkik.settings import settings
from tetkik.statistics.intervals import Bools, Floats
from tetkik.values.common import ProgressCallback
from tetkik.values.finding import FindingsResult, ThresholdOn

# What `tetkik findings calibrate` came to: the new bundle, and what became of each label.


FIGURES = ("auroc", "sensitivity", "specificity", "precision")


class CalibrationChange(StrEnum):
    """What became of a label."""

    CALIBRATED = "calibrated"
    KEPT = "kept"
    """Too few cases: it is read as before."""
    NOT_ASSESSED = "not_assessed"
    """Its scores do not tell these images apart: it is no longer assessed."""


@dataclass(frozen=True, slots=True)
class LabelChange:
    """What became of one label, with its figures where it was calibrated."""

    counts: LabelCounts
    change: CalibrationChange
    before: OperatingPoint
    after: OperatingPoint | None
    figures: dict[str, Metric]
    """By name without the label; `precision` is of what drafts state."""

    @property
    def label(self) -> str:
        return self.before.label

    def as_json(self) -> dict[str, Any]:
        figures = {name: self.figures.get(name) for name in FIGURES}
        return {
            "change": self.change.value,
            **{name: getattr(self.counts, name) for name in ("present", "absent")},
            **{name: getattr(self.counts, name) for name in ("present_groups", "absent_groups")},
            "before": _point_json(self.before),
            "after": None if self.after is None else _point_json(self.after),
            **{
                name: found and found.model_dump(include={"value", "low", "high", "n"})
                for name, found in figures.items()
            },
        }


def _point_json(point: OperatingPoint) -> dict[str, Any]:
    return {
        "threshold": point.threshold,
        "threshold_on": point.on.value,
        "asserts": point.asserts,
        "rules_out": point.rules_out,
    }


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationResult:
    """The new bundle, and how it came about."""

    bundle: Bundle
    source: str
    images: int
    """Those that were scored."""
    groups: int
    learned: LearnedReport
    same_patient: int
    """Images left out as of the patient of a learned one."""
    unscored: Unscored
    labels: tuple[LabelChange, ...]
    screening: tuple[Screening, ...]

    def of(self, change: CalibrationChange) -> list[str]:
        return [item.label for item in self.labels if item.change is change]

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.bundle.manifest.name,
            "from": self.source,
            "path": str(self.bundle.path),
            "n": self.images,
            "groups": self.groups,
            "learned": {**self.learned.as_json(), "same_patient": self.same_patient},
            "unscored": self.unscored.as_json(),
            "metrics": [metric.model_dump() for metric in self.bundle.manifest.metrics],
            "screening": {item.route: item.as_json() for item in self.screening},
            "per_label": {item.label: item.as_json() for item in self.labels},
        }


FOLDS = 5
SOURCE_CARD = "SOURCE_CARD.md"
"""The card of the model whose weights these are."""


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """How a model is calibrated; `id` None takes the folder's name.

    `min_positives` are patients or groups known each way, with fewer of which a label keeps what it had.
    """

    data_name: str
    rule: ThresholdRule = ThresholdRule.YOUDEN
    min_positives: int = 30
    gate: bool = True
    seed: int = 0
    id: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The given images without those that the network learned, and the model's answers to them."""

    images: LabelledImages
    pictures: Pictures
    """Of the scored ones that can be read."""
    learned: LearnedRows | None
    report: LearnedReport
    same_patient: int
    answers: Sequence[FindingsResult | TetkikError]
    predictions: Predictions
    judged: Judged
    unscored: Unscored


def calibrate(
    bundle: Bundle,
    images: LabelledImages,
    folder: Path,
    options: CalibrationOptions,
    workers: int | None,
    progress: ProgressCallback,
) -> CalibrationResult:
    """Write `bundle` with calibration, thresholds and what follows from them as `images` teach.

    Raises:
        DataError: the network learned all images, none is scored, no label has cases enough, or the scores of
            none of those tell its images apart.
        OutputError: `folder` holds something else.
    """
    findings = load_findings(bundle, gate=options.gate)
    rows = _rows(bundle, findings, images, workers, progress)
    judged = rows.judged
    labels = tuple(label for label in bundle.manifest.labels if label in findings.points.points)
    scores = in_columns(judged.scores, judged.labels, labels, np.nan)
    truth = np.where(np.isnan(scores), np.int8(-1), in_columns(judged.truth, judged.labels, labels))
    counts = count_labels(truth, labels, judged.groups, judged.source)
    enough = [at for at, item in enumerate(counts) if item.assessed(options.min_positives)]
    if not enough:
        best = max(counts, key=lambda item: min(item.present_groups, item.absent_groups))
        raise DataError(
            "No label that {model} assesses is known in {least} patients or groups to be present and in "
            "{least} to be absent (best is {label}: {present} and {absent}); add images or lower "
            "--min-positives.",
            model=findings.name,
            least=options.min_positives,
            label=best.label,
            present=best.present_groups,
            absent=best.absent_groups,
        )
    tried = tuple(labels[at] for at in enough)
    points, held_out = _fitted(judged, tried, scores[:, enough], truth[:, enough], options)
    if not points.thresholds:
        raise DataError(
            "The scores of {model} tell these images apart in no label; check that table, images and model "
            "belong together.",
            model=findings.name,
        )
    screening = _screening(rows, held_out)
    manifest = _manifest(rows, findings, folder, options, points, held_out, tried, screening)
    new = BundlePoints.of(manifest, findings.rules_out_bound)
    changes = tuple(_change(item, findings.points, new, tried, manifest) for item in counts)
    with staged_folder(folder) as stage:
        _copy(bundle, stage)
        earlier = rows.learned
        if earlier is None:  # what the network learned is not known, and these rows are
            earlier = replace(LearnedRows.of(data_digest(rows.images)), complete=False)
        earlier.with_pictures(rows.pictures).write(stage)
        write_manifest(stage, manifest)
        read = ReferenceImages(
            rows.images.files,
            rows.images.labels,
            rows.images.truth,
            in_columns(rows.predictions.scores, rows.predictions.labels, rows.images.labels, np.nan),
        )
        reference = make_reference(
            load_findings(open_bundle(stage, Task.FINDINGS), device=Device.CPU),  # its answers are here
            read,
            options.data_name,
            (Sentence("all images given"),),
            answers=rows.answers,
        )
        finish_bundle(stage, manifest, *_card(rows, findings.name, changes, options), reference)
    return CalibrationResult(
        bundle=open_bundle(folder, Task.FINDINGS),
        source=findings.name,
        images=len(judged),
        groups=len(np.unique(judged.groups)),
        learned=rows.report,
        same_patient=rows.same_patient,
        unscored=rows.unscored,
        labels=changes,
        screening=screening,
    )


def _rows(
    bundle: Bundle,
    findings: Findings,
    images: LabelledImages,
    workers: int | None,
    progress: ProgressCallback,
) -> _Rows:
    pictures, readable = read_pictures(images.files, preprocessing_of(bundle), progress)
    small = np.zeros((len(images), SIDE, SIDE), np.uint8)
    small[readable] = pictures.thumbnails
    images = images.grouped(duplicate_images(small, readable))
    learned = read_learned(bundle)
    match = LearnedMatch(*np.zeros((2, len(images)), bool))
    if learned is not None:
        match = learned_among(learned, pictures, readable)
    known = np.isin(images.group, images.group[match.either])
    if known.all():
        raise DataError(
            "All {given} images are among those that {model} learned, or of their patients, so their scores "
            "say nothing of new ones; give others.",
            given=len(images),
            model=findings.name,
        )
    same, near = (None, None) if learned is None else (int(match.same.sum()), int(match.near.sum()))
    report = LearnedReport(LearnedTreatment.SEPARATE, len(images), same, near, complete=match.complete)
    new = images.only(~known)
    answers = list(answer_all(findings, new.files, workers, progress))
    predictions = gather(new.files, answers, findings.name)
    judged, unscored = judge(predictions, new)
    used: Bools = ~known
    used[~known] = ~(predictions.refused | predictions.failed)
    return _Rows(
        new,
        pictures.only(used[readable]),
        learned,
        report,
        int(known.sum()) - report.count,
        answers,
        predictions,
        judged,
        unscored,
    )


def _fitted(
    judged: Judged, labels: Sequence[str], scores: Floats, truth: Truth, options: CalibrationOptions
) -> tuple[OperatingPoints, HeldOut]:
    """The operating points from all rows; and each row with an honest reading of the labels that have one."""
    fold = folds(judged.groups, FOLDS, options.seed)
    how = (labels, labels, options.rule, judged.groups)
    points = OperatingPoints.fitted(scores, truth, *how)
    probability, called, stated = cross_calibrated(scores, truth, fold, *how)
    usable = [at for at, label in enumerate(labels) if label in points.thresholds]
    return points, HeldOut(
        labels=tuple(labels[at] for at in usable),
        rows=np.arange(len(judged)),
        truth=truth[:, usable],
        groups=judged.groups,
        source=judged.source,
        scores=scores[:, usable],
        probability=probability[:, usable],
        called=called[:, usable],
        stated=stated[:, usable],
    )


def _screening(rows: _Rows, held_out: HeldOut) -> tuple[Screening, ...]:
    """Whether anything is abnormal, by the probabilities of other folds."""
    scored = [item for item in rows.answers if isinstance(item, FindingsResult) and item.suitable]
    values = np.array(
        [screen(_recalibrated(answer, held_out, row), answer.route) for row, answer in enumerate(scored)],
        np.float64,
    )
    return screening_figures(replace(rows.judged, screen=values))[0]


def _recalibrated(answer: FindingsResult, held_out: HeldOut, row: int) -> list[Any]:
    probability = dict(zip(held_out.labels, held_out.probability[row].tolist(), strict=True))
    return [
        replace(item, probability=None if np.isnan(value) else round(value, DIGITS))
        if item.assessed and (value := probability.get(item.label)) is not None
        else item
        for item in answer.findings
    ]


def _manifest(
    rows: _Rows,
    findings: Findings,
    folder: Path,
    options: CalibrationOptions,
    points: OperatingPoints,
    held_out: HeldOut,
    tried: Sequence[str],
    screening: Sequence[Screening],
) -> Manifest:
    old = findings.model.manifest
    before = findings.points.points
    kept = [label for label in old.labels if label in before and label not in tried]
    slopes: dict[str, Any] = {label: before[label].platt for label in kept if before[label].platt}
    asserts = {label: old.calibration.get("asserts", {}).get(label) for label in kept}
    calibration: dict[str, Any] = {
        "kind": "platt",
        "threshold_on": ThresholdOn.PROBABILITY.value,
        "labels": {name: list(pair) for name, pair in (slopes | points.calibration).items()},
        "asserts": {name: at for name, at in asserts.items() if at is not None} | points.asserts,
        "graded": words_separate(held_out),
        **{name: old.calibration[name] for name in ("ages", "band") if name in old.calibration},
    }
    if on_score := [label for label in kept if before[label].on is ThresholdOn.SCORE]:
        calibration["on_score"] = on_score
    else:
        calibration.pop("band", None)
    thresholds = {label: before[label].threshold for label in kept} | points.thresholds
    split = (
        Sentence(
            "out of fold, {folds} folds by component of patient and duplicates, seed {seed}",
            {"folds": FOLDS, "seed": options.seed},
        ),
        Sentence("calibration and thresholds of each fold from the others"),
    )
    metrics = (
        *metrics_of(held_out, options.data_name, split),
        *(
            Metric(
                name=f"screening_auroc:{item.route}",
                value=item.auroc,
                **ends(item.ci),
                n=item.n,
                data=options.data_name,
                split=split,
            )
            for item in screening
            if item.auroc is not None
        ),
        *(metric for metric in old.metrics if _label_of(metric) in kept),
    )
    return old.model_copy(
        update={
            "id": model_id(options.id, folder, "findings-calibrated"),
            "thresholds": {label: thresholds[label] for label in old.labels if label in thresholds},
            "calibration": calibration,
            "metrics": metrics,
            "training": {
                **old.training,
                "calibrated": {
                    "from": old.name,
                    "images": len(rows.judged),
                    "groups": len(np.unique(rows.judged.groups)),
                    "learned_images_left_out": None if rows.report.same is None else rows.report.count,
                    "images_of_their_patients_left_out": rows.same_patient,
                    "rule": options.rule.value,
                    "min_positives": options.min_positives,
                    "seed": options.seed,
                    "gated": options.gate,
                    "labels": [label for label in tried if label in points.thresholds],
                    "no_longer_assessed": [label for label in tried if label not in points.thresholds],
                },
            },
            "created": today(),
        }
    )


def _label_of(metric: Metric) -> str:
    return metric.name.partition(":")[2].partition("@")[0]


def _change(
    counts: LabelCounts, before: BundlePoints, after: BundlePoints, tried: Sequence[str], manifest: Manifest
) -> LabelChange:
    label = counts.label
    change = CalibrationChange.KEPT
    if label in tried:
        change = CalibrationChange.CALIBRATED if label in after.points else CalibrationChange.NOT_ASSESSED
    found = {metric.name: metric for metric in manifest.metrics}
    figures = {name: found[f"{name}:{label}"] for name in FIGURES if f"{name}:{label}" in found}
    return LabelChange(counts, change, before.points[label], after.points.get(label), figures)


def _copy(bundle: Bundle, stage: Path) -> None:
    """Every file but those that this calibration writes; the card stays under another name."""
    card = "README.md"
    for file in bundle.manifest.files:
        if file in {REFERENCE, LEARNED} or (file == card and SOURCE_CARD in bundle.manifest.files):
            continue
        target = stage / (SOURCE_CARD if file == card else file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / file, target)


def _card(
    rows: _Rows, source: str, changes: Sequence[LabelChange], options: CalibrationOptions
) -> tuple[str, list[CardSection]]:
    language = settings().language
    (title,) = card_words("Calibration")
    summary = translate("{model}, calibrated on {data}.", language, model=source, data=options.data_name)
    text = translate(
        "The weights are those of {model}, whose card is in `{card}`. Calibration, thresholds, what drafts "
        "state and what is ruled out come from the given images ({images}, patients or groups: {groups}); "
        "images that the network learned ({learned}), and others of their patients ({patients}), were left "
        "out. Each of {folds} folds is read as the others teach it, and that is what the figures tell; the "
        "points of this bundle come from all folds. A label with fewer than {least} patients or groups known "
        "each way keeps what it had, with its earlier figures; one whose scores do not tell these images "
        "apart is no longer assessed.",
        language,
        model=source,
        card=SOURCE_CARD,
        images=len(rows.judged),
        groups=len(np.unique(rows.judged.groups)),
        learned=card_words("unknown")[0] if rows.report.same is None else rows.report.count,
        patients=rows.same_patient,
        folds=FOLDS,
        least=options.min_positives,
    )
    titles = card_words("label", "present", "absent", "what became of it", "threshold before", "threshold")
    table = markdown_table((*titles, *card_words("stated from", "ruled out")), _table(changes))
    return summary, [CardSection(title, f"{text}\n\n{table}")]


def _table(changes: Sequence[LabelChange]) -> Iterator[tuple[object, ...]]:
    words = dict(zip(CalibrationChange, card_words("calibrated", "kept", "not assessed"), strict=True))
    yes, no = card_words("yes", "no")
    for item in changes:
        after = item.after
        counts = (item.label, item.counts.present, item.counts.absent, words[item.change])
        points = (None, None) if after is None else (after.threshold, after.asserts)
        thresholds = (cell(item.before.threshold), *(cell(point) for point in points))
        yield *counts, *thresholds, "" if after is None else yes if after.rules_out else no
