"""`--config FILE.yaml`: the options of a training from a file, and those of each model kept beside it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from tetkik.bundle.store import is_bundle, read_manifest
from tetkik.cli.options import option
from tetkik.cli.translation import UsageFault, fault_of
from tetkik.errors import UsageError
from tetkik.files import written_whole
from tetkik.language import Sentence

CONFIG = "config.yaml"
_NOT_KEPT = frozenset({"out", "config", "resume", "plan"})
"""Each run has its own."""


class _Context:
    """What `--config` becomes in a run: its command, which knows what each option is called."""

    def __init__(self, parameters: list[Any], command: str) -> None:
        self._parameters, self._command = parameters, command

    def write(self, values: Mapping[str, Any]) -> None:
        """Keep the options of a run beside its model, where there is one; of several processes, the first."""
        from tetkik.lab.engine.options import load_yaml

        folder = values.get("folder")
        if folder is None or values.get("plan") or os.environ.get("RANK", "0") != "0":
            return
        if not is_bundle(folder):
            return
        chosen = {key_of(one): _plain(values[one.name]) for one in self._parameters if one.name in values}
        if "revision" in chosen:  # the commit that an id of the hub was resolved to
            chosen["revision"] = read_manifest(folder).training.get("revision")
        kept = {name: one for name, one in chosen.items() if name not in _NOT_KEPT and one not in (None, [])}
        text = load_yaml().safe_dump(kept, sort_keys=False, allow_unicode=True)
        head = f"# {self._command} --config {CONFIG} --out DIR\n"
        with written_whole(folder / CONFIG) as file:
            file.write((head + text).encode())


def configurable(command: Callable[..., None]) -> Callable[..., None]:
    """A training `command` that takes `--config`; what stands on the command line counts before the file."""
    hints = get_type_hints(command, include_extras=True)
    parameters = [
        one.replace(annotation=hints[one.name]) for one in inspect.signature(command).parameters.values()
    ]
    config = inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            Path | None,
            option(
                "A YAML file with options, such as the config.yaml in a model's folder.",
                metavar="FILE",
                is_eager=True,
                callback=_read,
            ),
        ],
    )

    @wraps(command)
    def run(*words: Any, config: _Context | None = None, **values: Any) -> None:
        command(*words, **values)
        if config is not None:
            config.write(values)

    run.__signature__ = inspect.Signature([*parameters, config])  # type: ignore[attr-defined]
    run.__annotations__ = {**hints, "config": config.annotation}
    return run


def key_of(parameter: Any) -> str:
    """What a parameter is called in the file: as on the command line, without dashes before it."""
    longest: str = max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.name
    return longest.lstrip("-")


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case Path():
            return str(value)
        case list() | tuple():
            return [_plain(item) for item in value]
    return value


def _read(ctx: typer.Context, path: Path | None) -> _Context:
    """Make the values of the file the defaults of this run."""
    parameters = [one for one in ctx.command.params if one.name not in ("config", "help")]
    if path is not None:
        ctx.default_map = _defaults(ctx, path, {key_of(one): one for one in parameters})
    return _Context(parameters, ctx.command_path)


def _defaults(ctx: typer.Context, path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    from tetkik.lab.engine.options import read_yaml

    content, _ = read_yaml(path)
    if not isinstance(content, dict | None):
        raise UsageError("{path} holds no options; write one a line, such as `epochs: 5`.", path=path)
    given: dict[str, Any] = {}
    for spelling, value in (content or {}).items():
        key = str(spelling).replace("_", "-")
        if key in given:
            raise UsageError("{path} has {key} twice; leave one of them out.", path=path, key=key)
        given[key] = value
    if unknown := [key for key in given if key not in known]:
        raise UsageError(
            "{path} has {keys}, which is no option of `{command}`; see `{command} --help`.",
            path=path,
            keys=", ".join(unknown),
            command=ctx.command_path,
        )
    for key, value in given.items():
        if (fault := _fault(ctx, known[key], value)) is not None:
            raise UsageError(
                "{path}: {key} cannot be {value} ({fault}); correct it.",
                path=path,
                key=key,
                value=value,
                fault=fault,
            )
    return {known[key].name: value for key, value in given.items()}


def _fault(ctx: typer.Context, parameter: Any, value: Any) -> Sentence | str | None:
    """Why a value cannot be that of a parameter; None where it can."""
    if value is None:
        return Sentence("a value is needed")
    switch = getattr(parameter, "is_flag", False)
    if isinstance(value, bool) is not switch:
        return Sentence("true or false is needed") if switch else Sentence("true and false are for switches")
    several = isinstance(value, list) and getattr(parameter, "multiple", False)
    if any(isinstance(one, list | dict) for one in (value if several else [value])):
        return Sentence("one value is needed")
    try:
        parameter.process_value(ctx, value)
    except UsageFault as fault:
        return fault_of(fault)
    return None
