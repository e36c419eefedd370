"""Where the images of a table lie, found by listing folders once, never by opening an image."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

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


class ImageFolder:
    """The files under one folder; each folder within is listed once, when first asked for.

    Args:
        check: whether a file must exist; False believes every name, for a table without its images.
    """

    def __init__(self, root: Path, *, check: bool = True) -> None:
        self.root = root
        self.check = check
        self._listed: dict[str, dict[str, str]] = {}

    def find(self, name: str) -> Path | None:
        """The file of that relative name (see `inside`), or None where there is none.

        Where the table's names begin with the folder's own name (`images/1.png` in the folder `images`),
        the file is found all the same. Letters composed and decomposed (ğ) are one.
        """
        if not self.check:
            return self.root / name
        folder, _, last = name.rpartition("/")
        found = self._names(folder).get(_composed(last))
        if found is None:
            first, _, deeper = folder.partition("/")
            if not first or first != self.root.name:
                return None
            folder = deeper
            found = self._names(folder).get(_composed(last))
        return self.root / folder / found if found is not None else None

    def _names(self, folder: str) -> dict[str, str]:
        names = self._listed.get(folder)
        if names is None:
            names = self._listed[folder] = {_composed(name): name for name in files_in(self.root / folder)}
        return names


def files_in(folder: Path) -> list[str]:
    """The names of the files in a folder, sorted; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def by_name(folders: Iterable[Path], *, stem: bool = False) -> dict[str, Path]:
    """Every image file of some folders by its name, or by the stem of it; the first folder wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for name in files_in(folder):
            plain = PurePosixPath(name)
            if plain.suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(plain.stem if stem else name, folder / name)
    return found


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)
