"""CheXpert: `train.csv` and `valid.csv` of 1 / 0 / -1 / blank, frontal films only unless asked otherwise.

Irvin et al., "CheXpert", AAAI 2019. A blank is unknown, not absent. Two things follow from what the labeler
does: it writes No Finding only after it has found none of the others present or uncertain, so that a row with
No Finding = 1 knows them all absent; and a row with anything but a support device present is not Normal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError
from tetkik.findings.label_names import age_years, public_image, sex_named, view_named
from tetkik.lab.engine.paths import inside
from tetkik.lab.engine.splits import Split
from tetkik.lab.findings.sources.adapter import Adapter, Reading
from tetkik.lab.findings.sources.files import ImageFolder
from tetkik.lab.findings.sources.label_mapping import CHEXPERT, Translated, translate_labels
from tetkik.lab.findings.sources.row_filter import Draft
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, UNKNOWN, LeftOut, Rows, Truth
from tetkik.lab.findings.sources.spec import SourceSpec
from tetkik.lab.findings.sources.table import Table, read_table
from tetkik.lab.findings.sources.uncertainty_policy import UNCERTAIN_OPTIONS, codes, uncertain_policy
from tetkik.values import View

OBSERVATIONS = tuple(mapping.theirs for mapping in CHEXPERT)
NO_FINDING, DEVICES = "No Finding", "Support Devices"
_TABLES = {"train.csv": Split.TRAIN, "valid.csv": Split.VALIDATION, "test.csv": Split.TEST}
_RELEASE = re.compile(r"CheXpert-v1\.0[^/]*/")
VIEWS = ("frontal", "all")


def read_chexpert(spec: SourceSpec, how: Reading) -> Rows:
    """Read CheXpert from its folder or from one of its tables.

    Raises:
        DataError: there is no table, or it is another.
        UsageError: an uncertainty policy for a label that CheXpert does not have.
    """
    if spec.path.is_dir():
        paths = [spec.path / name for name in _TABLES if (spec.path / name).is_file()]
    else:
        paths = [spec.path]
    if not paths:
        raise DataError(
            "{folder} has no {pattern}; name the folder of the data set, or its table.",
            folder=spec.path,
            pattern="train.csv",
        )
    return _merged([read_table(path, need=("Path", *OBSERVATIONS)) for path in paths], spec, how)


ADAPTER = Adapter("chexpert", read_chexpert, {"views": VIEWS, "images": (), **UNCERTAIN_OPTIONS})


def _merged(tables: list[Table], spec: SourceSpec, how: Reading) -> Rows:
    def column(name: str) -> list[str]:
        return [cell for table in tables for cell in table.get(name)]

    names = [inside(_RELEASE.sub("", cell, count=1)) if cell else "" for cell in column("Path")]
    marks, wrong = settled({name: column(name) for name in OBSERVATIONS}, spec.options)
    translated = observations(marks, len(names), keep_others=how.keep_others)
    views = [
        View.LATERAL if side == "Lateral" else view_named(view)
        for side, view in zip(column("Frontal/Lateral"), column("AP/PA"), strict=True)
    ]
    faults = view_faults(views, column("Frontal/Lateral"), spec.options)
    left_out: Counter[str] = Counter()
    for table in tables:
        left_out.update(table.left_out())
    public = [public_image(name or "") for name in names]
    images = Path(spec.options.get("images", tables[0].path.parent))
    return Draft(
        origin="chexpert",
        names=names,
        labels=translated.labels,
        truth=translated.truth,
        find=ImageFolder(images, check=how.check_files).find,
        faults=[
            fault or (LeftOut.BAD_CELL if odd else None)
            for fault, odd in zip(faults, wrong.tolist(), strict=True)
        ],
        image=[image for image, _ in public],
        public_patient=[patient for _, patient in public],
        view=views,
        sex=[sex_named(cell) for cell in column("Sex")],
        age=[age_years(cell) for cell in column("Age")],
        official=[_TABLES.get(table.path.name) for table in tables for _ in range(table.rows)],
        left_out=left_out,
        other_labels=translated.others,
    ).rows()


def settled(
    cells: Mapping[str, list[str]], options: Mapping[str, str]
) -> tuple[dict[str, Truth], NDArray[np.bool_]]:
    """Columns of 1 / 0 / -1 / blank as 1 / 0 / unknown, by the policy that the options ask for.

    Returns:
        The columns, (rows,) int8 each; and which rows have a cell that is none of the four, (rows,) bool.

    Raises:
        UsageError: a policy for a label that is not there.
    """
    policy = uncertain_policy(options, cells)
    wrong = np.zeros(len(next(iter(cells.values()))), bool)
    marks: dict[str, Truth] = {}
    for name, column in cells.items():
        raw, odd = codes(column)
        wrong |= odd
        marks[name] = policy.settle(name, raw)
    return marks, wrong


def observations(marks: Mapping[str, Truth], rows: int, *, keep_others: bool) -> Translated:
    """The 14 observations as the shared labels, with what No Finding says of the others."""
    well = marks[NO_FINDING] == PRESENT
    ill = np.zeros(rows, bool)
    completed: dict[str, Truth] = {}
    for name in OBSERVATIONS:
        if name in (NO_FINDING, DEVICES):
            continue
        ill |= marks[name] == PRESENT
        completed[name] = np.where(well & (marks[name] == UNKNOWN), ABSENT, marks[name])
    completed[NO_FINDING] = np.where(ill & ~well, ABSENT, marks[NO_FINDING])
    completed[DEVICES] = marks[DEVICES]
    return translate_labels(
        {name: completed[name] for name in OBSERVATIONS}, CHEXPERT, rows, keep_others=keep_others
    )


def view_faults(
    views: list[View | None], words: list[str], options: Mapping[str, str]
) -> list[LeftOut | None]:
    """Why a row is left out for its view; `said` is a text that may call it frontal where `views` is None."""
    if options.get("views", "frontal") == "all":
        return [None] * len(views)
    faults: list[LeftOut | None] = []
    for view, word in zip(views, words, strict=True):
        if view is View.LATERAL:
            faults.append(LeftOut.LATERAL)
        elif view in (View.PA, View.AP) or word == "Frontal":
            faults.append(None)
        else:
            faults.append(LeftOut.NO_VIEW)
    return faults
