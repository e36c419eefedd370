"""Every error that Tetkik raises on purpose.

    TetkikError
     ├── UsageError            the command or the call itself is wrong
     │    ├── MissingExtra          an optional package is not installed
     │    ├── PermissionNeeded      something that needs the user's explicit word
     │    └── SettingError          a setting has an impossible value
     ├── InputError            one input (a file, a text) cannot be used
     │    └── DataError             a table: its columns, labels or rows
     ├── BundleError           a model bundle
     │    ├── BundleNotFound        no bundle of that name or path
     │    ├── BundleCorrupt         truncated, altered, or not a bundle at all
     │    └── BundleMismatch        a sound bundle, for another task or version
     ├── TrainingError         training cannot go on
     ├── RecordsError          the database, the file store or what is sealed in them
     │    ├── Unavailable           the database or the storage does not answer now
     │    ├── NotFound              no such case, image, report
     │    └── Conflict              somebody else was faster, or the state does not allow it
     ├── AccessError           who asks, and whether they may
     │    ├── NotSignedIn           nobody is signed in, or the session is over or locked
     │    ├── Forbidden             the role does not allow it
     │    └── TooManyRequests       too often, or too much at once
     └── OutputError           a result cannot be written

Each is one sentence: the input, the fault, the remedy. The sentence is a template with its values, so that
the command line can say it in Turkish (`in_language`). Patient text never goes into an error.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self

from tetkik.language import Language, translate


class TetkikError(Exception):
    """The root: catch this to catch everything that Tetkik raises on purpose.

    The template is one English sentence with `str.format` fields: the input, the fault, the remedy. The
    values stand in its fields, and are never the words of a patient.
    """

    exit_status: ClassVar[int] = 1
    field = ""
    """The field of a form that is at fault; empty for none."""

    def __init__(self, template: str, **values: object) -> None:
        self.template = template
        self.values = values
        super().__init__(translate(template, Language.EN, **values))

    def at(self, field: str) -> Self:
        """The same error, at a field of a form."""
        self.field = field
        return self

    def in_language(self, language: Language) -> str:
        return translate(self.template, language, **self.values)


class UsageError(TetkikError):
    """The command or the call itself is wrong."""

    exit_status = 2


class PermissionNeeded(UsageError):
    """Something that needs the user's explicit word, such as crawling a site."""


class SettingError(UsageError):
    """A setting has an impossible value."""


class MissingExtra(UsageError):
    """An optional package is not installed; the field `extra` says how to install it from a checkout."""

    def __init__(self, template: str, *, extra: str = "", **values: object) -> None:
        super().__init__(template, **({"extra": install_line(extra)} if extra else {}), **values)


def install_line(extra: str) -> str:
    """What installs a group of packages, in a checkout: Tetkik is on no index."""
    return f"pip install '.[{extra}]'"


class InputError(TetkikError):
    """One input (a file, a text) cannot be used."""


class DataError(InputError):
    """A table cannot be used: its columns, labels or rows."""


class BundleError(TetkikError):
    """A model bundle cannot be used."""


class BundleNotFound(BundleError):
    """No bundle of that name or path."""

    exit_status = 2


class BundleCorrupt(BundleError):
    """A bundle is truncated, altered, or not a bundle at all."""


class BundleMismatch(BundleError):
    """A sound bundle for another task, or from a newer version."""


class TrainingError(TetkikError):
    """Training cannot go on."""


class RecordsError(TetkikError):
    """The database, the file store, or what is sealed in them."""


class Unavailable(RecordsError):
    """The database or the object storage does not answer, has no room or refuses; later it may succeed."""


class NotFound(RecordsError):
    """No such case, image, report; or none that this person may know of."""


class Conflict(RecordsError):
    """Somebody else was faster, or the state of a thing does not allow it."""


class AccessError(TetkikError):
    """Who asks, and whether they may."""


class NotSignedIn(AccessError):
    """Nobody is signed in, or the session is over or locked."""


class Forbidden(AccessError):
    """The role does not allow it."""


class TooManyRequests(AccessError):
    """Too often, or too much at once."""


class OutputError(TetkikError):
    """A result cannot be written (a full disk, a folder without permission)."""


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the operating system says of a full disk."""


@contextmanager
def as_fault_of(target: Path) -> Iterator[None]:
    """Let an error of the operating system name `target`, where its own file means nothing to the user."""
    try:
        yield
    except OSError as error:
        error.filename = str(target)
        raise


def file_fault(error: OSError) -> TetkikError:
    """One sentence for what the operating system refused."""
    file = error.filename
    if error.errno in NO_ROOM:
        if not file:
            return OutputError("The disk is full; free some space and run the command again.")
        return OutputError("The disk is full ({file}); free some space and run the command again.", file=file)
    file = file or "?"
    if error.errno == errno.EROFS:
        return OutputError(
            "{file} cannot be written: the disk is read-only; choose another place.", file=file
        )
    if isinstance(error, PermissionError):
        return InputError(
            "There is no permission for {file}; choose another place or change the permission.", file=file
        )
    if isinstance(error, FileNotFoundError):
        return InputError("There is no file {file}; check the path.", file=file)
    if isinstance(error, IsADirectoryError):
        return InputError("{file} is a folder, and a file is needed; name the file.", file=file)
    if isinstance(error, NotADirectoryError | FileExistsError):
        return InputError(
            "{file} would have to be a folder, and it or what it lies in is a file; choose another place.",
            file=file,
        )
    return InputError(
        "{file} cannot be used ({fault}); check it and run the command again.",
        file=file,
        fault=error.strerror or type(error).__name__,
    )
