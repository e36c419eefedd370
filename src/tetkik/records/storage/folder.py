"""Sealed files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar

from tetkik.files import written_whole
from tetkik.records.storage.base import MARK, NEVER, path_of


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
