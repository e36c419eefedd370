"""Options that several commands have, and commands whose options an options class declares.

Modules are imported before the language is known, so a help text is marked here and translated when the
command is built (`translation.Command`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, time
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from pydantic.fields import FieldInfo
from typer.models import ArgumentInfo, OptionInfo

from tetkik.bundle import bundle_id
from tetkik.choices import Device
from tetkik.errors import UsageError
from tetkik.lab.engine.options import LearnedTreatment, bounds_of


def option(text: str, *names: str, **more: Any) -> OptionInfo:
    """An option with its help; without names it is called like its parameter.

    A switch that is off by default has no opposite `--no-…`, unless its names say so.
    """
    made: OptionInfo = typer.Option(*names, help=text, **more)
    return made


def argument(text: str, metavar: str) -> ArgumentInfo:
    made: ArgumentInfo = typer.Argument(help=text, metavar=metavar)
    return made


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the options that an options class declares in the place of its parameter of that class.

    A field is an option by its annotation, `Annotated[int, Field(ge=1, description="…")]`; one that declares
    nothing keeps its default, as does one that a parameter of the command itself is called like.
    """
    hints: dict[str, Any] = get_type_hints(command, include_extras=True)
    classes = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in classes:
            parameters += (one for one in _declared(classes[name]) if one.name not in hints)
        else:
            parameters.append(parameter.replace(annotation=hints[name]))

    @wraps(command)
    def run(*words: Any, **values: Any) -> None:
        given = {name: values.pop(name) for name in list(values) if name not in hints}
        command(*words, **values, **{name: _built(kind, given) for name, kind in classes.items()})

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _declared(options: Any) -> Iterator[inspect.Parameter]:
    """A parameter for each field of `options` that is an option, also of options classes within."""
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        kind = hints[field.name]
        info = get_args(kind)[1] if get_origin(kind) is Annotated else None
        if is_dataclass(kind):
            yield from _declared(kind)
        elif isinstance(info, FieldInfo) and info.description:
            base = get_args(kind)[0]
            several = get_origin(base) is tuple
            lowest, highest = bounds_of(info)
            names = (f"--{info.alias}",) if info.alias else ()
            made = option(info.description, *names, min=lowest, max=highest)
            yield inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if several else field.default,
                annotation=Annotated[list[str] | None if several else base, made],
            )


def _built(options: Any, given: Mapping[str, Any]) -> Any:
    """The options of the values that were given for its fields, and for those of options classes within."""
    made: dict[str, Any] = {}
    for name, kind in get_type_hints(options).items():
        if is_dataclass(kind):
            made[name] = _built(kind, given)
        elif name in given:
            made[name] = tuple(given[name] or ()) if get_origin(kind) is tuple else given[name]
    return options(**made)


TableAsJson = Annotated[bool, option("Print JSON instead of a table.", "--json")]
LinesAsJson = Annotated[bool, option("Print one JSON object a line.", "--json")]
FiguresAsJson = Annotated[bool, option("Print the figures as one JSON object.", "--json")]
AnswerAsJson = Annotated[bool, option("Print one JSON object.", "--json")]
NeededModel = Annotated[str, option("A built-in or imported id, a path, or a Hugging Face id.", "--model")]
Model = Annotated[str | None, option("A built-in or imported id, a path, or a Hugging Face id.", "--model")]
OnDevice = Annotated[
    Device | None, option("On what the network runs; without it the setting device.", "--device")
]
Replicates = Annotated[int, option("Replicates for the intervals; 0 for none.", "--bootstrap", min=0)]
LearnedRowsOption = Annotated[
    LearnedTreatment,
    option(
        "What is done with rows that the model learned: left out and counted, an error, or judged.",
        "--learned-rows",
    ),
]
EvaluationFolder = Annotated[
    Path | None, option("A folder for the pictures, metrics.json and report.html.", "--out")
]
BundleFolder = Annotated[Path, option("The folder of the bundle to write.", "--out")]
ZipFile = Annotated[Path, option("The zip file to write.", "--out")]
ModelName = Annotated[str | None, option("Name of the model; without it the folder's name.", "--id")]
CopyName = Annotated[str | None, option("Name of the new model; without it the old one.", "--id")]
Paths = Annotated[str | None, option("A text file with one path a line, or -.", "--input", metavar="FILE")]
Since = Annotated[str | None, option("From this day on: 2026-11-21.", "--from", metavar="DAY")]
Until = Annotated[str | None, option("Up to this day, it included.", "--to", metavar="DAY")]
Licence = Annotated[str, option("Licence of the weights, for the card.")]


def parse_day(text: str | None, *, end: bool = False) -> datetime | None:
    """The beginning of a day of this machine's zone, such as 2026-11-21, or its end; None for none."""
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise UsageError("{day} is not a day; write it as 2026-11-21.", day=text) from None
    return datetime.combine(day, time.max if end else time.min).astimezone().astimezone(UTC)


def check_output_folder(folder: Path, name: str | None) -> None:
    """Refuse a folder or a name that no bundle can have, before the work and not after."""
    if folder.suffix in {".zip", ".csv", ".onnx"}:
        raise UsageError("--out {path} must be a folder; leave the ending out.", path=folder)
    if name is not None and name != bundle_id(name):
        raise UsageError(
            "--id {name} is no name for a model; use letters without accents, digits, dots and dashes, at "
            "most 100.",
            name=name,
        )
