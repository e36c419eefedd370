"""The file store: sealed files under names made of their content, each written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from tetkik.errors import RecordsError
from tetkik.files import written_whole
from tetkik.records.vault import PIECE, Key, Vault

_MAGIC = b"TETKIKF1"
_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below it has a name that nobody can guess


@dataclass(frozen=True, slots=True)
class StoredFile:
    name: str
    size: int
    sha256: str


class FileStore:
    def __init__(self, folder: Path, temporary: Path, vault: Vault) -> None:
        self.folder = folder
        self.temporary = temporary
        self._vault = vault
        for needed in (folder, temporary):
            needed.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, key: Key, patient_id: str, content: IO[bytes], sha256: str | None = None) -> StoredFile:
        """Keep `content`, which can be read twice, from its first byte; the same of a patient is kept once.

        The file is on the disk when this returns, before any row names it: a crash leaves at most a file that
        nobody names, which `retention.remove_orphaned_files` removes.
        """
        content.seek(0)
        if sha256 is None:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
        size = content.seek(0, os.SEEK_END)
        name = self._vault.file_name(patient_id, sha256)
        target = self.path(name)
        if not self.holds(name):  # young again: the daily sweep leaves it alone until its row is there
            content.seek(0)
            self._write(target, key, content)
        return StoredFile(name, size, sha256)

    def holds(self, name: str) -> bool:
        """Whether a file is there; it is young again, as after `put`."""
        try:
            os.utime(self.path(name))
        except FileNotFoundError:
            return False
        return True

    def get(self, key: Key, name: str) -> bytes:
        """The content of a file."""
        return b"".join(self.chunks(key, name))

    def chunks(self, key: Key, name: str) -> Iterator[bytes]:
        """The content of a file, a mebibyte at a time."""
        try:
            file = self.path(name).open("rb")
        except OSError:
            raise RecordsError(
                "A stored file is missing; restore it from a backup, and run tetkik audit verify."
            ) from None
        with file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _damaged()
            number, last = 0, False
            while not last:
                try:
                    piece, last = key.read_piece(file, name, number)
                except ValueError:
                    raise _damaged() from None
                yield piece
                number += 1

    @contextmanager
    def plain(self, key: Key, name: str) -> Iterator[Path]:
        """A file in the clear while a decoder needs its path: in memory where there is such a folder.

        On Linux the path leads to memory without a name, which goes with the process, however that ends.
        """
        place = _MEMORY if os.access(_MEMORY, os.W_OK) else self.temporary
        with TemporaryDirectory(prefix="tetkik-", dir=place) as folder:
            path = Path(folder) / "image"
            handle: int | Path = os.memfd_create("image") if sys.platform == "linux" else path
            with open(handle, "wb") as file:  # noqa: PTH123 - it may be a descriptor
                file.writelines(self.chunks(key, name))
                file.flush()
                if handle is not path:
                    path.symlink_to(f"/proc/{os.getpid()}/fd/{handle}")
                yield path

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        for path in self.folder.glob("??/*"):
            yield path.name

    def path(self, name: str) -> Path:
        """Where a file lies, sealed as it is: for a backup."""
        if not name.isalnum():
            raise ValueError("not a name of the store")
        return self.folder / name[:2] / name

    def _write(self, target: Path, key: Key, content: IO[bytes]) -> None:
        target.parent.mkdir(exist_ok=True, mode=0o700)
        part = self.temporary / f"{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part"
        with written_whole(target, part, 0o600) as file:
            file.write(_MAGIC)
            number, piece, last = 0, content.read(PIECE), False
            while not last:
                following = content.read(PIECE)
                last = not following
                key.write_piece(file, target.name, number, piece, last=last)
                number, piece = number + 1, following


def _damaged() -> RecordsError:
    return RecordsError("A stored file is damaged; restore it from a backup, and run tetkik audit verify.")
