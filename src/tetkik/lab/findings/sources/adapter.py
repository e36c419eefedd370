"""What the readers of all kinds of data set share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tetkik.errors import DataError
from tetkik.lab.findings.sources.label_coverage import KnownRule
from tetkik.lab.findings.sources.rows import Rows
from tetkik.lab.findings.sources.spec import SourceSpec


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are read.

    Attributes:
        check_files: whether a row's image must exist; False reads tables that came without images.
        keep_others: whether labels beyond the shared ones become columns as well.
    """

    check_files: bool = True
    keep_others: bool = False
    known: tuple[KnownRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """One kind of data set.

    Attributes:
        options: what a spec may say, with the values allowed; () allows any.
    """

    kind: str
    read: Callable[[SourceSpec, Reading], Rows]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def the_file(folder: Path, *patterns: str) -> Path:
    """The one file of a folder whose name fits the first pattern that any fits.

    Raises:
        DataError: there is none, or there are several.
    """
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
    raise DataError(
        "{folder} has no {pattern}; name the folder of the data set, or its table.",
        folder=folder,
        pattern=patterns[0],
    )
