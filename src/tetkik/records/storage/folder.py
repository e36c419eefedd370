"""Sealed files in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, ClassVar, Final, Protocol

from tetkik.errors import Unavailable
from tetkik.files import written_whole

# What the file store asks of the place where its sealed files lie; no clear byte reaches it.


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


class FolderStorage:
    """Files in `folder`; until one is whole it lies in `temporary`, on the same disk."""

    asks_first: ClassVar[bool] = True

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder, self._temporary = folder, temporary
        for needed in (folder, temporary):
            needed.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        target = self.path(name)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        part = self._temporary / f"{name}.{os.getpid()}.{os.urandom(4).hex()}.part"
        with written_whole(target, part, 0o600) as file:
            yield file

    @contextmanager
    def read(self, name: str) -> Iterator[tuple[IO[bytes], int]]:
        with self.path(name).open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size

    def modified(self, name: str) -> float | None:
        try:
            return self.path(name).stat().st_mtime
        except FileNotFoundError:
            return None

    def touch(self, name: str) -> bool:
        try:
            os.utime(self.path(name))
        except FileNotFoundError:
            return False
        return True

    def remove(self, name: str, before: float = NEVER) -> None:
        if before == NEVER or ((modified := self.modified(name)) is not None and modified < before):
            self.path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        for path in self._folder.glob("??/*"):
            yield path.name

    def mark(self) -> str | None:
        try:
            return (self._folder / MARK).read_text("utf-8")
        except FileNotFoundError:
            return None

    def set_mark(self, installation: str) -> None:
        part = self._temporary / f"{MARK}.{os.getpid()}.{os.urandom(4).hex()}.part"
        with written_whole(self._folder / MARK, part, 0o600) as file:
            file.write(installation.encode())

    def path(self, name: str) -> Path:
        """Where a file lies."""
        return self._folder / path_of(name)
