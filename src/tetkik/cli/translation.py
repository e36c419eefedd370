"""The command line's own words: help pages and wrong usage, in the user's language.

Typer's words are English and it gives a wrong usage four lines. Here a help page gets its headings in the
user's language, and a wrong usage becomes one sentence with the remedy.
"""

from __future__ import annotations

import re
import sys
import textwrap
from difflib import get_close_matches
from enum import Enum
from functools import partial
from typing import Any, get_args

import typer
from pydantic import ValidationError
from typer.core import TyperCommand, TyperGroup

from tetkik.cli.console import one_sentence, out, t
from tetkik.errors import UsageError
from tetkik.language import Sentence
from tetkik.settings import validation_fault

# Click's UsageError: the class that every fault of a command line descends from. Newer typers carry their own
# copy of Click, so it is taken from the family of a class that all of them export.
UsageFault: type[Exception] = typer.BadParameter.__mro__[1]

_HELP_WORDS = (
    "Usage:",
    "Options:",
    "Arguments:",
    "Commands:",
    "[OPTIONS]",
    "COMMAND [ARGS]...",
    "required]",
    "[default:",
    "Show this message and exit.",
    "Install completion for the current shell.",
    "Show completion for the current shell, to copy it or customize the installation.",
)


def translate_help(help_page: str) -> str:
    """`help_page` with Typer's own words in the user's language; an unknown word stays as it is."""
    for word in _HELP_WORDS:
        if (turkish := t(word)) != word:
            # A long sentence may stand on several lines, each indented as the first.
            spread = re.escape(word).replace(r"\ ", r"\s+")
            help_page = re.sub(spread, partial(_wrapped, turkish), help_page)
    return help_page


def _wrapped(turkish: str, found: re.Match[str]) -> str:
    _, _, last = found[0].rpartition("\n")
    indent = " " * (len(last) - len(last.lstrip())) if "\n" in found[0] else ""
    if not indent:
        return turkish
    return f"\n{indent}".join(textwrap.wrap(turkish, 78 - len(indent)))


class Command(TyperCommand):
    """A command whose help page is in the user's language."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        # The command is built for each run: by now the language is known.
        for parameter in self.params:
            if text := getattr(parameter, "help", None):
                parameter.help = t(text)  # type: ignore[attr-defined]
            if parameter.default is False and all(
                name.startswith("--no-") for name in parameter.secondary_opts
            ):
                parameter.secondary_opts = []  # who wants what is off leaves it out

    def get_help(self, ctx: Any) -> str:
        return translate_help(super().get_help(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Typer refuses words too many in a sentence of its own; here they are left over and refused in ours.
        ctx.allow_extra_args = True
        try:
            left = super().parse_args(ctx, args)
        except UsageFault as fault:
            fault.ctx = ctx  # type: ignore[attr-defined] # its parser does not say which command it was
            raise
        if left and not ctx.resilient_parsing:
            raise _wrong(ctx.command_path, Sentence("not expected: {words}", {"words": " ".join(left)}))
        return left


class Group(TyperGroup):
    def get_help(self, ctx: Any) -> str:
        return translate_help(super().get_help(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not name.startswith("-"):
            near = get_close_matches(name, self.list_commands(ctx), n=1)
            if near:
                raise UsageError(
                    "There is no command {name}; did you mean `{command} {near}`?",
                    name=name,
                    command=ctx.command_path,
                    near=near[0],
                )
            raise UsageError(
                "There is no command {name}; `{command} --help` lists those there are.",
                name=name,
                command=ctx.command_path,
            )
        return super().resolve_command(ctx, args)


class Root(Group):
    """The outermost group: whatever fails within ends in one sentence."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, and leave with the exit status unless `standalone_mode` is off."""
        standalone = extra.pop("standalone_mode", True)
        with one_sentence():
            try:
                status = super().main(*args, **{**extra, "standalone_mode": False})
            except UsageFault as fault:
                raise _sentence(fault) from None
            except typer.Abort:
                raise KeyboardInterrupt from None
        if standalone:
            sys.exit(status if isinstance(status, int) else 0)
        return status

    def invoke(self, ctx: Any) -> Any:
        """Run the command; here, because Typer would swallow Ctrl-C and a closed pipe further out."""
        with one_sentence():
            return super().invoke(ctx)


def _sentence(fault: Any) -> UsageError:
    """Typer's complaint as one of ours."""
    command = fault.ctx.command_path if fault.ctx is not None else "tetkik"
    match type(fault).__name__:
        case "NoArgsIsHelpError":
            out.print(fault.format_message(), soft_wrap=True)
            raise SystemExit(2)
        case "NoSuchOption":
            return UsageError(
                "There is no option {option}; `{command} --help` lists those there are.",
                option=fault.option_name,
                command=command,
            )
        case "MissingParameter":
            return UsageError(
                "`{command}` needs {what}; see `{command} --help`.",
                command=command,
                what=_name_of(fault.param),
            )
        case "BadParameter" if fault.param is not None:
            return UsageError(
                "The value of {what} cannot be used ({fault}); see `{command} --help`.",
                what=_name_of(fault.param),
                fault=fault_of(fault),
                command=command,
            )
        case "BadOptionUsage" if fault.ctx is not None:
            named = [one for one in fault.ctx.command.params if fault.option_name in one.opts]
            if named and named[0].is_flag:
                return _wrong(command, Sentence("{option} takes no value", {"option": fault.option_name}))
            return _wrong(command, Sentence("{option} needs a value", {"option": fault.option_name}))
        case _:
            return _wrong(command, fault.format_message().rstrip("."))


def _wrong(command: str, fault: Sentence | str) -> UsageError:
    return UsageError(
        "`{command}` cannot be run like this ({fault}); see `{command} --help`.", command=command, fault=fault
    )


def fault_of(fault: Any) -> Sentence | str:
    """Why a value is refused: pydantic checks it for Typer, and its error says the kind of fault."""
    if names := _choices(fault.param.type_descriptor.annotation):
        return Sentence("choose from {names}", {"names": ", ".join(names)})
    if isinstance(fault.__cause__, ValidationError):
        return validation_fault(fault.__cause__.errors()[0])
    return str(fault.message).rstrip(".")


def _choices(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return [name for inner in get_args(annotation) for name in _choices(inner)]


def _name_of(parameter: Any) -> str:
    """What the user calls a parameter: `--out`, or the name of an argument."""
    if parameter is None:
        return "?"
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name)


def translated(app: typer.Typer) -> typer.Typer:
    """`app` with every command and group of it in the user's language."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            translated(group.typer_instance)
    return app
