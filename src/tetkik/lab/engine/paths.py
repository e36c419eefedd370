"""Names of image files as tables and archives write them, and folders that are listed once."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"})
"""What counts as an image by its name, in lower case; a DICOM file without a suffix is named in a table."""


def files_in(folder: Path) -> list[str]:
    """The names of the files in a folder, sorted; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)
