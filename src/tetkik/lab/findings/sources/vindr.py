"""VinDr-CXR: `annotations/image_labels_*.csv`, three radiologists a training image, a consensus a test image.

Nguyen et al., Scientific Data 2022 (PhysioNet). A radiologist marks all 28 labels of an image, so that each
vote is 1 or 0. Where the three differ the policy decides: `majority` (default; a tie is unknown), `any` (one
vote is enough), `unanimous` (unknown where they differ). There are no patient ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError
from tetkik.findings.label_names import folded
from tetkik.lab.engine.paths import inside
from tetkik.lab.engine.splits import Split
from tetkik.lab.findings.sources.adapter import Adapter, Reading
from tetkik.lab.findings.sources.files import by_name
from tetkik.lab.findings.sources.label_mapping import VINDR, Translated, translate_labels
from tetkik.lab.findings.sources.row_filter import Draft
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, UNKNOWN, LeftOut, Rows, Truth
from tetkik.lab.findings.sources.spec import SourceSpec
from tetkik.lab.findings.sources.table import Table, read_table
from tetkik.lab.findings.sources.uncertainty_policy import codes

_PARTS = {"train": Split.TRAIN, "test": Split.TEST}
_VOTES = ("majority", "any", "unanimous")
_NAMES = {folded(mapping.theirs) for mapping in VINDR}


def read_vindr(spec: SourceSpec, how: Reading) -> Rows:
    """Read VinDr-CXR from its folder.

    Raises:
        DataError: there is no label table, or it is another.
    """
    found = {
        part: path
        for part in _PARTS
        for path in (_table(spec.path, part), _table(spec.path / "annotations", part))
        if path is not None
    }
    if not found:
        raise DataError(
            "{folder} has no {pattern}; name the folder of the data set, or its table.",
            folder=spec.path,
            pattern="annotations/image_labels_train.csv",
        )
    votes = spec.options.get("votes", _VOTES[0])
    names: list[str | None] = []
    split: list[Split] = []
    faults: list[LeftOut | None] = []
    blocks: list[Translated] = []
    left_out: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for part, path in found.items():
        table = read_table(path, need=("image_id",))
        images, marks, wrong = _counted(table, votes)
        translated = translate_labels(marks, VINDR, len(images), keep_others=how.keep_others)
        names += [inside(f"{part}/{image}") if image else "" for image in images]
        split += [_PARTS[part]] * len(images)
        faults += [LeftOut.BAD_CELL if odd else None for odd in wrong.tolist()]
        blocks.append(translated)
        left_out.update(table.left_out())
        others.update(translated.others)
    labels = max((block.labels for block in blocks), key=len)
    root = Path(spec.options.get("images", spec.path))
    files = _files(root) if how.check_files else None
    return Draft(
        origin="vindr",
        names=names,
        labels=labels,
        truth=np.concatenate([_widened(block, labels) for block in blocks]),
        find=(lambda name: root / f"{name}.dicom") if files is None else files.get,
        faults=faults,
        image=[f"vindr:{(name or '').rpartition('/')[2]}" for name in names],
        official=split,
        left_out=left_out,
        other_labels=others,
    ).rows()


ADAPTER = Adapter("vindr", read_vindr, {"votes": _VOTES, "images": ()})


def _table(folder: Path, part: str) -> Path | None:
    for ending in (".csv", ".csv.gz"):
        if (path := folder / f"image_labels_{part}{ending}").is_file():
            return path
    return None


def _files(root: Path) -> dict[str, Path]:
    """Every image by `part/id`, whatever its ending."""
    return {
        f"{part}/{name}": path for part in _PARTS for name, path in by_name([root / part], stem=True).items()
    }


def _counted(table: Table, votes: str) -> tuple[list[str], dict[str, Truth], NDArray[np.bool_]]:
    """The images in order of first appearance, what the votes make of each label, and which have bad cells.

    Raises:
        DataError: the table has none of the labels.
    """
    order: dict[str, int] = {}
    image = np.fromiter((order.setdefault(name, len(order)) for name in table["image_id"]), np.int64)
    wrong = np.zeros(len(order), bool)
    marks: dict[str, Truth] = {}
    for name in table.columns:
        if folded(name) not in _NAMES:
            continue
        cast, odd = codes(table[name])
        wrong[image[odd | (cast < ABSENT)]] = True
        ayes = np.bincount(image[cast == PRESENT], minlength=len(order))
        noes = np.bincount(image[cast == ABSENT], minlength=len(order))
        marks[name] = _settled(ayes, noes, votes)
    if not marks:
        raise DataError(
            "{path} has no column {column} (its columns are: {names}); rename one or give another file.",
            path=table.path,
            column="No finding",
            names=", ".join(table.columns)[:200],
        )
    return list(order), marks, wrong


def _settled(ayes: NDArray[np.int64], noes: NDArray[np.int64], votes: str) -> Truth:
    """(images,), int8: what the votes come to."""
    match votes:
        case "any":
            present, absent = ayes > 0, ayes == 0
        case "unanimous":
            present, absent = (ayes > 0) & (noes == 0), (noes > 0) & (ayes == 0)
        case _:
            present, absent = ayes > noes, noes > ayes
    return np.select([present, absent], [PRESENT, ABSENT], UNKNOWN).astype(np.int8)


def _widened(block: Translated, labels: Sequence[str]) -> Truth:
    """The truth of one part in the columns of both, which may differ in the other labels that are kept."""
    truth = np.full((len(block.truth), len(labels)), UNKNOWN)
    for place, label in enumerate(labels):
        if label in block.labels:
            truth[:, place] = block.truth[:, block.labels.index(label)]
    return truth
