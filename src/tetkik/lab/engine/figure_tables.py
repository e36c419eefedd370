"""What the page and the console show of an evaluation: tables of figures, each built once for both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tetkik.language import Language, Sentence
from tetkik.statistics import Interval
from tetkik.values import label_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tetkik.lab.engine.results import SubgroupFigures

T = TypeVar("T")
SubgroupT = TypeVar("SubgroupT", bound="SubgroupFigures")
Columns = Mapping[str, Callable[[T], object]]
"""Title (an English template; without a translation it is the same in both languages) and cell of a row."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure with its 95% interval, and how both are written."""

    value: object
    interval: Interval | None = None
    form: str = "{:.3f}"


@dataclass(frozen=True, slots=True)
class LabelName(Sentence):
    """A label, by its clinical name in the language asked for; the template is the label itself."""

    def in_language(self, language: Language) -> str:
        return label_name(self.template, language)


def signed(value: object, interval: Interval | None = None) -> Cell:
    """A difference."""
    return Cell(value, interval, "{:+.3f}")


def short(value: object, interval: Interval | None = None) -> Cell:
    """A figure with two decimals."""
    return Cell(value, interval, "{:.2f}")


def bracket(interval: Interval | None, form: str = "{:.2f}") -> str:
    """` [low, high]`; empty for none."""
    return f" [{form.format(interval.low)}, {form.format(interval.high)}]" if interval else ""


def cell_parts(value: object, language: Language, form: str = "{:.3f}") -> tuple[str, str]:
    """A figure, an interval, a count or words as they stand in a table, and behind it the interval's text."""
    match value:
        case Cell():
            return cell_parts(value.value, language, value.form)[0], bracket(value.interval, value.form)
        case None:
            return "–", ""
        case Interval():
            return f"{form.format(value.low)} … {form.format(value.high)}", ""
        case Sentence():
            return value.in_language(language), ""
        case float():
            return form.format(value), ""
    return str(value), ""


def cell_text(value: object, language: Language) -> str:
    return "".join(cell_parts(value, language))


@dataclass(frozen=True, slots=True)
class FigureTable:
    """A table of figures; the first column is words.

    The last cell of a row that is too short for the columns spans the rest of them: a row of one cell is a
    heading of those below it, another tells why there is no figure.
    """

    title: Sentence
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: Sentence | None = None
    console: Collection[str] | None = None
    """The columns that the console shows; None for all, empty for a table of the page alone."""

    @classmethod
    def of(
        cls,
        title: Sentence,
        columns: Columns[T],
        items: Iterable[T],
        note: Sentence | None = None,
        console: Collection[str] | None = None,
    ) -> FigureTable:
        """A row for each item."""
        rows = [[cell(item) for cell in columns.values()] for item in items]
        return cls(title, tuple(columns), rows, note, console)

    @classmethod
    def of_subgroups(
        cls,
        title: Sentence,
        columns: Columns[SubgroupT],
        found: Iterable[SubgroupT],
        dimensions: Mapping[str, Sentence],
        note: Sentence | None = None,
        console: Collection[str] | None = None,
    ) -> FigureTable:
        """A row for each subgroup, with its title and its number of rows first; a heading each dimension."""
        rows: list[Sequence[object]] = []
        for dimension, parts in groupby(found, lambda part: part.dimension):
            rows.append([dimensions[dimension]])
            for part in parts:
                cells = [part.reason] if part.reason else [cell(part) for cell in columns.values()]
                rows.append([part.title, part.n, *cells])
        return cls(title, ("part", "n", *columns), rows, note, console)

    @property
    def words(self) -> tuple[bool, ...]:
        """Which of the columns hold sentences."""
        full = [row for row in self.rows if len(row) == len(self.columns)]
        return tuple(
            any(isinstance(row[place], Sentence) for row in full) for place in range(len(self.columns))
        )


class Evaluation(Protocol):
    """What `evaluation.html.jinja` shows of every capability; its JSON is `metrics.json`."""

    @property
    def model(self) -> str: ...

    @property
    def interpretation(self) -> tuple[Sentence, ...]: ...

    @property
    def not_computed(self) -> Mapping[str, Sentence]: ...

    def as_json(self, language: Language = ...) -> dict[str, Any]: ...


Plot = tuple[str, str, Callable[[Language], "Figure"]]
"""File name, title (an English template), and what draws it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationView:
    """What page, console and files show of an evaluation."""

    evaluation: Evaluation
    counts: Sequence[object]
    """How many rows there are of what: sentences, and names."""
    headline: Sequence[tuple[Sentence, object]]
    """The figures that stand first with their titles: cards on the page."""
    tables: Sequence[FigureTable]
    more_tables: Sequence[FigureTable] = ()
    """Those below the pictures."""
    plots: Sequence[Plot]
    files: Mapping[str, Callable[[Language], str]]
    """The tables beside the page, by the names of their files."""
    method: Sentence
    """How the figures were computed."""
    kind: Sentence = Sentence("Evaluation")  # noqa: RUF009 - a frozen value
    template: str = "engine/evaluation.html.jinja"
    """`CAPABILITY/NAME.html.jinja` in the lab: this one, or a page that extends it."""
    more: Callable[[], object] | None = None
    """What such a page shows besides."""
