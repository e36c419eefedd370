"""The tables of docs/figures.json as Markdown: those of docs/benchmarks.md, and the README's short one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docs" / "figures.json"
_MISSED = re.compile(r"\*\*(.+), missed\*\*")
_PART = re.compile(r"(?P<start><!-- figures: (?P<name>[\w-]+) -->\n).*?(?=<!-- /figures -->)", re.DOTALL)
_README = {
    "en": ("figure", "measured", "95% interval", "n"),
    "tr": ("ölçüt", "ölçülen", "%95 güven aralığı", "n"),
}

Table = Callable[[tuple[str, ...], Sequence[tuple[str, ...]]], str]


def pages(table: Table) -> dict[Path, str]:
    """Every page that has tables of figures, as it should read.

    Raises:
        KeyError: a page names a table that docs/figures.json does not have.
    """
    content = json.loads(FILE.read_text("utf-8"))
    tables = {each["id"]: _whole(table, each) for each in content["tables"]}
    tables["missed"] = _missed(table, content)
    tables |= {f"readme-{language}": _readme(table, content, language) for language in _README}
    files = [ROOT / "README.md", ROOT / "README.tr.md", ROOT / "docs" / "benchmarks.md"]
    return {
        file: _PART.sub(lambda part: part["start"] + tables[part["name"]] + "\n", file.read_text("utf-8"))
        for file in files
    }


def _whole(table: Table, content: dict[str, Any]) -> str:
    rows, before = [], ""
    for figure in content["figures"]:
        command = figure["command"] and f"`{figure['command']}`"
        cells = {**figure["values"], "command": "the same" if command and command == before else command}
        rows.append((figure["title"], *(cells.get(column, "") for column in content["columns"][1:])))
        before = command
    return table(tuple(content["columns"]), rows)


def _missed(table: Table, content: dict[str, Any]) -> str:
    rows = [
        (figure["title"], figure["values"].get("asked", ""), value, f"`{figure['command']}`")
        for each in content["tables"]
        for figure in each["figures"]
        for value in figure["values"].values()
        if _MISSED.search(value)
    ]
    return table(("figure", "asked", "reached", "command"), rows)


def _readme(table: Table, content: dict[str, Any], language: str) -> str:
    figures = {
        f"{each['id']}/{figure['id']}": figure["values"]
        for each in content["tables"]
        for figure in each["figures"]
    }
    rows = []
    for entry in content["readme"]:
        values = figures[entry["figure"]]
        reached = _MISSED.sub(lambda cell: f"**{_short(cell[1])}**", values[entry["value"]])
        cells = (
            _short(reached),
            values.get("95% interval", "").replace(" to ", "–"),
            _short(values.get("n", "")),
        )
        rows.append((entry[language], *(_localised(cell, language) for cell in cells)))
    return table(_README[language], rows)


def _short(cell: str) -> str:
    """A cell without what stands in brackets behind its figure and without what is counted."""
    return re.sub(r" reports$", "", cell.partition(" (")[0])


def _localised(cell: str, language: str) -> str:
    if language == "en":
        return cell
    cell = re.sub(r"([\d.]+)%", r"%\1", cell).translate(str.maketrans(",.", ".,"))
    return re.sub(r"(\d) s$", r"\1 sn", cell)
