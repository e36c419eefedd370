"""A bundle as one zip file, and back: the archive is treated as hostile."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from tetkik.bundle.store import (
    Bundle,
    builtin_folder,
    is_bundle,
    leads_outside,
    not_a_bundle,
    open_bundle,
    refuse_code,
    staged_folder,
)
from tetkik.errors import BundleCorrupt, BundleError, BundleNotFound, OutputError, as_fault_of
from tetkik.files import written_whole

ZIP = b"PK\x03\x04"
RATIO_LIMIT = 200
"""Times that an entry may grow when it is unpacked; what stays below a mebibyte may grow more."""

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    OSError,
)
"""Whatever a damaged or hostile zip makes the reader raise."""


def is_bomb(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry says that it grows beyond reason. One that lies about it is cut off where it says."""
    return entry.file_size > max(1 << 20, entry.compress_size * RATIO_LIMIT)


def is_link(entry: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(entry.external_attr >> 16)


def is_folder(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is a folder; `ZipInfo.is_dir` of older Pythons fails where it has no name at all."""
    return entry.filename.endswith("/")


_FILE_LIMIT = 2_000
_SMALL = 64 << 20
_BYTES_LIMIT = 32 << 30
# Errors of the disk, not of the archive.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


def export_bundle(bundle: Bundle, target: Path) -> Path:
    """Write `bundle` as the new zip file `target`: the same bytes for the same bundle."""
    if target.exists():
        raise OutputError("{target} exists already; choose another name.", target=target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as whole, zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ["manifest.json", *sorted(bundle.manifest.files)]:
            # A fixed date: two exports of one bundle are equal.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            file = bundle.path / name
            large = file.stat().st_size >= 1 << 30
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=large) as out:
                shutil.copyfileobj(source, out)
    return target


def import_bundle(source: Path, models_dir: Path) -> Bundle:
    """Take the bundle in the folder or zip `source` into `models_dir`, under its id.

    Raises:
        BundleNotFound: no such file.
        BundleCorrupt: not a bundle, an unsafe archive, or a hash that does not match.
        OutputError: a bundle with that id is there already.
    """
    if not source.exists():
        raise BundleNotFound("There is no file {file}; check the path.", file=source)
    if not (source.is_dir() or source.is_file()):  # a device may have no end
        raise BundleCorrupt("{path} is not a model bundle; give the folder that training wrote.", path=source)
    models_dir.mkdir(parents=True, exist_ok=True)
    # Unpacked where it is to stay: the system's folder for temporary files may be too small for a model.
    with as_fault_of(models_dir):
        unpacked = TemporaryDirectory(prefix=".import-", dir=models_dir)
    with unpacked as temporary:
        bundle = open_bundle(source) if source.is_dir() else _open_zip(source, Path(temporary))
        if is_bundle(builtin_folder() / bundle.manifest.id):
            raise OutputError(
                "{id} is the id of a built-in model, which would hide this one; train it under another id.",
                id=bundle.manifest.id,
            )
        target = models_dir / bundle.manifest.id
        if target.exists():
            raise OutputError(
                "A model called {id} is already in {folder}; remove it first.",
                id=bundle.manifest.id,
                folder=models_dir,
            )
        with staged_folder(target) as stage:
            for name in ["manifest.json", *bundle.manifest.files]:
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.path / name, stage / name)
    return open_bundle(target)


def _open_zip(source: Path, into: Path) -> Bundle:
    folder = _unpack(source, into)
    try:
        return open_bundle(folder)
    except BundleError as error:
        # The user knows the zip, not the folder in which it was unpacked.
        raise type(error)(error.template, **{**error.values, "path": source}) from None


def _unpack(source: Path, into: Path) -> Path:
    if not zipfile.is_zipfile(source):
        with source.open("rb") as file:
            if file.read(4) != ZIP:
                raise not_a_bundle(source)
        raise BundleCorrupt("{path} is a zip that breaks off before its end; fetch it again.", path=source)
    try:
        with zipfile.ZipFile(source) as archive:
            entries = [entry for entry in archive.infolist() if not is_folder(entry)]
            _refuse_unsafe(source, entries)
            left = sum(entry.file_size for entry in entries)
            for entry in entries:
                target = into / PurePosixPath(entry.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as packed, target.open("wb") as out:
                    while chunk := packed.read(1 << 20):
                        left -= len(chunk)
                        if left < 0:
                            raise BundleCorrupt(
                                "{path} unpacks to more than it says; do not use it.", path=source
                            )
                        out.write(chunk)
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        raise BundleCorrupt(
            "{path} is not a readable zip of a bundle ({fault}); fetch it again.",
            path=source,
            fault=type(error).__name__,
        ) from None
    if is_bundle(into):
        return into
    inner = [path for path in into.iterdir() if is_bundle(path)]
    if len(inner) == 1:
        return inner[0]
    raise BundleCorrupt(
        "{path} holds no manifest.json, so it is not a bundle; give the zip that export wrote.", path=source
    )


def _refuse_unsafe(source: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > _FILE_LIMIT:
        raise BundleCorrupt(
            "{path} holds more than {limit} files; do not use it.", path=source, limit=_FILE_LIMIT
        )
    for entry in entries:
        if leads_outside(entry.filename) or ":" in entry.filename:
            raise BundleCorrupt("{path} names a file outside itself; do not use it.", path=source)
        if is_link(entry):
            raise BundleCorrupt("{path} holds a link; do not use it.", path=source)
        refuse_code(source, entry.filename)
        if is_bomb(entry):
            raise BundleCorrupt("{path} is a decompression bomb; do not use it.", path=source)
    unpacked = sum(entry.file_size for entry in entries)
    # Entries may share their packed bytes.
    if unpacked > max(_SMALL, source.stat().st_size * RATIO_LIMIT):
        raise BundleCorrupt("{path} is a decompression bomb; do not use it.", path=source)
    if unpacked > _BYTES_LIMIT:
        raise BundleCorrupt(
            "{path} unpacks to more than {limit} bytes; do not use it.", path=source, limit=_BYTES_LIMIT
        )
