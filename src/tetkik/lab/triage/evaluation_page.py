"""An evaluation as files: `metrics.json`, the pictures, `predictions.csv`, and one page with all of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tetkik.drawing import Picture, check_target, page_environment, write_page
from tetkik.lab.triage.figures import Evaluation
from tetkik.lab.triage.metrics import rank_of_truth
from tetkik.lab.triage.plots import pictures
from tetkik.language import Language

DIMENSIONS = {"length": "Length", "age": "Age told", "sex": "Sex told"}
"""The title of each dimension of the slices."""


def write_evaluation(evaluation: Evaluation, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write everything about `evaluation` into `folder`: all of it, or nothing.

    An earlier evaluation in the folder is replaced; other files there are left alone. No complaint's words
    are written.

    Returns:
        The files, sorted.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
        OutputError: `folder` is a file.
    """
    check_target(folder)
    drawn = pictures(evaluation, language)
    page = render_page(evaluation, drawn, language)
    table = ("predictions.csv", predictions_csv(evaluation))
    return write_page(folder, page, drawn, evaluation.as_json(language), table)


def predictions_csv(evaluation: Evaluation) -> str:
    """Row by row, in the order of the data's rows that are in the figures: label, answer, probabilities.

    Enough to compute every figure of the clean texts again; the complaints themselves are not in it.
    """
    judged = evaluation.judged
    ranks = rank_of_truth(judged.probabilities, judged.truth)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["row", "group", "label", "predicted", "rank_of_label", *judged.labels])
    for row, (true, chosen) in enumerate(zip(judged.truth.tolist(), judged.predicted.tolist(), strict=True)):
        answered = chosen >= 0
        scores = [f"{score:.6f}" if answered else "" for score in judged.probabilities[row].tolist()]
        writer.writerow(
            [
                row + 1,
                int(judged.groups[row]),
                judged.labels[true],
                judged.labels[chosen] if answered else "",
                int(ranks[row]) if answered else "",
                *scores,
            ]
        )
    return lines.getvalue()


def render_page(evaluation: Evaluation, drawn: tuple[Picture, ...], language: Language) -> str:
    """One HTML page that needs nothing beside it: figures, their reading, pictures. Needs jinja2."""
    return (
        page_environment("tetkik.triage", language, drawn)
        .get_template("evaluation.html.jinja")
        .render(
            evaluation=evaluation,
            reading=[sentence.in_language(language) for sentence in evaluation.reading],
            labels=sorted(
                (figures for figures in evaluation.per_label.values() if figures),
                key=lambda figures: -figures.support,
            ),
            dimensions=DIMENSIONS,
        )
    )
