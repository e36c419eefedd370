"""A hospital's own table: a column of labels (`Mass;Nodule`), or one column a label (1 / 0 / -1 / blank)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError
from tetkik.findings.label_names import age_years, public_image, sex_named, shared_label, view_named
from tetkik.lab.engine.splits import Split
from tetkik.lab.engine.tables import Table, read_table
from tetkik.lab.findings.sources.files import ImageFolder, Reading, SourceSpec, relative_names
from tetkik.lab.findings.sources.label_coverage import known_labels, read_rules
from tetkik.lab.findings.sources.rows import (
    ABSENT,
    PRESENT,
    UNCERTAIN_OPTIONS,
    UNKNOWN,
    Rows,
    Translated,
    is_code,
    own_name,
    settled,
)
from tetkik.values import FINDING_LABELS

FILE_COLUMNS = ("file", "path", "image", "filename", "image_path", "Image Index", "Path")
LABEL_COLUMNS = ("labels", "label", "Finding Labels", "findings")
PATIENT_COLUMNS = ("patient_id", "patient", "PatientID", "Patient ID", "subject_id")
DUPLICATE_COLUMNS = ("group", "duplicate_group")
OTHER_COLUMNS = ("view", "sex", "age", "source", "split", "original", "known", "licence", "license")
_SPLITS = {
    **dict.fromkeys(("train", "training"), Split.TRAIN),
    **dict.fromkeys(("val", "valid", "validate", "validation"), Split.VALIDATION),
    "calibration": Split.CALIBRATION,
    **dict.fromkeys(("test", "testing"), Split.TEST),
}
RULES_ENDING = ".known.toml"


def split_named(name: str) -> Split | None:
    """A part by any of its usual names."""
    return _SPLITS.get(name.strip().lower())


OPTIONS = {"images": (), "known": (), **UNCERTAIN_OPTIONS}


def read_listing(spec: SourceSpec, how: Reading) -> Rows:
    """Read a table of the user's own, as text."""
    table = read_table(spec.path)
    file_column = table.first_of(FILE_COLUMNS)
    if file_column is None:
        raise DataError(
            "{path} has no column of image files; call it {columns}.",
            path=spec.path,
            columns=" | ".join(FILE_COLUMNS[:4]),
        )
    images = ImageFolder(Path(spec.options.get("images", spec.path.parent)), check=how.check_files)
    return rows_of(table, file_column, spec, how, images.find)


def rows_of(
    table: Table, file_column: str, spec: SourceSpec, how: Reading, find: Callable[[str], Path | None]
) -> Rows:
    """The rows of a table that was read; `find` gives the file of a name in its column of files."""
    beside = spec.path.with_name(spec.path.name.partition(".")[0] + RULES_ENDING)
    named = spec.options.get("known")
    own = read_rules(Path(named or beside)) if named or beside.is_file() else ()
    known = known_labels(table, (*own, *how.known))
    label_column = table.first_of(LABEL_COLUMNS)
    wrong = None
    if label_column is not None:
        marks = listed(table[label_column], known, keep_others=how.keep_others)
    else:
        marks, wrong = _wide(table, known, spec.options, keep_others=how.keep_others)
    origin = spec.path.name.partition(".")[0]
    originals = table.get("original") if "original" in table.columns else table[file_column]
    public = [public_image(name) for name in originals]
    return Rows(
        origin=origin,
        names=relative_names(table[file_column]),
        labels=marks.labels,
        truth=marks.truth,
        patient=[cell or None for cell in table.get(table.first_of(PATIENT_COLUMNS) or "")],
        duplicate=[cell or None for cell in table.get(table.first_of(DUPLICATE_COLUMNS) or "")],
        image=[image for image, _ in public],
        public_patient=[patient for _, patient in public],
        source=[cell or origin for cell in table.get("source")],
        view=[view_named(cell) for cell in table.get("view")],
        sex=[sex_named(cell) for cell in table.get("sex")],
        age=[age_years(cell) for cell in table.get("age")],
        official=[split_named(cell) for cell in table.get("split")],
        left_out=table.left_out(),
        other_labels=marks.others,
    ).usable(find, bad_cell=wrong)


def listed(cells: Sequence[str], known: Sequence[frozenset[str]], *, keep_others: bool) -> Translated:
    """Labels from cells such as `Mass;Nodule` or `Mass|Nodule`, and from what each row knows beside."""
    split = {cell: [name.strip() for name in re.split(r"[;|]", cell) if name.strip()] for cell in set(cells)}
    others = Counter(own_name(name) for cell in cells for name in split[cell] if not shared_label(name))
    labels = (*FINDING_LABELS, *sorted(others)) if keep_others else FINDING_LABELS
    place = {label: index for index, label in enumerate(labels)}
    # Thousands of rows share a few hundred combinations: each is worked out once.
    kinds: dict[tuple[str, frozenset[str]], int] = {}
    of_row = [kinds.setdefault(pair, len(kinds)) for pair in zip(cells, known, strict=True)]
    patterns = np.full((len(kinds), len(labels)), UNKNOWN)
    for row, (cell, knows) in enumerate(kinds):
        patterns[row, [place[label] for label in knows]] = ABSENT
        patterns[row, [place[name] for name in map(own_name, split[cell]) if name in place]] = PRESENT
    return Translated(labels, patterns[np.array(of_row, np.int64)], others)


def _wide(
    table: Table, known: Sequence[frozenset[str]], options: Mapping[str, str], *, keep_others: bool
) -> tuple[Translated, NDArray[np.bool_]]:
    """Labels from one column each (1 / 0 / -1 / blank), and which rows have a cell of another kind."""
    reserved = {*FILE_COLUMNS, *PATIENT_COLUMNS, *DUPLICATE_COLUMNS, *OTHER_COLUMNS}
    free = [name for name in table.columns if name not in reserved]
    shared = [name for name in free if shared_label(name)]
    if not shared:
        raise DataError(
            "{path} has neither a column of labels nor one a shared label (its columns are: {names}); call "
            "the column labels, or name columns after the labels.",
            path=table.path,
            names=", ".join(table.columns)[:200],
        )
    if len({shared_label(name) for name in shared}) < len(shared):
        raise DataError(
            "{path} has two columns for one label (its columns are: {names}); remove one.",
            path=table.path,
            names=", ".join(table.columns)[:200],
        )
    beyond = [name for name in free if name not in shared and all(map(is_code, table[name]))]
    marks, wrong = settled({name: table[name] for name in (*shared, *beyond)}, options)
    labels = (*FINDING_LABELS, *map(own_name, beyond)) if keep_others else FINDING_LABELS
    place = {label: index for index, label in enumerate(labels)}
    truth = np.full((table.rows, len(labels)), UNKNOWN)
    for row, knows in enumerate(known):
        truth[row, [place[label] for label in knows]] = ABSENT
    for name, column in marks.items():
        if (at := place.get(own_name(name))) is not None:
            # A blank is what the row's rules make of it; an uncertain label is not known whatever they say.
            blank = np.array([not cell for cell in table[name]], bool)
            truth[:, at] = np.where(blank, truth[:, at], column)
    others: Counter[str] = Counter()
    for name in beyond:
        others[own_name(name)] += int((marks[name] == PRESENT).sum())
    return Translated(labels, truth, others), wrong
