"""An evaluation as files: `metrics.json`, the pictures, `predictions.csv`, and one page with all of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from tetkik.drawing import Picture, check_target, page_environment, write_page
from tetkik.findings.figures import Evaluation
from tetkik.findings.plots import pictures
from tetkik.findings.reading import ROUTES
from tetkik.findings.slices import DIMENSIONS
from tetkik.language import Language
from tetkik.values import Route, label_name


def write_evaluation(evaluation: Evaluation, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write everything about `evaluation` into `folder`: all of it, or nothing.

    An earlier evaluation in the folder is replaced; other files there are left alone. No file's name and no
    patient's number is written.

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
    """Image by image: the file's hash, its group and source, and for each label truth, score, probability.

    Enough to compute every figure again. An empty cell is an unknown truth, or a label not assessed.
    """
    judged = evaluation.judged
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    columns = [f"{label}:{what}" for label in judged.labels for what in ("truth", "score", "probability")]
    writer.writerow(["sha256", "group", "source", "screen", *columns])
    # Numbers of their own: those of the table may be derived from patients' numbers.
    groups = np.unique(judged.groups, return_inverse=True)[1].tolist()
    for row in range(len(judged)):
        cells = []
        for truth, score, probability in zip(
            judged.truth[row].tolist(),
            judged.scores[row].tolist(),
            judged.probabilities[row].tolist(),
            strict=True,
        ):
            cells += ["" if truth < 0 else truth, _decimals(score), _decimals(probability)]
        screen = _decimals(float(judged.screen[row]))
        writer.writerow([judged.sha256[row], groups[row], judged.source[row], screen, *cells])
    return lines.getvalue()


def _decimals(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6f}"


def render_page(evaluation: Evaluation, drawn: tuple[Picture, ...], language: Language) -> str:
    """One HTML page that needs nothing beside it: figures, their reading, pictures. Needs jinja2."""
    return (
        page_environment("tetkik.findings", language, drawn)
        .get_template("evaluation.html.jinja")
        .render(
            evaluation=evaluation,
            reading=[sentence.in_language(language) for sentence in evaluation.reading],
            labels=sorted(evaluation.measured, key=lambda figures: -(figures.auroc or 0.0)),
            name_of=lambda label: label_name(label, language),
            route_name=lambda route: ROUTES[Route(route)].in_language(language),
            dimensions=DIMENSIONS,
        )
    )
