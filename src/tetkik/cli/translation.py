"""The command line's own words: help pages and wrong usage, in the user's language.

Typer's words are English and it gives a wrong usage four lines. Here a help page gets its headings in the
user's language, and a wrong usage becomes one sentence with the remedy.
"""

from __future__ import annotations

import re
import sys
import textwrap
from difflib import get_close_matches
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tetkik.cli.console import one_sentence, out, t
from tetkik.errors import SettingError, UsageError

# Click's UsageError: the class that every fault of a command line descends from. Newer typers carry their own
# copy of Click, so it is taken from the family of a class that all of them export.
_UsageFault: type[Exception] = typer.BadParameter.__mro__[1]

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


# What Typer says of a value or an option, and how we say it.
_FAULTS = (
    (r"Input should be a valid integer.*|.* is not a valid int.*", "a whole number is needed"),
    (r"Input should be a valid number.*|.* is not a valid float.*", "a number is needed"),
    (r"Input should be a valid boolean.*", "true or false is needed"),
    (r"Extra inputs are not permitted", "there is no such setting"),
    (r"Input should be greater than or equal to (?P<least>\S+)", "the least is {least}"),
    (r"Input should be less than or equal to (?P<most>\S+)", "the most is {most}"),
    (r"Input should be (?P<names>'.*)|.*is not one of (?P<others>'.*)", "choose from {names}"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((?P<words>.*)\)", "not expected: {words}"),
    (r"Option '(?P<option>.*)' requires an argument", "{option} needs a value"),
    (r"Option '(?P<option>.*)' does not take a value", "{option} takes no value"),
)


def translate_help(help_page: str) -> str:
    """`help_page` with Typer's own words in the user's language; an unknown word stays as it is."""
    for word in _HELP_WORDS:
        if (said := t(word)) != word:
            # A long sentence may stand on several lines, each indented as the first.
            spread = re.escape(word).replace(r"\ ", r"\s+")
            help_page = re.sub(spread, partial(_wrapped, said), help_page)
    return help_page


def _wrapped(said: str, found: re.Match[str]) -> str:
    _, _, last = found[0].rpartition("\n")
    indent = " " * (len(last) - len(last.lstrip())) if "\n" in found[0] else ""
    if not indent:
        return said
    return f"\n{indent}".join(textwrap.wrap(said, 78 - len(indent)))


class Command(TyperCommand):
    """A command whose help page is in the user's language."""

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return translate_help(super().get_help(ctx))


class Group(TyperGroup):
    """A group whose help page is in the user's language."""

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return translate_help(super().get_help(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` names.

        Raises:
            UsageError: none such.
        """
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
            except _UsageFault as fault:
                raise _sentence(fault) from None
            except typer.Abort:
                raise KeyboardInterrupt from None
        if standalone:
            sys.exit(status if isinstance(status, int) else 0)
        return status

    def invoke(self, ctx: Any) -> Any:
        """Run the command; here, because Typer would swallow Ctrl-C and a closed pipe further out."""
        with one_sentence():
            try:
                return super().invoke(ctx)
            except SettingError as error:
                if "fault" in error.values:
                    error.values["fault"] = _plainly(str(error.values["fault"]))
                raise


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
                fault=_plainly(fault.message),
                command=command,
            )
        case _:
            return UsageError(
                "`{command}` cannot be run like this ({fault}); see `{command} --help`.",
                command=command,
                fault=_plainly(fault.format_message()),
            )


def _plainly(message: str) -> str:
    """Typer's words for a fault as ours; what is not known stays as it is."""
    message = " ".join(message.split()).rstrip(".")
    for pattern, template in _FAULTS:
        if found := re.fullmatch(pattern, message):
            given = found.groupdict()
            if "names" in given:
                given = {"names": (given["names"] or given["others"]).replace(" or ", ", ")}
            return t(template, **given)
    return message


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
