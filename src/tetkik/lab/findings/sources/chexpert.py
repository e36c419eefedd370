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

from tetkik.findings.label_names import age_years, public_image, sex_named, view_named
from tetkik.lab.engine.splits import Split
from tetkik.lab.engine.tables import read_table
from tetkik.lab.findings.sources.files import ImageFolder, Reading, SourceSpec, no_table, relative_names
from tetkik.lab.findings.sources.rows import (
    ABSENT,
    CHEXPERT,
    PRESENT,
    UNCERTAIN_OPTIONS,
    UNKNOWN,
    LeftOut,
    Rows,
    Translated,
    Truth,
    settled,
    translate_labels,
)
from tetkik.values import View

OBSERVATIONS = tuple(mapping.theirs for mapping in CHEXPERT)
NO_FINDING, DEVICES = "No Finding", "Support Devices"
_TABLES = {"train.csv": Split.TRAIN, "valid.csv": Split.VALIDATION, "test.csv": Split.TEST}
_RELEASE = re.compile(r"CheXpert-v1\.0[^/]*/")
VIEWS = ("frontal", "all")


OPTIONS = {"views": VIEWS, "images": (), **UNCERTAIN_OPTIONS}


def read_chexpert(spec: SourceSpec, how: Reading) -> Rows:
    """Read CheXpert from its folder or from one of its tables."""
    paths = [spec.path]
    if spec.path.is_dir():
        paths = [spec.path / name for name in _TABLES if (spec.path / name).is_file()]
    if not paths:
        raise no_table(spec.path, "train.csv")
    tables = [read_table(path, need=("Path", *OBSERVATIONS)) for path in paths]

    def column(name: str) -> list[str]:
        return [cell for table in tables for cell in table.get(name)]

    names = relative_names(_RELEASE.sub("", cell, count=1) for cell in column("Path"))
    marks, wrong = settled({name: column(name) for name in OBSERVATIONS}, spec.options)
    translated = observations(marks, len(names), keep_others=how.keep_others)
    sides = column("Frontal/Lateral")
    views = [
        View.LATERAL if side == "Lateral" else view_named(view)
        for side, view in zip(sides, column("AP/PA"), strict=True)
    ]
    public = [public_image(name or "") for name in names]
    images = Path(spec.options.get("images", paths[0].parent))
    return Rows(
        origin="chexpert",
        names=names,
        labels=translated.labels,
        truth=translated.truth,
        image=[image for image, _ in public],
        public_patient=[patient for _, patient in public],
        view=views,
        sex=[sex_named(cell) for cell in column("Sex")],
        age=[age_years(cell) for cell in column("Age")],
        official=[_TABLES.get(table.path.name) for table in tables for _ in range(table.rows)],
        left_out=sum((table.left_out() for table in tables), Counter()),
        other_labels=translated.others,
    ).usable(ImageFolder(images, check=how.check_files).find, view_faults(views, sides, spec.options), wrong)


def observations(marks: Mapping[str, Truth], rows: int, *, keep_others: bool) -> Translated:
    """The 14 observations as the shared labels, with what No Finding says of the others."""
    well = marks[NO_FINDING] == PRESENT
    ill = np.zeros(rows, bool)
    completed = dict(marks)
    for name in OBSERVATIONS:
        if name not in (NO_FINDING, DEVICES):
            ill |= marks[name] == PRESENT
            completed[name] = np.where(well & (marks[name] == UNKNOWN), ABSENT, marks[name])
    completed[NO_FINDING] = np.where(ill & ~well, ABSENT, marks[NO_FINDING])
    return translate_labels(completed, CHEXPERT, rows, keep_others=keep_others)


def view_faults(
    views: list[View | None], words: list[str], options: Mapping[str, str]
) -> list[LeftOut | None]:
    """Why a row is left out for its view; a text in `words` may call it frontal where the view is None."""
    if options.get("views", "frontal") == "all":
        return [None] * len(views)
    faults: list[LeftOut | None] = []
    for view, word in zip(views, words, strict=True):
        if view is View.LATERAL:
            faults.append(LeftOut.LATERAL)
        else:
            frontal = view in (View.PA, View.AP) or word == "Frontal"
            faults.append(None if frontal else LeftOut.NO_VIEW)
    return faults
