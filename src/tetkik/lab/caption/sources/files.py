"""How the bytes of an image are had: from a file, out of a zip archive, or from memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from tetkik.errors import DataError
from tetkik.files import inside
from tetkik.imaging.limits import check_bytes, damaged, read_file
from tetkik.lab.engine.paths import IMAGE_SUFFIXES, files_in
from tetkik.settings import settings


@dataclass(frozen=True, slots=True)
class FileBytes:
    path: Path

    def __call__(self) -> bytes:
        """All of it.

        Raises:
            FileNotFoundError: there is no such file.
            InputError: it is no file, is empty, or has more bytes than the limit.
        """
        if not self.path.exists():
            raise FileNotFoundError(self.path)
        return read_file(self.path)


@dataclass(frozen=True, slots=True)
class ZipBytes:
    archive: Path
    member: str

    def __call__(self) -> bytes:
        """All of it; never more than the limit, whatever the archive says of its size.

        Raises:
            FileNotFoundError: the archive has no such member.
            InputError: it unpacks to more bytes than the limit, or is damaged or encrypted.
        """
        name = f"{self.archive.name}/{self.member}"
        archive = _opened(self.archive)
        try:
            entry = archive.getinfo(self.member)
        except KeyError:
            raise FileNotFoundError(name) from None
        check_bytes(entry.file_size, name)
        try:
            with archive.open(entry) as content:
                data = content.read(settings().max_image_bytes + 1)
        # Of a damaged archive zlib, lzma and zipfile each raise their own; RuntimeError asks for a password.
        except Exception:
            raise damaged(name) from None
        check_bytes(len(data), name)
        return data


@dataclass(frozen=True, slots=True, repr=False)
class HeldBytes:
    """Bytes that came with the row, as in Parquet."""

    data: bytes

    def __call__(self) -> bytes:
        return self.data


@dataclass(frozen=True, slots=True)
class NoBytes:
    """An image that the source names and does not have."""

    name: str

    def __call__(self) -> bytes:
        """Nothing.

        Raises:
            FileNotFoundError: always.
        """
        raise FileNotFoundError(self.name)


def is_missing(reader: object) -> bool:
    """Whether the source says, or the disk shows, that the image is not there; nothing is read."""
    return isinstance(reader, NoBytes) or (isinstance(reader, FileBytes) and not reader.path.exists())


Reader = FileBytes | ZipBytes | HeldBytes | NoBytes


@lru_cache(maxsize=8)
def _opened(path: Path) -> zipfile.ZipFile:
    """Kept open for as long as the process lasts: its list of members takes a second to read."""
    return open_archive(path)


def open_archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        raise DataError(
            "{path} is not a sound zip archive; fetch it again and compare its checksum.", path=path
        ) from None


class ImageFinder:
    """Finds an image by its name without an ending, in folders and zip archives that are listed once.

    Those of `folders` that do not exist are passed over.
    """

    def __init__(self, folders: Iterable[Path], archives: Iterable[Path] = ()) -> None:
        self._found: dict[str, Reader] = {}
        for folder in folders:
            for name in files_in(folder):
                if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
                    self._found.setdefault(PurePosixPath(name).stem, FileBytes(folder / name))
        for path in archives:
            with open_archive(path) as archive:
                for member in archive.namelist():
                    plain = PurePosixPath(member)
                    # Nothing is ever unpacked to disk; such a name is a trick all the same.
                    if plain.suffix.lower() in IMAGE_SUFFIXES and inside(member.strip()) is not None:
                        self._found.setdefault(plain.stem, ZipBytes(path, member))

    def __len__(self) -> int:
        return len(self._found)

    def find(self, stem: str, other: str | None = None) -> Reader | None:
        """What reads that image, or the one named `other`; None where neither is there."""
        return self._found.get(stem) or (self._found.get(other) if other else None)


def name_of(reader: Reader) -> str:
    """What messages call it: the name of the file alone, never the path of a machine."""
    match reader:
        case FileBytes(path):
            return path.name
        case ZipBytes(_, member):
            return PurePosixPath(member).name
        case NoBytes(name):
            return name
        case _:
            return ""
