"""Where the images of a table lie, found by listing folders once, never by opening an image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tetkik.lab.engine.paths import IMAGE_SUFFIXES, composed, files_in


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
        found = self._names(folder).get(composed(last))
        if found is None:
            first, _, deeper = folder.partition("/")
            if not first or first != self.root.name:
                return None
            folder = deeper
            found = self._names(folder).get(composed(last))
        return self.root / folder / found if found is not None else None

    def _names(self, folder: str) -> dict[str, str]:
        names = self._listed.get(folder)
        if names is None:
            names = self._listed[folder] = {composed(name): name for name in files_in(self.root / folder)}
        return names


def by_name(folders: Iterable[Path], *, stem: bool = False) -> dict[str, Path]:
    """Every image file of some folders by its name, or by the stem of it; the first folder wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for name in files_in(folder):
            plain = PurePosixPath(name)
            if plain.suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(plain.stem if stem else name, folder / name)
    return found
