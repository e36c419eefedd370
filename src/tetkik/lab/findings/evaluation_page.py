"""The page, pictures and predictions of an evaluation of findings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tetkik.lab.engine import evaluation_page as engine
from tetkik.lab.engine.evaluation_page import check_target
from tetkik.lab.findings.figures import Evaluation
from tetkik.lab.findings.interpretation import ROUTES
from tetkik.lab.findings.plots import pictures
from tetkik.lab.findings.subgroups import DIMENSIONS
from tetkik.language import Language
from tetkik.values import Route, label_name


def write_evaluation(evaluation: Evaluation, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write all but names of files and numbers of patients into `folder`; the files, sorted."""
    check_target(folder)
    return engine.write_evaluation(
        evaluation,
        folder,
        language,
        template="findings/findings.html.jinja",
        pictures=pictures(evaluation, language),
        table=("predictions.csv", predictions_csv(evaluation)),
        labels=sorted(evaluation.measured, key=lambda figures: -(figures.auroc or 0.0)),
        name_of=lambda label: label_name(label, language),
        route_name=lambda route: ROUTES[Route(route)].in_language(language),
        dimensions=DIMENSIONS,
    )


def predictions_csv(evaluation: Evaluation) -> str:
    """Image by image: the file's hash, its group and source, and for each label truth, score, probability.

    Enough to compute every figure again. An empty cell is an unknown truth, or a label not assessed.
    """
    judged = evaluation.judged
    columns = [f"{label}:{what}" for label in judged.labels for what in ("truth", "score", "probability")]
    # Numbers of their own: those of the table may be derived from patients' numbers.
    groups = np.unique(judged.groups, return_inverse=True)[1].tolist()
    rows = []
    for row in range(len(judged)):
        cells: list[object] = [judged.sha256[row], groups[row], judged.source[row]]
        cells.append(engine.decimals(float(judged.screen[row])))
        for truth, score, probability in zip(
            judged.truth[row].tolist(),
            judged.scores[row].tolist(),
            judged.probabilities[row].tolist(),
            strict=True,
        ):
            known = "" if truth < 0 else truth
            cells += [known, engine.decimals(score), engine.decimals(probability)]
        rows.append(cells)
    return engine.csv_text(["sha256", "group", "source", "screen", *columns], rows)
