"""VinDr-CXR: `annotations/image_labels_*.csv`, three radiologists a training image, a consensus a test image.

Nguyen et al., Scientific Data 2022 (PhysioNet). A radiologist marks all 28 labels of an image, so that each
vote is 1 or 0. Where the three differ the policy decides: `majority` (default; a tie is unknown), `any` (one
vote is enough), `unanimous` (unknown where they differ). There are no patient ids.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.files import inside
from tetkik.findings.label_names import folded
from tetkik.lab.engine.splits import Split
from tetkik.lab.engine.tables import Table, no_column, read_table
from tetkik.lab.findings.sources.files import Reading, SourceSpec, by_name, no_table
from tetkik.lab.findings.sources.rows import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    VINDR,
    Rows,
    Translated,
    Truth,
    codes,
    in_columns,
    translate_labels,
)

_PARTS = {"train": Split.TRAIN, "test": Split.TEST}
_VOTES = ("majority", "any", "unanimous")
_NAMES = {folded(mapping.theirs) for mapping in VINDR}


OPTIONS = {"votes": _VOTES, "images": ()}


def read_vindr(spec: SourceSpec, how: Reading) -> Rows:
    """Read VinDr-CXR from its folder."""
    folders = (spec.path, spec.path / "annotations")
    found = {
        part: path
        for part, folder, ending in product(_PARTS, folders, (".csv.gz", ".csv"))
        if (path := folder / f"image_labels_{part}{ending}").is_file()
    }
    if not found:
        raise no_table(spec.path, "annotations/image_labels_train.csv")
    votes = spec.options.get("votes", _VOTES[0])
    names: list[str | None] = []
    split: list[Split] = []
    parts: list[tuple[Translated, NDArray[np.bool_]]] = []
    left_out: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for part, path in found.items():
        table = read_table(path, need=("image_id",))
        images, marks, odd = _counted(table, votes)
        translated = translate_labels(marks, VINDR, len(images), keep_others=how.keep_others)
        names += [inside(f"{part}/{image}") if image else "" for image in images]
        split += [_PARTS[part]] * len(images)
        parts.append((translated, odd))
        left_out.update(table.left_out())
        others.update(translated.others)
    # The parts may differ in the other labels that are kept.
    labels = max((block.labels for block, _ in parts), key=len)
    root = Path(spec.options.get("images", spec.path))
    files = {
        f"{part}/{name}": path
        for part in (_PARTS if how.check_files else ())
        for name, path in by_name([root / part], stem=True).items()
    }
    return Rows(
        origin="vindr",
        names=names,
        labels=labels,
        truth=np.concatenate([in_columns(block.truth, block.labels, labels) for block, _ in parts]),
        image=[f"vindr:{(name or '').rpartition('/')[2]}" for name in names],
        official=split,
        left_out=left_out,
        other_labels=others,
    ).usable(
        files.get if how.check_files else lambda name: root / f"{name}.dicom",
        bad_cell=np.concatenate([wrong for _, wrong in parts]),
    )


def _counted(table: Table, votes: str) -> tuple[list[str], dict[str, Truth], NDArray[np.bool_]]:
    """The images in order of first appearance, what the votes make of each label, which have bad cells."""
    order: dict[str, int] = {}
    image = np.fromiter((order.setdefault(name, len(order)) for name in table["image_id"]), np.int64)
    wrong = np.zeros(len(order), bool)
    marks: dict[str, Truth] = {}
    for name in table.columns:
        if folded(name) in _NAMES:
            cast, odd = codes(table[name])
            wrong[image[odd | (cast < ABSENT)]] = True
            ayes, noes = (
                np.bincount(image[cast == value], minlength=len(order)) for value in (PRESENT, ABSENT)
            )
            marks[name] = _settled(ayes, noes, votes)
    if not marks:
        raise no_column(table.path, "No finding", table.columns)
    return list(order), marks, wrong


def _settled(ayes: NDArray[np.int64], noes: NDArray[np.int64], votes: str) -> Truth:
    """(images,): what the votes come to."""
    match votes:
        case "any":
            present, absent = ayes > 0, ayes == 0
        case "unanimous":
            present, absent = (ayes > 0) & (noes == 0), (noes > 0) & (ayes == 0)
        case _:
            present, absent = ayes > noes, noes > ayes
    return np.select([present, absent], [PRESENT, ABSENT], UNKNOWN).astype(np.int8)
