"""What holds for every zip that somebody hands in: it is taken for hostile."""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib

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
