"""Where tables and images lie, found by listing folders once, never by opening an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from tetkik.errors import DataError
from tetkik.files import inside
from tetkik.lab.engine.paths import IMAGE_SUFFIXES, composed, files_in
from tetkik.lab.findings.sources.label_coverage import KnownRule


class ImageFolder:
    """The files under one folder; each folder within is listed once, when first asked for.

    Without `check` every name is believed, for a table without its images.
    """

    def __init__(self, root: Path, *, check: bool = True) -> None:
        self.root = root
        self.check = check
        self._names = cache(lambda folder: {composed(name): name for name in files_in(root / folder)})

    def find(self, name: str) -> Path | None:
        """The file of that relative name (see `inside`), or None where there is none.

        Where the table's names begin with the folder's own name (`images/1.png` in the folder `images`),
        the file is found all the same. Letters composed and decomposed (ğ) are one.
        """
        if not self.check:
            return self.root / name
        folder, _, last = name.rpartition("/")
        first, _, deeper = folder.partition("/")
        for place in (folder, deeper) if first and first == self.root.name else (folder,):
            if (found := self._names(place).get(composed(last))) is not None:
                return self.root / place / found
        return None


def relative_names(cells: Iterable[str]) -> list[str | None]:
    """Each cell as a path inside the folder; empty where it is, None where it leads out."""
    return [inside(cell) if cell else "" for cell in cells]


def by_name(folders: Iterable[Path], *, stem: bool = False) -> dict[str, Path]:
    """Every image file of some folders by its name, or by the stem of it; the first folder wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for name in files_in(folder):
            plain = PurePosixPath(name)
            if plain.suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(plain.stem if stem else name, folder / name)
    return found


def the_file(folder: Path, *patterns: str) -> Path:
    """The one file of a folder whose name fits the first pattern that any fits."""
    for pattern in patterns:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
        # The table and its compressed copy may lie side by side.
        plain = [path for path in found if path.suffix != ".gz"] or found
        if len(plain) > 1:
            raise DataError(
                "{folder} has several tables of one kind ({names}); name one of them instead of the folder.",
                folder=folder,
                names=", ".join(path.name for path in plain)[:200],
            )
        if plain:
            return plain[0]
    raise no_table(folder, patterns[0])


def no_table(folder: Path, pattern: str) -> DataError:
    return DataError(
        "{folder} has no {pattern}; name the folder of the data set, or its table.",
        folder=folder,
        pattern=pattern,
    )


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A data set to read."""

    kind: str
    path: Path
    options: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    """How often a row of it is drawn, against 1; above 0."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are read."""

    check_files: bool = True
    """Whether a row's image must exist; False reads tables that came without images."""
    keep_others: bool = False
    """Whether labels beyond the shared ones become columns as well."""
    known: tuple[KnownRule, ...] = ()
    """What rows of a hospital's own table know, beside its own rules."""
