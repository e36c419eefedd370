"""The file store: sealed files under names made of their content, in a folder or an object storage."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from tetkik.errors import RecordsError, Unavailable
from tetkik.records.storage.folder import FileStorage, NoAnswer
from tetkik.records.vault import PIECE, Key, Vault

_MAGIC = b"TETKIKF1"
_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below it has a name that nobody can guess


@dataclass(frozen=True, slots=True)
class StoredFile:
    name: str
    size: int
    sha256: str


class FileStore:
    """Seals what it hands to `storage` and opens what comes back; `temporary` is a folder of this machine."""

    def __init__(self, storage: FileStorage, temporary: Path, vault: Vault) -> None:
        self.storage = storage
        self.temporary = temporary
        self._vault = vault
        temporary.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, key: Key, patient_id: str, content: IO[bytes], sha256: str | None = None) -> StoredFile:
        """Keep `content`, which can be read twice, from its first byte; the same of a patient is kept once.

        The file is stored for good when this returns, before any row names it: a crash leaves at most a file
        that nobody names, which `retention.remove_orphaned_files` removes.
        """
        content.seek(0)
        if sha256 is None:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
        size = content.seek(0, os.SEEK_END)
        name = self._vault.file_name(patient_id, sha256)
        # Written or touched, the daily sweep leaves it alone until its row is there.
        if not (self.storage.asks_first and self.storage.touch(name)):
            content.seek(0)
            self._write(name, key, content)
        return StoredFile(name, size, sha256)

    def get(self, key: Key, name: str) -> bytes:
        """The content of a file."""
        return b"".join(self.chunks(key, name))

    def chunks(self, key: Key, name: str) -> Iterator[bytes]:
        """The content of a file, a mebibyte at a time."""
        with ExitStack() as opened:
            try:
                file, _ = opened.enter_context(self.storage.read(name))
            except OSError:
                raise RecordsError(
                    "A stored file is missing; restore it from a backup, and run tetkik audit verify."
                ) from None
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

    def remove_all(self, names: Iterable[str]) -> None:
        """Take files away that no row names any more; what cannot be removed now, the daily sweep removes."""
        with suppress(NoAnswer):  # one that is refused (Object Lock) keeps no other
            for name in names:
                try:
                    self.storage.remove(name)
                except NoAnswer:
                    raise
                except Unavailable:
                    continue

    def _write(self, name: str, key: Key, content: IO[bytes]) -> None:
        with self.storage.write(name) as file:
            file.write(_MAGIC)
            number, piece, last = 0, content.read(PIECE), False
            while not last:
                following = content.read(PIECE)
                last = not following
                key.write_piece(file, name, number, piece, last=last)
                number, piece = number + 1, following


def _damaged() -> RecordsError:
    return RecordsError("A stored file is damaged; restore it from a backup, and run tetkik audit verify.")
