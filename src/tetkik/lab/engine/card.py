"""What the model cards, manifests and logs of all trainings share."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tetkik.bundle.card import CardSection, table_cell
from tetkik.bundle.manifest import bundle_id
from tetkik.language import Language
from tetkik.settings import settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; an empty cell is a value that was not measured."""
    text = [f"| {' | '.join(map(table_cell, line))} |" for line in (columns, *rows)]
    return "\n".join([text[0], "|" + "---|" * len(columns), *text[1:]])


def read_card(package: str, **values: object) -> tuple[str, list[CardSection]]:
    """The summary and the sections of the card of a package; one without a text is left out.

    It is `card.tr.md.jinja` where the settings' language is Turkish and there is one, else `card.md.jinja`.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Markdown, in which nothing is escaped.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(str(resources.files(package))),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["form"] = format
    environment.globals["table"] = markdown_table
    names = ["card.tr.md.jinja"] if settings().language is Language.TR else []
    text = environment.select_template([*names, "card.md.jinja"]).render(**values)
    summary, *parts = map(str.strip, re.split(r"^## (.+)\n", text, flags=re.MULTILINE))
    return summary, [CardSection(*part) for part in zip(parts[::2], parts[1::2], strict=True) if part[1]]


def cell(value: object, form: str = ".4f") -> str:
    """A number of a table; empty where it was not measured."""
    return "" if value is None else format(value, form)


def today() -> str:
    """As ISO 8601, in UTC."""
    return datetime.now(UTC).date().isoformat()


def model_id(chosen: str | None, folder: Path, usual: str) -> str:
    """The id of a new model: the one chosen, else that of its folder, else the usual one."""
    return chosen or bundle_id(folder.resolve().name) or usual


def made_today(name: str, licence: str, libraries: Sequence[str]) -> dict[str, Any]:
    """What every manifest says of a new model: its id, its licence, and what it was made with and when."""
    versions = {library: importlib.metadata.version(library) for library in libraries}
    return {"id": name, "version": "1.0", "licence": licence, "libraries": versions, "created": today()}


def rows_csv(rows: Sequence[DataclassInstance], kind: type[DataclassInstance]) -> str:
    """A table as CSV, its head the fields of `kind`; an empty cell is a figure that was not measured."""

    def cell(value: object) -> str:
        return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)

    names = [item.name for item in fields(kind)]
    return (
        "\n".join([",".join(names), *(",".join(cell(getattr(row, n)) for n in names) for row in rows)]) + "\n"
    )
