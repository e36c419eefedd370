"""Names of image files as tables and archives write them, and folders that are listed once."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"})
"""What counts as an image by its name, in lower case; a DICOM file without a suffix is named in a table."""

_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*")
"""Names that need no second look: nearly all."""


def inside(name: str) -> str | None:
    """A relative path as a table writes it, with `/`; None for one that leads out of its folder.

    Absolute paths, drives, `..` and control characters are refused; backslashes are those of Windows.
    """
    if _PLAIN.fullmatch(name):
        return name
    plain = name.replace("\\", "/")
    if not plain or plain.startswith("/") or plain[1:2] == ":" or not plain.isprintable():
        return None
    parts = plain.split("/")
    if ".." in parts:
        return None
    return "/".join(part for part in parts if part not in {"", "."}) or None


def files_in(folder: Path) -> list[str]:
    """The names of the files in a folder, sorted; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)
