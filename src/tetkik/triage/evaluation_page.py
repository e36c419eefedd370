"""An evaluation as files: `metrics.json`, the pictures, `predictions.csv`, and one page with all of it."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import shutil
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from tetkik.errors import MissingExtra, OutputError
from tetkik.language import Language, translate
from tetkik.triage.figures import Evaluation
from tetkik.triage.metrics import Interval, rank_of_truth
from tetkik.triage.plots import Picture, pictures
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE = "report.html"
DIMENSIONS = {"length": "Length", "age": "Age told", "sex": "Sex told"}
"""The title of each dimension of the slices."""


def check_target(folder: Path) -> None:
    """Fail before the long work where writing would fail after it.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
        OutputError: `folder` is or lies in a file, or cannot be written.
    """
    above = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not above.is_dir():
        raise OutputError("{folder} is a file; choose a folder as --out.", folder=above)
    if not os.access(above, os.W_OK):
        raise OutputError("{folder} cannot be written; choose another folder as --out.", folder=above)
    for package in ("matplotlib", "jinja2"):
        if find_spec(package) is None:
            raise MissingExtra(
                "Pictures and pages need {package}; `pip install 'tetkik[train]'`.", package=package
            )


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
    contents = {picture.name: picture.png for picture in drawn}
    figures = json.dumps(evaluation.as_json(language), ensure_ascii=False, indent=2, allow_nan=False)
    contents["metrics.json"] = (figures + "\n").encode("utf-8")
    contents["predictions.csv"] = predictions_csv(evaluation).encode("utf-8")
    contents[PAGE] = render_page(evaluation, drawn, language).encode("utf-8")
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(mkdtemp(prefix=".evaluation.", dir=folder))
    try:
        for name, content in contents.items():
            (stage / name).write_bytes(content)
        for name in contents:
            os.replace(stage / name, folder / name)  # noqa: PTH105 - the name says that it is atomic
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if new and not any(folder.iterdir()):
            folder.rmdir()
    return tuple(sorted(folder / name for name in contents))


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
        _environment(language)
        .get_template("evaluation.html.jinja")
        .render(
            evaluation=evaluation,
            language=language,
            disclaimer=DISCLAIMER[language.value],
            reading=[sentence.in_language(language) for sentence in evaluation.reading],
            labels=sorted(
                (figures for figures in evaluation.per_label.values() if figures),
                key=lambda figures: -figures.support,
            ),
            dimensions=DIMENSIONS,
            pictures=[
                (
                    picture.name,
                    translate(picture.title, language),
                    base64.b64encode(picture.png).decode("ascii"),
                )
                for picture in drawn
            ],
        )
    )


def _environment(language: Language) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # A label comes from a user's table and may hold anything: everything is escaped.
    environment = Environment(
        loader=FileSystemLoader(str(resources.files("tetkik.triage"))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["t"] = lambda template, **values: translate(template, language, **values)
    environment.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["change"] = lambda value: f"{value:+.3f}"
    environment.filters["interval"] = _interval
    environment.filters["say"] = lambda sentence: sentence.in_language(language)
    return environment


def _interval(interval: Interval | None, form: str = "{:.3f}") -> str:
    return f"{form.format(interval.low)} … {form.format(interval.high)}" if interval else "–"
