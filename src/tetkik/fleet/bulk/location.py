"""Where inputs lie: a folder or a file of this machine, or of S3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from tetkik.errors import InputError, TetkikError, UsageError, file_fault
from tetkik.imaging.limits import check_bytes, read_file
from tetkik.settings import settings

_S3 = "s3://"


@dataclass(frozen=True, slots=True)
class Location:
    """An absolute path of this machine, or `s3://bucket/key` with what `pyarrow.fs` takes behind a `?`."""

    address: str

    @classmethod
    def of(cls, text: str) -> Location:
        """The location that somebody wrote.

        Raises:
            UsageError: an address of another kind, or with a password in it.
        """
        if not text.startswith(_S3):
            if "://" in text:
                raise UsageError("{input} is neither a path nor an address s3://…; give one.", input=text)
            return cls(str(Path(text).expanduser().resolve()))
        if "@" in urlsplit(text).netloc:
            raise UsageError(
                "The address of the bucket holds a password; leave it out and set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY in the environment."
            )
        return cls(text)

    @property
    def is_local(self) -> bool:
        return not self.address.startswith(_S3)

    def folder(self) -> Location:
        """Where the paths in a table start: beside it."""
        if self.is_local:
            return Location(str(Path(self.address).parent))
        path, mark, options = self.address.partition("?")
        return Location(f"{path.rpartition('/')[0]}{mark}{options}")

    def open(self) -> Storage:
        """The files there.

        Raises:
            InputError: the storage cannot be reached.
        """
        if self.is_local:
            return Storage(fs.LocalFileSystem(), self.address, local=True)
        try:
            system, path = fs.FileSystem.from_uri(self.address)
        except (pa.ArrowException, OSError, ValueError):
            raise unreachable(self.address) from None
        return Storage(system, path, local=False)


@dataclass(frozen=True, slots=True)
class Storage:
    """Files below `root`; a file is named by its path below it, or by "" where `root` is the file itself."""

    system: Any
    root: str
    local: bool

    def path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    def kind(self) -> Any:
        """The `pyarrow.fs.FileType` of the root."""
        return self.system.get_file_info(self.root).type

    def walk(self, name: str = "") -> Iterator[str]:
        """Every file, folder by folder in order of names; hidden ones and links to folders are left out."""
        found = self.system.get_file_info(fs.FileSelector(self.path(name)))
        for info in sorted(found, key=lambda info: info.base_name):
            inner = f"{name}/{info.base_name}".lstrip("/")
            if info.base_name.startswith("."):
                continue
            if info.type == fs.FileType.Directory:
                if not (self.local and Path(info.path).is_symlink()):
                    yield from self.walk(inner)
            elif info.type == fs.FileType.File:
                yield inner

    def stream(self, name: str) -> Any:
        return self.system.open_input_stream(self.path(name))

    def random_access(self, name: str) -> Any:
        return self.system.open_input_file(self.path(name))

    def read(self, name: str, shown: str) -> bytes | TetkikError:
        """A file's content, or what is wrong with it; errors call it `shown`.

        Raises:
            InputError: S3 or a network folder does not answer, which is no file's fault.
        """
        try:
            if self.local:
                return read_file(Path(self.path(name)))
            with self.stream(name) as file:
                data: bytes = file.read(settings().max_image_bytes + 1)
            check_bytes(len(data), shown)
        except TetkikError as error:
            if self.local and not _answers(Path(self.root)):
                raise unreachable(self.root) from None
            return type(error)(error.template, **{**error.values, "file": shown})
        except FileNotFoundError as error:
            error.filename = shown
            return file_fault(error)
        except OSError:
            raise unreachable(f"{_S3}{self.root}") from None
        return data


def _answers(root: Path) -> bool:
    """Whether a folder, or that of a file, can be listed: of a server that is gone it cannot."""
    try:
        with os.scandir(root if root.is_dir() else root.parent) as found:
            next(found, None)
    except OSError:
        return False
    return True


def unreachable(address: str) -> InputError:
    return InputError(
        "{input} cannot be reached; check the address, the network and the credentials, and run the command "
        "again: what was written is kept.",
        input=address.partition("?")[0],
    )
