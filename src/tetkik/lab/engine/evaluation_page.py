"""An evaluation as files: `metrics.json`, the pictures, one table, and one page with all of it."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tetkik.documents.write import write_files
from tetkik.errors import MissingExtra, OutputError
from tetkik.lab.engine.style import Picture, png, styled
from tetkik.language import Language, Sentence, translate
from tetkik.statistics import Interval
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

PAGE = "report.html"


class Evaluation(Protocol):
    """What `evaluation.html.jinja` shows of every capability; its JSON is `metrics.json`."""

    @property
    def model(self) -> str: ...

    @property
    def interpretation(self) -> tuple[Sentence, ...]: ...

    @property
    def not_computed(self) -> Mapping[str, Sentence]: ...

    def as_json(self, language: Language = ...) -> dict[str, Any]: ...


EvaluationT = TypeVar("EvaluationT", bound=Evaluation)
Plot = tuple[str, str, Callable[[EvaluationT, Language], "Figure"]]
"""File name, title (an English template), and what draws it."""


def check_target(folder: Path) -> None:
    """Fail before the long work where writing would fail after it."""
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


def drawn(
    evaluation: EvaluationT, plots: Iterable[Plot[EvaluationT]], language: Language
) -> tuple[Picture, ...]:
    """Every plot as PNG. Needs matplotlib."""
    with styled():
        return tuple(Picture(name, title, png(draw(evaluation, language))) for name, title, draw in plots)


def write_evaluation(
    evaluation: Evaluation,
    folder: Path,
    language: Language,
    *,
    template: str,
    pictures: Sequence[Picture],
    table: tuple[str, str],
    more_tables: Mapping[str, str] = MappingProxyType({}),
    **values: object,
) -> tuple[Path, ...]:
    """Write `report.html`, its pictures, `metrics.json` and its tables into `folder`: all of it, or nothing.

    An earlier evaluation in the folder is replaced; other files there are left alone. `template` is
    `CAPABILITY/NAME.html.jinja` in the lab, which extends `evaluation.html.jinja` and gets `values` too.
    """
    package, _, name = template.partition("/")
    environment = page_environment(f"tetkik.lab.{package}", language, pictures)
    page = environment.get_template(name).render(evaluation=evaluation, **values)
    contents = {picture.name: picture.png for picture in pictures}
    figures = json.dumps(evaluation.as_json(language), ensure_ascii=False, indent=2, allow_nan=False)
    texts = {"metrics.json": figures + "\n", table[0]: table[1], **more_tables, PAGE: page}
    return write_files(contents | {name: text.encode("utf-8") for name, text in texts.items()}, folder)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return lines.getvalue()


def decimals(value: float) -> str:
    """Six decimals, as `predict --json` has them; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.6f}"


def page_environment(package: str, language: Language, pictures: Sequence[Picture] = ()) -> Environment:
    """What renders the pages of `package`, which extend `page.html.jinja`, self-contained. Needs jinja2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # A label comes from a user's table and may hold anything: everything is escaped.
    environment = Environment(
        loader=FileSystemLoader([str(resources.files(name)) for name in (package, "tetkik.lab.engine")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["t"] = lambda template, **values: translate(template, language, **values)
    environment.globals["language"] = language
    environment.globals["disclaimer"] = DISCLAIMER[language.value]
    environment.globals["pictures"] = [
        (picture.name, translate(picture.title, language), base64.b64encode(picture.png).decode("ascii"))
        for picture in pictures
    ]
    environment.filters["figure"] = lambda value, form="{:.3f}": "–" if value is None else form.format(value)
    environment.filters["change"] = lambda value: f"{value:+.3f}"
    environment.filters["interval"] = _interval
    environment.filters["say"] = lambda sentence: sentence.in_language(language)
    return environment


def _interval(interval: Interval | None, form: str = "{:.3f}") -> str:
    return f"{form.format(interval.low)} … {form.format(interval.high)}" if interval else "–"
