"""The tables that the cleaning writes: in a folder of their own until all of them are whole."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tetkik.errors import as_fault_of

HEADERS = {
    "clean": ("text", "label", "group", "source", "row"),
    "rejected": ("source", "row", "reason", "label", "text"),
    "adverts": ("source", "row", "text"),
    "conflicts": (
        "group", "similarity",
        "label_a", "text_a", "source_a", "row_a", "label_b", "text_b", "source_b", "row_b",
    ),
    "suspects": ("label", "suggested", "p_label", "p_suggested", "group", "text", "source", "row"),
}  # fmt: skip
"""The tables of a cleaning, each `NAME.csv`, and their columns."""


class Tables:
    """Every table of one cleaning, being written in the folder `stage`."""

    def __init__(self, stage: Path, files: ExitStack) -> None:
        self.stage = stage
        self._writers = {}
        for name, header in HEADERS.items():
            file = (stage / f"{name}.csv").open("w", encoding="utf-8", errors="backslashreplace", newline="")
            self._writers[name] = csv.writer(files.enter_context(file), lineterminator="\n")
            self.write(name, *header)

    def write(self, name: str, *cells: object) -> None:
        self._writers[name].writerow(cells)


@contextmanager
def tables(out: Path, report: Path) -> Iterator[Tables]:
    """Open every table; they reach `out` and the folder `report` only where the block ends well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    report.parent.mkdir(parents=True, exist_ok=True)
    with as_fault_of(report):
        stage = Path(mkdtemp(prefix=f".{report.name}.", dir=report.parent))
    try:
        with ExitStack() as files:
            yield Tables(stage, files)
        report.mkdir(exist_ok=True)
        partial = out.with_name(f".{out.name}.partial")
        shutil.move(stage / "clean.csv", partial)
        for file in stage.iterdir():
            file.replace(report / file.name)
        partial.replace(out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
