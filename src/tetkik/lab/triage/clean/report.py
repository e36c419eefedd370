"""The cleaning as one HTML page: counts before and after, the label table, conflicts, suspects, pictures."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.errors import MissingExtra
from tetkik.lab.engine.evaluation_page import page_environment
from tetkik.lab.triage.clean.plots import number, pictures
from tetkik.lab.triage.clean.summary import Summary
from tetkik.language import Language

if TYPE_CHECKING:
    from jinja2 import Environment

_EXAMPLES = 15
_SHOWN_LABELS = 40
_LONGEST = 260
"""Letters of a complaint shown in an example."""


def check_report() -> None:
    """Fail before the long work where writing the page would fail after it."""
    for module, package in (("matplotlib", "matplotlib"), ("jinja2", "jinja2"), ("bs4", "beautifulsoup4")):
        if find_spec(module) is None:
            raise MissingExtra("Cleaning needs {package}; run `pip install 'tetkik[data]'`.", package=package)


def write_report(summary: Summary, path: Path, language: Language) -> None:
    """Write the page to `path`; it needs nothing beside it. Needs jinja2 and matplotlib."""
    path.write_text(render(summary, language), encoding="utf-8", errors="backslashreplace")


def render(summary: Summary, language: Language) -> str:
    return (
        _environment(language)
        .get_template("report.html.jinja")
        .render(
            s=summary,
            pictures=pictures(summary, language),
            spellings={
                label.name: [(spelled, count) for spelled, count in label.spellings if spelled != label.name]
                for label in summary.labels
            },
            empty=[label.name for label in summary.labels if not label.read],
            examples=_EXAMPLES,
            shown=_SHOWN_LABELS,
        )
    )


def _environment(language: Language) -> Environment:
    environment = page_environment("tetkik.lab.triage.clean", language)
    environment.filters["n"] = lambda value: number(value, language)
    environment.filters["share"] = lambda value, whole: f"{100 * value / whole:.1f}" if whole else "0"
    environment.filters["decimal"] = lambda text: text.replace(".", ",") if language is Language.TR else text
    environment.filters["percent"] = lambda value: (
        f"%{100 * value:.0f}" if language is Language.TR else f"{100 * value:.0f}%"
    )
    environment.filters["brief"] = lambda text: (
        text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + " …"
    )
    environment.filters["file"] = lambda source: Path(source).name
    return environment
