"""A page with its pictures within it, and files that are written all together or not at all."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from tetkik.drawing.style import Picture
from tetkik.errors import MissingExtra, OutputError
from tetkik.language import Language, translate
from tetkik.statistics import Interval
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE = "report.html"


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


def write_files(contents: Mapping[str, bytes], folder: Path) -> tuple[Path, ...]:
    """Write `contents`, by file name, into `folder`: all of it, or nothing.

    Files of these names are replaced; others there are left alone.

    Returns:
        The files, sorted.
    """
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


def write_page(
    folder: Path, page: str, pictures: Sequence[Picture], figures: Mapping[str, Any], table: tuple[str, str]
) -> tuple[Path, ...]:
    """Write an evaluation into `folder`: `report.html`, its pictures, `metrics.json` and one table.

    Args:
        folder: where to; an earlier evaluation there is replaced, other files are left alone.
        figures: for `metrics.json`.

    Returns:
        The files, sorted.
    """
    name, rows = table
    contents = {picture.name: picture.png for picture in pictures}
    text = json.dumps(figures, ensure_ascii=False, indent=2, allow_nan=False)
    contents |= {"metrics.json": (text + "\n").encode("utf-8"), name: rows.encode("utf-8")}
    return write_files(contents | {PAGE: page.encode("utf-8")}, folder)


def page_environment(package: str, language: Language, pictures: Sequence[Picture] = ()) -> Environment:
    """What renders the pages of `package`, which extend `page.html.jinja`. Needs jinja2.

    A page that it renders needs nothing beside it.

    Args:
        package: with the templates, such as `tetkik.findings`.
        pictures: as `pictures` in the page: (name, title, base64).
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # A label comes from a user's table and may hold anything: everything is escaped.
    environment = Environment(
        loader=FileSystemLoader([str(resources.files(name)) for name in (package, "tetkik.drawing")]),
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
