"""What every command shares: the language, the printing, the progress, the ending on an error."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tetkik.errors import SettingError, TetkikError
from tetkik.language import Language, translate
from tetkik.settings import settings
from tetkik.values import ProgressCallback

# No markup: `[4]` or `:heart:` in a file name or a complaint is meant as it stands.
out = Console(highlight=False, markup=False, emoji=False)
"""For what the user asked for."""
err = Console(stderr=True, highlight=False, markup=False, emoji=False)
"""For progress, warnings and errors, so that a pipe gets the result alone."""


def language() -> Language:
    """The language of messages; English where the settings themselves are broken."""
    try:
        return settings().language
    except SettingError:
        return Language.EN


def t(template: str, **values: object) -> str:
    """`template` (an English sentence) in the user's language, filled."""
    return translate(template, language(), **values)


def warn(template: str, **values: object) -> None:
    """One line on standard error that asks for attention."""
    err.print(t(template, **values), style="yellow", soft_wrap=True)


def note(template: str, **values: object) -> None:
    """One quiet line on standard error."""
    err.print(t(template, **values), style="dim", soft_wrap=True)


def show_error(error: TetkikError) -> None:
    """The error's sentence on standard error, in the user's language."""
    err.print(error.in_language(language()), style="red", soft_wrap=True)


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
        err.print(_fault_of_file(error), style="red", soft_wrap=True)
        raise SystemExit(1) from None


def _fault_of_file(error: OSError) -> str:
    """One sentence for what the operating system refused."""
    file = error.filename or "?"
    if error.errno == errno.ENOSPC:
        return t("The disk is full ({file}); free some space and run the command again.", file=file)
    if isinstance(error, PermissionError):
        return t(
            "There is no permission for {file}; choose another place or change the permission.", file=file
        )
    if isinstance(error, FileNotFoundError):
        return t("There is no file {file}; check the path.", file=file)
    if isinstance(error, IsADirectoryError):
        return t("{file} is a folder, and a file is needed; name the file.", file=file)
    return t(
        "{file} cannot be used ({fault}); check it and run the command again.",
        file=file,
        fault=error.strerror or type(error).__name__,
    )


@contextmanager
def progress(label: str) -> Iterator[ProgressCallback]:
    """A progress bar on a terminal; when piped, a line now and then.

    Args:
        label: name of the work, which opens each line.

    Yields:
        A function of (step's name, done, total or None) that the work calls as it goes.
    """
    if err.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=err) as bar:
            yield _bars(bar)
    else:
        yield _lines(label)


def _bars(bar: Progress) -> ProgressCallback:
    tasks: dict[str, TaskID] = {}

    def draw(step: str, done: int, total: int | None) -> None:
        if step not in tasks:
            tasks[step] = bar.add_task(step, total=total)
        bar.update(tasks[step], completed=done, total=total)

    return draw


def _lines(label: str) -> ProgressCallback:
    """A line at each tenth; where the total is unknown, at 1, 2, 5, 10, 20, 50 and so on."""
    said: dict[str, int] = {}

    def line(step: str, done: int, total: int | None) -> None:
        mark = 10 * done // total if total else _round_below(done)
        if said.get(step) != mark:
            said[step] = mark
            err.print(f"{label}: {step} {done}" + (f"/{total}" if total else ""), soft_wrap=True)

    return line


def _round_below(count: int) -> int:
    """The greatest of 1, 2, 5, 10, 20, 50, … that is not above `count`; 0 for 0."""
    if count < 1:
        return 0
    power: int = 10 ** (len(str(count)) - 1)
    return max(step * power for step in (1, 2, 5) if step * power <= count)
