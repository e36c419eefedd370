"""The page, pictures and predictions of an evaluation of triage."""

from __future__ import annotations

from pathlib import Path

from tetkik.lab.engine import evaluation_page as engine
from tetkik.lab.engine.evaluation_page import check_target
from tetkik.lab.triage.figures import Evaluation
from tetkik.lab.triage.metrics import rank_of_truth
from tetkik.lab.triage.plots import pictures
from tetkik.language import Language

DIMENSIONS = {"length": "Length", "age": "Age given", "sex": "Sex in words"}
"""The title of each dimension of the subgroups."""


def write_evaluation(evaluation: Evaluation, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write all about `evaluation` into `folder`, but for the words of the complaints: the files."""
    check_target(folder)
    present = [figures for figures in evaluation.per_label.values() if figures]
    return engine.write_evaluation(
        evaluation,
        folder,
        language,
        template="triage/triage.html.jinja",
        pictures=pictures(evaluation, language),
        table=("predictions.csv", predictions_csv(evaluation)),
        labels=sorted(present, key=lambda figures: -figures.support),
        dimensions=DIMENSIONS,
    )


def predictions_csv(evaluation: Evaluation) -> str:
    """Row by row, in the order of the data's rows that are in the figures: label, answer, probabilities.

    Enough to compute every figure of the clean texts again; the complaints themselves are not in it.
    """
    judged = evaluation.judged
    ranks = rank_of_truth(judged.probabilities, judged.truth)
    header = ["row", "group", "label", "predicted", "rank_of_label", *judged.labels]
    rows = []
    for row, (true, chosen) in enumerate(zip(judged.truth.tolist(), judged.predicted.tolist(), strict=True)):
        place: list[object] = [row + 1, int(judged.groups[row]), judged.labels[true]]
        if chosen >= 0:
            scores = map(engine.decimals, judged.probabilities[row].tolist())
            rows.append([*place, judged.labels[chosen], int(ranks[row]), *scores])
        else:
            rows.append([*place, *[""] * (2 + len(judged.labels))])
    return engine.csv_text(header, rows)
