"""Images that are no chest radiograph: any folder, or one in the layout of MedPix 2.0 with its captions."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from tetkik.errors import DataError
from tetkik.lab.gate.examples import BRAIN, NOT_CHEST, OTHER, Collection

TABLE = "captions.csv"
_SLICES = frozenset({"Axial", "Coronal", "Sagittal", "Transverse"})
_PROJECTED = re.compile(
    r"scout|topogram|locali[sz]er|plain (?:film|radio)|radiograph|x-?ray|photograph|ultraso", re.IGNORECASE
)
_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm"})


def read_others(folder: Path) -> Collection:
    """The images of `folder` that are known to be no chest radiograph.

    With a `captions.csv` (columns file, concepts, caption, case; concepts such as
    `MR|MR - T2 weighted|Axial|Brain and Neuro|Head|ACR 1.3`) only cross-sections count: rows that are not
    axial, coronal, sagittal or transverse, or whose caption speaks of a scout view, a radiograph, an
    ultrasound or a photograph, are left out, since a scout view of the chest is a chest radiograph. An MR
    slice of the head under "Brain and Neuro" with the ACR code of the skull and its contents is a brain
    slice, unless it is an angiogram; any other MR of the head may be one or not.
    Without the table every image in the folder is one of its own, and is neither.

    Raises:
        DataError: there is no image, or the table lacks a column.
    """
    table = folder / TABLE
    found = _of_table(table) if table.is_file() else _of_folder(folder)
    if not len(found):
        raise DataError("{path} holds no image that could be learned from; check the path.", path=folder)
    return found


def _of_table(table: Path) -> Collection:
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"file", "concepts", "caption", "case"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(
                "{path} lacks the columns {columns}; add them, or give a folder without the table.",
                path=table,
                columns=", ".join(sorted(missing)),
            )
        rows = [(row, kind) for row in reader if (kind := _kind(row["concepts"], row["caption"])) is not None]
    cases = {case: number for number, case in enumerate(dict.fromkeys(row["case"] for row, _ in rows))}
    return Collection(
        files=tuple(table.parent / row["file"] for row, _ in rows),
        kind=tuple(kind for _, kind in rows),
        group=tuple(cases[row["case"]] for row, _ in rows),
        source=(table.parent.name,) * len(rows),
    )


def _kind(concepts: str, caption: str) -> int | None:
    words = concepts.split("|")
    if _SLICES.isdisjoint(words) or _PROJECTED.search(caption):
        return None
    if words[0] != "MR" or "Head" not in words:
        return OTHER
    brain = "Brain and Neuro" in words and words[-1].startswith("ACR 1.") and "MRA" not in words[1]
    return BRAIN if brain else NOT_CHEST


def _of_folder(folder: Path) -> Collection:
    files = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS))
    return Collection(files, (OTHER,) * len(files), tuple(range(len(files))), (folder.name,) * len(files))
