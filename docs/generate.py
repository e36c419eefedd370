"""Write the reference pages from the code, or say with `--check` that one of them is out of date.

    python docs/generate.py [--check]

The pages are the same on every machine: the user's language and settings play no part.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

for name in [name for name in os.environ if name.startswith("TETKIK_")]:
    del os.environ[name]
os.environ["TETKIK_LANGUAGE"] = "en"

import architecture_page as architecture  # noqa: E402
import capacity  # noqa: E402
import typer  # noqa: E402
from conformance_hl7 import hl7_page  # noqa: E402
from dicom_conformance import parts as dicom_conformance  # noqa: E402
from figure_tables import pages as figure_pages  # noqa: E402
from pydantic import BaseModel  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402
from pydantic_core import PydanticUndefined  # noqa: E402
from python_api import reference as python_api  # noqa: E402
from report_words import parts as words_of_a_report  # noqa: E402

from tetkik import errors  # noqa: E402
from tetkik.bundle import (  # noqa: E402
    FORMAT_VERSION,
    REFERENCE,
    ComplaintReference,
    Histogram,
    ImageReference,
    InputReference,
    LabelReference,
    Manifest,
    Metric,
)
from tetkik.cli.app import app  # noqa: E402
from tetkik.settings import Settings  # noqa: E402

PLACE = Path(__file__).parent
FOLDER = PLACE / "reference"
_SHOWN = re.compile(r"(<!-- file: (\S+) -->\n).*?(?=<!-- /file -->)", re.DOTALL)
NOTICE = "<!-- Written by docs/generate.py from the code; change the code instead. -->"


def table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def type_name(annotation: Any) -> str:
    """A type as a reader knows it: `int`, `Path`, the members of an enum."""
    if get_origin(annotation) in {UnionType, Union}:
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is list:
        return type_name(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r"\b(?:\w+\.)+(\w)", r"\1", str(annotation))


def shown(value: object, *, flag: bool = False) -> str:
    """A default for a table, in code quotes; nothing for none."""
    if value in {None, PydanticUndefined, "", ...}:
        return ""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        value = ("on" if value else "off") if flag else str(value).lower()
    return f"`{value}`"


# The command line


@dataclass(frozen=True)
class Parameter:
    """An argument or option of a command."""

    names: str
    type: str
    default: str
    required: bool
    help: str
    is_argument: bool


def parameters(callback: Any) -> Iterator[Parameter]:
    """Every parameter of a command, in order."""
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        hint = hints[name]
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{callback.__module__}: {name} says nothing of itself; use Annotated")
        kind, info = get_args(hint)[:2]
        is_argument = isinstance(info, typer.models.ArgumentInfo)
        switch = kind is bool and parameter.default is not False  # what is off has no opposite
        names = _names(name, info, is_argument=is_argument, switch=switch)
        required = parameter.default is inspect.Parameter.empty
        default = "" if required else shown(parameter.default, flag=True)
        value = ["" if kind is bool else type_name(kind)]
        value += [f"at least {info.min}"] if info.min is not None else []
        value += [f"at most {info.max}"] if info.max is not None else []
        yield Parameter(names, ", ".join(value), default, required, info.help or "", is_argument)


def _names(name: str, info: Any, *, is_argument: bool, switch: bool) -> str:
    if is_argument:
        return f"`{info.metavar or name}`"
    # In an annotation the first name stands where a default would.
    declared = [part for part in (info.default, *(info.param_decls or ())) if isinstance(part, str)]
    if not declared:
        option = name.strip("_").replace("_", "-")
        declared = [f"--{option}/--no-{option}" if switch else f"--{option}"]
    return ", ".join(f"`{part}`" for names in declared for part in names.split("/"))


def commands(group: typer.Typer, path: str) -> Iterator[tuple[str, str, Any]]:
    """(full name, help, callback) of every command below `group`, in the order of its help page."""
    for command in group.registered_commands:
        yield f"{path} {command.name}", str(command.help), command.callback
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from commands(inner.typer_instance, f"{path} {inner.name}")


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = [
        "# The command line",
        "Exit status: 0 done; 1 some inputs failed; 2 wrong usage; 130 stopped by Ctrl-C. An error is one "
        "sentence on standard error. The language is that of the setting `language` "
        "([settings](settings.md)). `tetkik --version` prints the version; every command has `--help`; "
        "`tetkik --install-completion` teaches the current shell to complete commands, and "
        "`tetkik --show-completion` prints what it would install.",
    ]
    for name, summary, callback in commands(app, "tetkik"):
        parts += [f"## {name}", _sentences(summary, inspect.getdoc(callback) or "")]
        found = list(parameters(callback))
        usage = [item.names.replace("`", "") for item in found if item.is_argument]
        usage += [
            f"{item.names.split(',')[0].strip('`')} …"
            for item in found
            if item.required and not item.is_argument
        ]
        optional = any(not item.required and not item.is_argument for item in found)
        parts.append("```\n" + " ".join([name, *usage, *(["[OPTIONS]"] if optional else [])]) + "\n```")
        rows = [
            (item.names, item.type, "required" if item.required else item.default, item.help)
            for item in found
        ]
        if rows:
            parts.append(table(("name", "value", "default", "meaning"), rows))
    return _page(parts)


def _sentences(summary: str, more: str) -> str:
    more = " ".join(more.split("\n\n", 1)[0].split())
    return f"{summary} {more}" if more and more != summary else summary


# Settings, bundles, errors


def field_rows(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """The fields of a model, in order."""
    return list(model.model_fields.items())


def docstrings_of_fields(model: type[BaseModel]) -> dict[str, str]:
    """What stands under each field of a class, as one line."""
    (tree,) = ast.parse(inspect.getsource(model)).body
    return {
        field.target.id: " ".join(below.value.value.split())
        for field, below in pairwise(tree.body if isinstance(tree, ast.ClassDef) else ())
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def settings_page() -> str:
    """Every setting."""
    rows, helps = [], docstrings_of_fields(Settings)
    for name, field in field_rows(Settings):
        default = "from the machine" if field.default_factory else shown(field.default)
        bounds = [f"at least {limit.ge}" for limit in field.metadata if hasattr(limit, "ge")]
        bounds += [f"at most {limit.le}" for limit in field.metadata if hasattr(limit, "le")]
        value = ", ".join([type_name(field.annotation), *bounds])
        rows.append((f"`{name}`", f"`TETKIK_{name.upper()}`", value, default, helps[name]))
    return _page(
        [
            "# Settings",
            "A setting is read from its environment variable, else from `tetkik.toml` in the user's "
            "configuration folder (or from the file that `TETKIK_CONFIG` names), else it has its default. In "
            "the file a setting goes by its name:",
            '```toml\nlanguage = "tr"\nthreads = 4\n```',
            "An unknown name in the file is an error. `tetkik doctor` shows the settings in force, where "
            "each comes from, and where the file is looked for.",
            table(("name", "environment", "value", "default", "meaning"), rows),
        ]
    )


def bundle_page() -> str:
    """The manifest, field by field."""
    return _page(
        [
            "# Model bundles",
            "A model is a folder, or a zip of it, that stands alone: `manifest.json`, the weights "
            "(`model.npz`, `model.onnx` or `model.safetensors`) and `README.md`, its model card. Opening a "
            "bundle checks the SHA-256 of every file that the manifest names. No file is ever unpickled, and "
            "an import refuses kinds of file that can run code, links, paths that lead outside, and "
            "decompression bombs.",
            f"Version of the format: {FORMAT_VERSION}; a bundle of a newer one is refused with a sentence.",
            "## manifest.json",
            "Unknown keys are refused.",
            _fields(Manifest),
            "## A figure in `metrics`",
            _fields(Metric),
            f"## {REFERENCE}",
            "Optional, of findings and triage: how scores and inputs were spread on data that the model had "
            "not learned, to compare those in use with. It holds counts alone, and `files` names it as any "
            "other file.",
            "## The reference of findings",
            _fields(ImageReference),
            "## The reference of triage",
            _fields(ComplaintReference),
            "## A label in it",
            _fields(LabelReference),
            "## A route in it",
            _fields(InputReference),
            "## A histogram in it",
            _fields(Histogram),
        ]
    )


def _fields(model: type[BaseModel]) -> str:
    rows = [
        (
            f"`{name}`",
            type_name(field.annotation),
            "required" if field.is_required() else "optional",
            field.description or "",
        )
        for name, field in field_rows(model)
    ]
    return table(("key", "value", "", "meaning"), rows)


def errors_page() -> str:
    """The tree of errors."""
    tree = (errors.__doc__ or "").split("\n\n")[1]
    rows = []
    for name, error in sorted(vars(errors).items()):
        if not isinstance(error, type) or not issubclass(error, errors.TetkikError):
            continue
        first = (inspect.getdoc(error) or "").splitlines()[0]
        rows.append((f"`{name}`", f"`{error.__mro__[1].__name__}`", str(error.exit_status), first))
    return _page(
        [
            "# Errors",
            "Everything that Tetkik raises on purpose descends from `tetkik.errors.TetkikError`. Each error "
            "is one sentence: the input, the fault, the remedy; `in_language` gives it in Turkish or "
            "English. The words of a patient never stand in an error.",
            f"```\n{inspect.cleandoc(tree)}\n```",
            table(("error", "a kind of", "exit status", "meaning"), rows),
        ]
    )


def report_page() -> str:
    """Sections, evidence, faults, certainty, and the keys of a draft."""
    return _page([part if isinstance(part, str) else table(*part) for part in words_of_a_report()])


def dicom_page() -> str:
    """The DICOM conformance statement."""
    return _page([part if isinstance(part, str) else table(*part) for part in dicom_conformance()])


def _page(parts: list[str]) -> str:
    return "\n\n".join([NOTICE, *parts]) + "\n"


def architecture_pages() -> dict[Path, str]:
    """The page of the architecture with its drawing."""
    layers = architecture.layers()
    packages = [name for layer in layers for name in layer]
    page = PLACE / "architecture.md"
    text = _between(
        page.read_text("utf-8"),
        "layers",
        table(("package", "holds"), architecture.rows_of_packages(packages)),
    )
    for way in ("complaint", "dicom", "draft"):
        steps = [(str(number), *step) for number, step in enumerate(architecture.steps(way), 1)]
        text = _between(text, f"way: {way}", table(("", "step", "module"), steps))
    drawing = architecture.drawing(layers, architecture.imports(packages))
    return {page: text, PLACE / "assets" / "architecture.svg": drawing}


def python_page() -> dict[Path, str]:
    """The page of the Python API, its reference from docstrings."""
    page = PLACE / "python-api.md"
    return {page: _between(page.read_text("utf-8"), "api", python_api())}


def scale_page() -> dict[Path, str]:
    """The page of what a hospital, a group and a country take."""
    text = capacity.PAGE.read_text("utf-8")
    for mark, content in capacity.pages(table).items():
        text = _between(text, mark, content)
    return {capacity.PAGE: text}


def pages_with_files() -> dict[Path, str]:
    """The pages that show a file of deploy/ whole, between `<!-- file: NAME -->` and `<!-- /file -->`."""
    return {
        page: _SHOWN.sub(
            lambda found: f"{found[1]}```ini\n{(PLACE.parent / found[2]).read_text('utf-8')}```\n", text
        )
        for page in (PLACE / "how-to").glob("*.md")
        if _SHOWN.search(text := page.read_text("utf-8"))
    }


def _between(text: str, mark: str, content: str) -> str:
    """`text` with `content` between `<!-- mark -->` and the mark that closes it."""
    start, end = f"<!-- {mark} -->\n", f"<!-- /{mark.partition(':')[0]} -->"
    before, _, rest = text.partition(start)
    return f"{before}{start}{content}\n{end}{rest.partition(end)[2]}"


def pages() -> dict[Path, str]:
    """Every file that is written from the code or from docs/figures.json, as it should read."""
    return {
        FOLDER / "cli.md": cli_page(),
        FOLDER / "settings.md": settings_page(),
        FOLDER / "bundle.md": bundle_page(),
        FOLDER / "errors.md": errors_page(),
        FOLDER / "report.md": report_page(),
        PLACE / "conformance-hl7.md": _page([hl7_page(table)]),
        PLACE / "conformance-dicom.md": dicom_page(),
        **architecture_pages(),
        **python_page(),
        **pages_with_files(),
        **scale_page(),
        **figure_pages(table),
    }


def main() -> int:
    """Write the pages; with `--check` only compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; status 1 where a page is out of date"
    )
    check = parser.parse_args().check
    stale = []
    for file, text in pages().items():
        if not file.is_file() or file.read_text("utf-8") != text:
            stale.append(file.name)
            if not check:
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8")
    if stale and check:
        print(f"Out of date: {', '.join(stale)}; run `python docs/generate.py`.", file=sys.stderr)
        return 1
    print(f"Written: {', '.join(stale)}." if stale else "Up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
