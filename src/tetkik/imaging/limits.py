"""What is refused before it is read: no file, a file that is no file, too many bytes, too many pixels."""

from __future__ import annotations

import logging
import os
import stat
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

from tetkik.errors import InputError, file_fault
from tetkik.settings import settings

MOST_READS = 1_000_000
"""Pieces of one file. A multi-frame file of 2,000 frames has some 500,000; a bomb of empty elements has one
for every eight bytes."""


RATIO_LIMIT = 200
"""Times that a deflated file may grow; what stays below `_SMALL`, as black images do, may grow more."""
_SMALL = 64 << 20


class BoundedBytes(BytesIO):
    """Bytes that can be read in so many pieces only, so that a parser comes to an end in bounded time."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """As `BytesIO.read`.

        Raises:
            ValueError: read more often than any sound file needs.
        """
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many pieces")
        return super().read(size)


def read_file(path: Path) -> bytes:
    """Every byte of the file at `path`.

    Raises:
        InputError: there is none, it is a folder, a pipe or a device, it is empty, or it has more bytes than
            `max_image_bytes`.
    """
    limit = settings().max_image_bytes
    try:
        # Without O_NONBLOCK opening a pipe waits until something writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if stat.S_ISDIR(facts.st_mode):
                raise IsADirectoryError(None, None, str(path))
            if not stat.S_ISREG(facts.st_mode):
                raise InputError(
                    "{file} is a pipe or a device, and a file is needed; name the file.", file=path
                )
            check_bytes(facts.st_size, str(path))
            # A file may grow while it is read, and those of /proc say that they have no size.
            data = file.read(limit + 1)
    except OSError as error:
        error.filename = str(path)
        raise file_fault(error) from None
    except ValueError:
        raise InputError("There is no file {file}; check the path.", file=path) from None
    check_bytes(len(data), str(path))
    return data


def check_bytes(size: int, file: str) -> None:
    """Refuse more bytes than `max_image_bytes`."""
    limit = settings().max_image_bytes
    if size > limit:
        raise InputError(
            "{file} has more than {limit} bytes and is not read; raise the setting max_image_bytes if it is "
            "to be.",
            file=file,
            limit=limit,
        )


def check_pixels(rows: int, columns: int, file: str, weight: float = 1.0) -> None:
    """Refuse more pixels than `max_image_pixels`, each counted so many times."""
    limit = int(settings().max_image_pixels / weight)
    if rows * columns > limit:
        raise InputError(
            "{file} says that it has {columns} × {rows} pixels, more than the limit of {limit}; raise the "
            "setting max_image_pixels if that is right.",
            file=file,
            columns=columns,
            rows=rows,
            limit=limit,
        )


def inflate(data: bytes, file: str) -> bytes:
    """What raw deflate (RFC 1951) packed into `data`, unless it grows beyond reason."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    most = min(settings().max_image_bytes, max(_SMALL, RATIO_LIMIT * len(data)))
    try:
        content = unpacker.decompress(data, most + 1)
    except zlib.error:
        raise damaged(file) from None
    check_bytes(len(content), file)
    if len(content) > most:
        raise InputError("{file} unpacks to far more than it can hold; leave it out.", file=file)
    if not unpacker.eof:
        raise cut_short(file)
    return content


def damaged(file: str) -> InputError:
    return InputError("{file} is damaged and cannot be read; fetch or export it again.", file=file)


def cut_short(file: str) -> InputError:
    return InputError("{file} ends before its image does; fetch or export it again.", file=file)


# The libraries that read images are kept from warning about every irregularity of a file.
#
# What they warn about (a value too long, a character set that is wrong) quotes the file: patient data would
# reach logs. What matters of it is an error or a note here.


_LIBRARIES = r"(pydicom|PIL|openjpeg|jpeg_ls)(\.|$)"
_LOGGERS = ("pydicom", "openjpeg", "PIL")
_lock = threading.Lock()
_readers = 0
_silence = ExitStack()


def _is_grave(record: logging.LogRecord) -> bool:
    return record.levelno > logging.ERROR


@contextmanager
def suppress_library_warnings() -> Iterator[None]:
    """Silence the warnings and the logs of the imaging libraries, and of nothing else.

    `warnings.catch_warnings` saves and restores one list for the whole process, so that threads which enter
    and leave by turns would leave it altered: the first reader silences and the last restores.
    """
    global _readers  # noqa: PLW0603 - the filters of `warnings` are the process's, and so is their count
    with _lock:
        if _readers == 0:
            _silence.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=_LIBRARIES)
            for name in _LOGGERS:
                logger = logging.getLogger(name)
                logger.addFilter(_is_grave)
                _silence.callback(logger.removeFilter, _is_grave)
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _silence.close()
