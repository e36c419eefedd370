"""What every command shares: the language, the printing, the progress, the ending on an error."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tetkik.errors import SettingError, TetkikError
from tetkik.language import Language, translate
from tetkik.settings import settings
from tetkik.values import ProgressCallback

out = Console(highlight=False)
"""For what the user asked for."""
err = Console(stderr=True, highlight=False)
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
    err.print(t(template, **values), style="yellow", markup=False)


def note(template: str, **values: object) -> None:
    """One quiet line on standard error."""
    err.print(t(template, **values), style="dim", markup=False)


def show_error(error: TetkikError) -> None:
    """The error's sentence on standard error, in the user's language."""
    err.print(error.in_language(language()), style="red", markup=False, soft_wrap=True)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn every expected failure into one sentence and an exit status, never a traceback."""
    try:
        yield
    except TetkikError as error:
        show_error(error)
        raise SystemExit(error.exit_status) from None
    except KeyboardInterrupt:
        err.print(t("Stopped."), style="yellow")
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of the pipe has gone (`| head`): nothing more to say, and nothing to say it to.
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            reason = t("The disk is full ({file}); free some space and run the command again.", file=error.filename or "?")
        elif isinstance(error, PermissionError):
            reason = t("There is no permission for {file}; choose another place or change the permission.", file=error.filename)
        elif isinstance(error, FileNotFoundError):
            reason = t("There is no file {file}; check the path.", file=error.filename)
        elif isinstance(error, IsADirectoryError):
            reason = t("{file} is a folder, and a file is needed; name the file.", file=error.filename)
        else:
            reason = t("{file} cannot be used: {fault}.", file=error.filename or "?", fault=error.strerror or error)
        err.print(reason, style="red", markup=False, soft_wrap=True)
        raise SystemExit(1) from None


@contextmanager
def progress(label: str) -> Iterator[ProgressCallback]:
    """A progress bar on a terminal; when piped, a line at each tenth.

    Yields:
        A function of (step's name, done, total or None) that the work calls as it goes.
    """
    if err.is_terminal:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err
        ) as bar:
            tasks: dict[str, int] = {}

            def draw(step: str, done: int, total: int | None) -> None:
                if step not in tasks:
                    tasks[step] = bar.add_task(step, total=total)
                bar.update(bar.task_ids[list(tasks).index(step)], completed=done, total=total)

            yield draw
    else:
        yield _lines(label)


def _lines(label: str) -> Callable[[str, int, int | None], None]:
    said: dict[str, int] = {}

    def line(step: str, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else done // 1000
        if said.get(step) != tenth:
            said[step] = tenth
            err.print(f"{label}: {step} {done}" + (f"/{total}" if total else ""), markup=False)

    return line
