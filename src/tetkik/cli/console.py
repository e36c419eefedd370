"""What every command shares: the language, the printing, the progress, the ending on an error."""

from __future__ import annotations

import json
import os
import sys
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from tetkik.errors import SettingError, TetkikError, file_fault
from tetkik.language import Language, Sentence, system_language, translate
from tetkik.settings import settings
from tetkik.values import ProgressCallback, StepName

_NARROWEST = 16
_MANY = 16
"""Fewer than these are done before a speed means anything."""
T = TypeVar("T")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def _width() -> int | None:
    """80 where `COLUMNS` leaves no room for a word; None leaves the terminal's own width."""
    value = os.environ.get("COLUMNS", "")
    return 80 if value.isdecimal() and int(value) < _NARROWEST else None


_first = os.environ.get("RANK", "0") == "0"
# No markup: `[4]` or `:heart:` in a file name or a complaint is meant as it stands.
out = Console(highlight=False, markup=False, emoji=False, width=_width(), quiet=not _first)
"""For what the user asked for; of several processes under torchrun the first one prints it."""
err = Console(stderr=True, highlight=False, markup=False, emoji=False, width=_width())
"""For progress, warnings and errors, so that a pipe gets the result alone."""


def language() -> Language:
    """The language of messages; where the settings themselves are broken, as far as it can be known."""
    try:
        return settings().language
    except SettingError:
        value = os.environ.get("TETKIK_LANGUAGE", "")
        return Language(value) if value in list(Language) else system_language()


def shown(value: object, keep: str = "") -> str:
    """`value` for a terminal: what would command it or hide in it is shown as \ufffd, but for `keep`.

    Control characters (terminal escapes, line ends) and format characters (bidi overrides: Unicode
    Technical Report 36).
    """
    return "".join(
        "\ufffd" if unicodedata.category(char) in _INVISIBLE and char not in keep else char
        for char in str(value)
    )


def t(template: str, **values: object) -> str:
    """`template` (an English sentence) in the user's language, filled."""
    safe = {name: shown(value) if isinstance(value, str | Path) else value for name, value in values.items()}
    return translate(template, language(), **safe)


@cache
def words(table: str) -> dict[str, str]:
    """A table of `words.toml`: what things are called, in English, in its order."""
    found = tomllib.loads(resources.files("tetkik.cli").joinpath("words.toml").read_text("utf-8"))
    names: dict[str, str] = found[table]
    return names


def word(table: str, key: str) -> str:
    """What a thing is called in the user's language."""
    return t(words(table)[key])


def print_line(template: str, **values: object) -> None:
    """One line of what the user asked for."""
    out.print(t(template, **values), soft_wrap=True)


def warn(template: str, **values: object) -> None:
    """One line on standard error that asks for attention."""
    err.print(t(template, **values), style="yellow", soft_wrap=True)


def note(template: str, **values: object) -> None:
    """One quiet line on standard error."""
    err.print(t(template, **values), style="dim", soft_wrap=True)


def show_notice(sentence: Sentence) -> None:
    err.print(shown(sentence.in_language(language())), style="dim", soft_wrap=True)


def show_error(error: TetkikError) -> None:
    err.print(shown(error.in_language(language())), style="red", soft_wrap=True)


def show_failure(error: TetkikError, *, as_json: bool, **about: str | None) -> None:
    """The error of one input, in the place of its answer."""
    if as_json:
        print_json_line({**about, "error": error.in_language(language())})
    else:
        show_error(error)


def for_each(items: Iterable[T], work: Callable[[T], None]) -> None:
    """Do the work for each; a failure costs that one alone, and the exit status is then 1."""
    failed = False
    for item in items:
        try:
            work(item)
        except (TetkikError, OSError) as error:
            failed = True
            show_error(error if isinstance(error, TetkikError) else file_fault(error))
    if failed:
        raise typer.Exit(1)


def print_json_line(answer: Mapping[str, Any]) -> None:
    line = json.dumps(answer, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        # A file name that is not UTF-8: escaped, so that a reader gets back the very name.
        line = json.dumps(answer)
    typer.echo(line)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn every expected failure into one sentence and an exit status, never a traceback."""
    try:
        yield
    except TetkikError as error:
        show_error(error)
        raise SystemExit(error.exit_status) from None
    except KeyboardInterrupt:
        warn("Stopped.")
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of the pipe has gone (`| head`): nothing more to say, and nothing to say it to. What is
        # still buffered goes nowhere, or Python would complain of it on its way out.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        show_error(file_fault(error))
        raise SystemExit(1) from None


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Name `target` in an error of the operating system that names no file, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(target)
        raise


class _Speed(ProgressColumn):
    """How many are done in a second; empty until that is known, and where there are only a few."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        many = task.total is not None and task.total >= _MANY
        return Text(f"{speed:.1f}/s" if speed and many else "", style="progress.data.speed")


@contextmanager
def progress(label: str, *, speed: bool = False) -> Iterator[ProgressCallback]:
    """A progress bar on a terminal, with `speed` how many a second; when piped, a line now and then.

    Steps are named in English, and shown in the user's language.
    """
    if err.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            *((_Speed(),) if speed else ()),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=err) as bar:
            yield _bars(bar)
    else:
        yield _lines(label)


def _bars(bar: Progress) -> ProgressCallback:
    tasks: dict[str, TaskID] = {}

    def draw(step: str, done: int, total: int | None) -> None:
        step, note = t(step), _note(step)
        if step not in tasks:
            tasks[step] = bar.add_task(step, total=total, note="")
        bar.update(tasks[step], completed=done, total=total, note=note)

    return draw


def _note(step: str) -> str:
    """What else is known of a step, such as its loss."""
    return step.note.in_language(language()) if isinstance(step, StepName) and step.note else ""


def _lines(label: str) -> ProgressCallback:
    """A line at each tenth; where the total is unknown, at 1, 2, 5, 10, 20, 50 and so on."""
    printed: dict[str, int] = {}

    def line(step: str, done: int, total: int | None) -> None:
        step, note = t(step), _note(step)
        mark = 10 * done // total if total else _round_below(done)
        if printed.get(step) != mark:
            printed[step] = mark
            err.print(
                f"{label}: {step} {done}" + (f"/{total}" if total else "") + (note and f" {note}"),
                soft_wrap=True,
            )

    return line


def _round_below(count: int) -> int:
    """The greatest of 1, 2, 5, 10, 20, 50, … that is not above `count`; 0 for 0."""
    if count < 1:
        return 0
    power: int = 10 ** (len(str(count)) - 1)
    return max(step * power for step in (1, 2, 5) if step * power <= count)
