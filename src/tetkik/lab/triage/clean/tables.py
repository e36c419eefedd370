"""The tables that the cleaning writes: in a folder of their own until all of them are whole."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TextIO

from tetkik.errors import as_fault_of

CLEAN = ("text", "label", "group", "source", "row")
REJECTED = ("source", "row", "reason", "label", "text")
ADVERTS = ("source", "row", "text")
CONFLICTS = (
    "group", "similarity", "label_a", "text_a", "source_a", "row_a", "label_b", "text_b", "source_b", "row_b",
)  # fmt: skip
SUSPECTS = ("label", "suggested", "p_label", "p_suggested", "group", "text", "source", "row")


class Table:
    """A CSV file being written, with its header."""

    def __init__(self, file: TextIO, header: tuple[str, ...]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(header)

    def write(self, *cells: object) -> None:
        self._writer.writerow(cells)


@dataclass(frozen=True, slots=True)
class Tables:
    """Every table of one cleaning, and the folder in which they wait."""

    stage: Path
    clean: Table
    rejected: Table
    adverts: Table
    conflicts: Table
    suspects: Table


@contextmanager
def tables(out: Path, report: Path) -> Iterator[Tables]:
    """Open every table; they reach `out` and the folder `report` only where the block ends well.

    Raises:
        OSError: a folder cannot be made or written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    report.parent.mkdir(parents=True, exist_ok=True)
    with as_fault_of(report):
        stage = Path(mkdtemp(prefix=f".{report.name}.", dir=report.parent))
    names = {
        "clean": CLEAN,
        "rejected": REJECTED,
        "adverts": ADVERTS,
        "conflicts": CONFLICTS,
        "suspects": SUSPECTS,
    }
    try:
        with ExitStack() as stack:
            opened = {
                name: Table(
                    stack.enter_context(
                        (stage / f"{name}.csv").open(
                            "w", encoding="utf-8", errors="backslashreplace", newline=""
                        )
                    ),
                    header,
                )
                for name, header in names.items()
            }
            yield Tables(stage, **opened)
        report.mkdir(exist_ok=True)
        partial = out.with_name(f".{out.name}.partial")
        shutil.move(stage / "clean.csv", partial)
        for file in stage.iterdir():
            file.replace(report / file.name)
        partial.replace(out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
