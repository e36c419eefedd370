"""How commands show figures: plain tables, intervals, and sentences as a list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from tetkik.cli.console import language, note, out, t, writing
from tetkik.language import Language, Sentence
from tetkik.statistics import Interval

if TYPE_CHECKING:
    from tetkik.bundle import Metric
    from tetkik.bundle.card import LabelReference
    from tetkik.lab.engine.charts import Evaluation
    from tetkik.lab.engine.results import SubgroupFigures

EvaluationT = TypeVar("EvaluationT", bound="Evaluation")
SubgroupT = TypeVar("SubgroupT", bound="SubgroupFigures")


def cell(value: object, form: str = "{:.3f}") -> str | Text:
    """A figure, an interval, a count or words for a table; a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, Interval):
        return f"{form.format(value.low)} … {form.format(value.high)}"
    return form.format(value) if isinstance(value, float) else Text(str(value))


def signed(value: object) -> str | Text:
    """A difference, or the interval of one."""
    return cell(value, "{:+.3f}")


def short(value: object) -> str | Text:
    return cell(value, "{:.2f}")


def add_row(made: Table, *cells: object) -> None:
    made.add_row(*(item if isinstance(item, Text) else cell(item) for item in cells))


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


def add_subgroups(
    made: Table, found: Iterable[SubgroupT], cells: Callable[[SubgroupT], Iterable[object]]
) -> None:
    """A row for each subgroup, its title first; an empty row where a dimension ends."""
    dimension = ""
    for part in found:
        if dimension and part.dimension != dimension:
            made.add_row()
        dimension = part.dimension
        add_row(made, part.title.in_language(language()), *cells(part))


def show_parts(
    parts: Iterable[Table | None], interpretation: Iterable[Sentence], not_computed: Mapping[str, Sentence]
) -> None:
    """An evaluation under its headline: tables, what they say in sentences, and what was not computed."""
    out.print()
    for part in parts:
        if part is not None:
            out.print(part)
            out.print()
    say_list(interpretation)
    if not_computed:
        out.print()
        out.print(
            Text(
                t("Not computed: {count}; --json gives the reason of each.", count=len(not_computed)),
                style="dim",
            )
        )


def deliver(
    evaluation: EvaluationT,
    *,
    as_json: bool,
    folder: Path | None,
    show: Callable[[EvaluationT], None],
    write: Callable[[EvaluationT, Path, Language], tuple[Path, ...]],
) -> None:
    """Print an evaluation, after its page and pictures are written where a folder was asked for."""
    from tetkik.lab.engine.charts import PAGE

    paths: tuple[Path, ...] = ()
    if folder is not None:
        with writing(folder):
            paths = write(evaluation, folder, language())
    if as_json:
        echo_json(evaluation.as_json(language()))
    else:
        show(evaluation)
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
