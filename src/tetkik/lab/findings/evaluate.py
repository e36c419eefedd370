"""Judging a model of findings on a labelled set.

Everything is computed from answers as `predict --json` prints them, so that anyone can have the same figures
from its output. What a table does not know of an image is left out label by label; it is never "absent".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tetkik.errors import DataError, UsageError
from tetkik.lab.engine.learned_rows import LearnedMatch
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.results import divide
from tetkik.lab.findings.evaluation_page import interpret
from tetkik.lab.findings.predictions import Predictions
from tetkik.lab.findings.sources.rows import in_columns
from tetkik.lab.findings.summaries import (
    Evaluation,
    Judged,
    TaskFigures,
    Unscored,
    Without,
    co_occurrence,
    label_figures,
    mean_auroc,
    mean_interval,
    mean_of,
    prevalence_figures,
    screening_figures,
    subgroup_figures,
    task_figures,
)
from tetkik.language import Sentence
from tetkik.statistics import ClusterBootstrap, Floats, auroc_replicates
from tetkik.values import BRAIN_LABELS, FINDING_LABELS, NIH_LABELS

if TYPE_CHECKING:
    from tetkik.lab.findings.data import LabelledImages

LABEL_SETS = {"nih14": NIH_LABELS, "brain": BRAIN_LABELS}


def evaluate(
    predictions: Predictions,
    images: LabelledImages,
    *,
    learned: LearnedMatch | None = None,
    treatment: LearnedTreatment = LearnedTreatment.SEPARATE,
    labels: Sequence[str] = (),
    task: Sequence[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge answers against labels.

    Args:
        learned: which of the images the model learned, others of their patients being found here; None where
            that is not known.
        treatment: what is done with them.
        labels: judge these alone; empty for all of the table and the model.
        task: labels of which exactly one is true, for accuracy beside AUROC; empty for none.
        bootstrap: replicates of the bootstrap of groups; 0 for none.

    Raises:
        DataError: none of the images was scored for a label that the table knows; or there are learned ones
            and `treatment` refuses them, or no others.
        UsageError: `labels` names one that neither has; `task` one that not both have, or fewer than two.
    """
    match = learned and learned.with_copies(images.group)
    new, (report,) = divide([(predictions.model, match)], len(images), treatment)
    judged, unscored = judge(predictions, images.only(new), labels)
    if not new.all():
        own = own_mean_auroc(predictions, images.only(~new), labels)
        report = report.with_figures(mean_auroc=own)
    _check_task(judged, task)
    draws = ClusterBootstrap(judged.groups, bootstrap, seed)
    replicates = None
    if draws.possible:
        replicates = auroc_replicates(judged.scores, judged.truth.astype(np.int64), draws)
    per_label, without = label_figures(judged)
    screening, without_screening = screening_figures(judged)
    task_result = task_figures(judged, task) if task else None
    measured = [at for at, label in enumerate(judged.labels) if per_label[label].auroc is not None]
    shown = [at for at in measured if per_label[judged.labels[at]].n_positive]
    truth, called = judged.truth[:, shown], judged.positive[:, shown]
    names = [judged.labels[at] for at in shown]
    evaluation = Evaluation(
        model=predictions.model,
        learned=report,
        judged=judged,
        mean_auroc=mean_of(figures.auroc for figures in per_label.values()),
        mean_auroc_ci=mean_interval(replicates, measured),
        mean_average_precision=mean_of(
            figures.average_precision for figures in per_label.values() if figures.auroc is not None
        ),
        mean_ece=mean_of(figures.ece for figures in per_label.values()),
        mean_brier_skill=mean_of(figures.brier_skill for figures in per_label.values()),
        per_label=per_label,
        subgroups=(*subgroup_figures(judged, draws), *prevalence_figures(judged, per_label, replicates)),
        screening=screening,
        task=task_result,
        co_occurrence=co_occurrence(np.where(called >= 0, truth, -1), names),
        called_co_occurrence=co_occurrence(np.where(truth >= 0, called, -1), names),
        unscored=unscored,
        left_out=images.left_out,
        not_computed=without | without_screening | _missing(replicates, measured, task_result),
        replicates=draws.replicates,
        seed=seed,
    )
    return replace(evaluation, interpretation=interpret(evaluation))


def own_mean_auroc(
    predictions: Predictions, images: LabelledImages, labels: Sequence[str] = ()
) -> float | None:
    """The mean AUROC on these images alone; None where no label has one."""
    try:
        judged, _ = judge(predictions, images, labels)
    except DataError:
        return None
    return mean_auroc(judged.scores, np.where(judged.usable, judged.truth, np.int8(-1)))


def judge(
    predictions: Predictions, images: LabelledImages, only: Sequence[str] = ()
) -> tuple[Judged, Unscored]:
    """The images that were scored with answers and labels, row by row, and what became of the others."""
    answer = predictions.rows_of(images.files)
    there = answer >= 0
    refused = there & predictions.refused[answer]
    failed = there & predictions.failed[answer]
    rows = np.flatnonzero(there & ~refused & ~failed)
    if not len(rows):
        raise DataError(
            "None of the {n} images in the table was scored: the quality gate refused {refused}, {failed} "
            "could not be read, and for {missing} there is no answer; check the images, or use --no-gate.",
            n=len(images.files),
            refused=int(refused.sum()),
            failed=int(failed.sum()),
            missing=int((~there).sum()),
        )
    scored = images.only(rows)
    names = _names(predictions, scored, only)
    labels = (*(label for label in FINDING_LABELS if label in names), *sorted(names - set(FINDING_LABELS)))
    chosen = answer[rows]
    judged = Judged(
        labels=labels,
        truth=in_columns(scored.truth, scored.labels, labels),
        scores=in_columns(predictions.scores[chosen], predictions.labels, labels, np.nan),
        probabilities=in_columns(predictions.probabilities[chosen], predictions.labels, labels, np.nan),
        positive=in_columns(predictions.positive[chosen], predictions.labels, labels),
        screen=predictions.screen[chosen],
        operated_at=predictions.operated_at,
        groups=scored.group,
        source=scored.source,
        view=scored.view,
        sex=scored.sex,
        age=scored.age,
        sha256=tuple(predictions.sha256[row] for row in chosen),
    )
    if not judged.usable.any():
        raise DataError(
            "{model} assesses none of the labels that the table knows for the {n} images that were scored; "
            "check that table, images and model belong together.",
            n=len(rows),
            model=predictions.model,
        )
    gravest = Counter((predictions.flaws[row] or ("",))[0] for row in answer[refused])
    by_flaw = dict(sorted(gravest.items(), key=lambda item: (-item[1], item[0])))
    return judged, Unscored(by_flaw, int(failed.sum()), int((~there).sum()), predictions.gated)


def _names(predictions: Predictions, scored: LabelledImages, only: Sequence[str]) -> set[str]:
    """The labels that the scored images know, or that the model assesses."""
    known: list[int] = np.flatnonzero((scored.truth >= 0).any(axis=0)).tolist()
    names = {*predictions.labels, *(scored.labels[at] for at in known)}
    for label in only:
        if label not in names:
            raise UsageError(
                "Neither the scored images nor the model know the label {label}; choose among: {labels}.",
                label=label,
                labels=", ".join(sorted(names)),
            )
    return set(only) or names


def _check_task(judged: Judged, task: Sequence[str]) -> None:
    if task and len(set(task)) < 2:
        raise UsageError("A task needs two labels or more, separated by commas: --task Glioma,Meningioma.")
    known = [label for at, label in enumerate(judged.labels) if judged.usable[:, at].any()]
    for label in task:
        if label not in known:
            raise UsageError(
                "The task names {label}, which data and model do not both know; choose among: {labels}.",
                label=label,
                labels=", ".join(known),
            )


def _missing(replicates: Floats | None, measured: Sequence[int], task: TaskFigures | None) -> Without:
    without: Without = {}
    if not measured:
        without["mean_auroc"] = Sentence("No label has an AUROC.")
    if replicates is None:
        without["mean_auroc_ci"] = Sentence("An interval needs two patients or more, and a bootstrap.")
    if task is None:
        without["task"] = Sentence("It was not asked for.")
    elif task.n == 0:
        without["task.accuracy"] = Sentence("No scored image has exactly one label of the task.")
    return without
