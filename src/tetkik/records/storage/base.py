"""What the file store asks of the place where its sealed files lie; no clear byte reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import IO, ClassVar, Final, Protocol

from tetkik.errors import Unavailable

NEVER: Final = float("inf")
YOUNG = 24 * 3600
"""Seconds for which a file may lie without a row: its row is perhaps still to be written."""
MARK = "installation"
"""Where the mark lies, beside the folders of the files."""
_NAME = re.compile(r"[0-9a-f]{64}")


class NoAnswer(Unavailable):
    """The storage does not answer at all: so it will be with the next file."""


class FileStorage(Protocol):
    """Files by name. Where it cannot be asked now, all of it raises `Unavailable`."""

    asks_first: ClassVar[bool]
    """Whether asking for a file is cheaper than writing the same again."""

    def write(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to write: there whole and for good once the block ends, and not at all where it raises."""

    def read(self, name: str) -> AbstractContextManager[tuple[IO[bytes], int]]:
        """A file with its bytes; `FileNotFoundError` where there is none."""

    def modified(self, name: str) -> float | None:
        """When a file was written or touched, in seconds since 1970; None where there is none."""

    def touch(self, name: str) -> bool:
        """Whether a file is there; if so it is not older than half of `YOUNG` now."""

    def remove(self, name: str, before: float = NEVER) -> None:
        """Take a file away for good, with every version that the place keeps of it, if it is there.

        What was written or touched at `before` (seconds since 1970) or later stays.
        """

    def names(self) -> Iterator[str]:
        """The names of all files."""

    def mark(self) -> str | None:
        """Which installation removes files here; None where none said so yet."""

    def set_mark(self, installation: str) -> None:
        """Say which installation removes files here."""


def path_of(name: str) -> str:
    """Where a file lies, the same in a folder and in a bucket: files can be copied from one to the other."""
    if not name.isalnum():
        raise ValueError("not a name of the store")
    return f"{name[:2]}/{name}"


def name_of(path: str) -> str | None:
    """The file that lies at a path; None where it is none of the store's."""
    folder, _, name = path.rpartition("/")
    return name if _NAME.fullmatch(name) and folder == name[:2] else None
