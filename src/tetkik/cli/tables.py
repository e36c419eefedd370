"""How commands show figures: plain tables, intervals, and sentences as a list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from tetkik.cli.console import language, note, out, t, writing
from tetkik.lab.engine.figure_tables import cell_text
from tetkik.language import Sentence
from tetkik.statistics import Interval

if TYPE_CHECKING:
    from tetkik.bundle import Metric
    from tetkik.bundle.card import LabelReference
    from tetkik.lab.engine.figure_tables import EvaluationView, FigureTable

_TITLE = 12
"""Characters of a column's title on one line."""


def add_row(made: Table, *cells: object) -> None:
    # As text: what stands in square brackets is no markup.
    made.add_row(*(item if isinstance(item, Text) else Text(cell_text(item, language())) for item in cells))


def table(*titles: str) -> Table:
    """A plain table: the first column is words, the others are figures."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for place, title in enumerate(titles):
        made.add_column(title, justify="right" if place else "left", no_wrap=place > 0)
    return made


def listing(*titles: str) -> Table:
    """A plain table of words."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        made.add_column(title)
    return made


def metrics_shown(metrics: Iterable[Metric]) -> Table:
    """The figures that a training measured."""
    made = table(t("figure"), t("value"), t("95%"), "n")
    for metric in metrics:
        bounds = None if metric.low is None or metric.high is None else Interval(metric.low, metric.high)
        add_row(made, metric.name, metric.value, bounds, metric.n)
    return made


def totals() -> Table:
    """Words with a count each, without titles."""
    made = table("", "")
    made.show_header = False
    return made


def reference_table(labels: Mapping[str, LabelReference], *titles: str) -> Table:
    """The scores of each label in a bundle's reference: count, prevalence, median, share of positives."""
    made = table(*titles)
    for label, one in labels.items():
        scores = one.scores
        add_row(made, label, scores.total, one.prevalence, scores.quantile(0.5), one.positive / scores.total)
    return made


def show_figures(figures: FigureTable) -> None:
    """A table of an evaluation with the columns for the console, where it has any."""
    wanted = figures.columns if figures.console is None else figures.console
    shown = [place for place, title in enumerate(figures.columns) if title in wanted]
    if not shown or not figures.rows:
        return
    made = table(*("\n".join(wrap(t(figures.columns[place]), _TITLE)) for place in shown))
    for row in figures.rows:
        if len(row) == 1:
            add_row(made, Text(cell_text(row[0], language()), style="dim"))
        else:
            # There is no room for why a figure is missing.
            missing = len(figures.columns) - len(row)
            full = [*row[:-1], *[None] * (missing + 1)] if missing else row
            add_row(made, *(full[place] for place in shown))
    out.print()
    out.print(Text(figures.title.in_language(language()), style="bold"))
    out.print(made)


def show_evaluation(view: EvaluationView) -> None:
    """Tables, what they say in sentences, and what was not computed."""
    evaluation = view.evaluation
    counts = (Text(cell_text(count, language()), style="dim") for count in view.counts)
    out.print(Text(evaluation.model, style="bold"), *counts)
    made = totals()
    for title, value in view.headline:
        add_row(made, title, value)
    out.print()
    out.print(made)
    for figures in (*view.tables, *view.more_tables):
        show_figures(figures)
    say_below(evaluation.interpretation)
    if evaluation.not_computed:
        out.print()
        missing = t(
            "Not computed: {count}; --json gives the reason of each.", count=len(evaluation.not_computed)
        )
        out.print(Text(missing, style="dim"))


def say_below(sentences: Iterable[Sentence]) -> None:
    """What tables of figures mean: their brackets, and the figures in sentences."""
    out.print()
    out.print(Text(t("In brackets: 95% intervals."), style="dim"))
    out.print()
    say_list(sentences)


def deliver(view: EvaluationView, *, as_json: bool, folder: Path | None) -> None:
    """Print an evaluation, after its page and pictures are written where a folder was asked for."""
    from tetkik.lab.engine.charts import PAGE, write_evaluation

    paths: tuple[Path, ...] = ()
    if folder is not None:
        with writing(folder):
            paths = write_evaluation(view, folder, language())
    if as_json:
        echo_json(view.evaluation.as_json(language()))
    else:
        show_evaluation(view)
    if paths:
        note("{count} files are in {folder}; begin with {page}.", count=len(paths), folder=folder, page=PAGE)


def echo_json(content: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False, allow_nan=False))


def bullet(sentence: str) -> None:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("•", Text(sentence))
    out.print(grid)


def say_list(sentences: Iterable[Sentence]) -> None:
    for sentence in sentences:
        bullet(sentence.in_language(language()))
