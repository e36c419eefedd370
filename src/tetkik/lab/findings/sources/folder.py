"""A folder a class: `PATH/Glioma/*.jpg`, with `Training/` and `Testing/` above the classes or without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from tetkik.errors import DataError
from tetkik.findings.label_names import public_image, shared_label
from tetkik.lab.engine.paths import IMAGE_SUFFIXES, files_in
from tetkik.lab.engine.splits import Split
from tetkik.lab.findings.sources.files import Reading, SourceSpec
from tetkik.lab.findings.sources.hospital_table import split_named
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, UNKNOWN, LeftOut, Rows, Truth, own_name
from tetkik.values import FINDING_LABELS

_PNEUMONIAS = frozenset({"Pneumonia", "Viral_Pneumonia", "COVID-19", "Tuberculosis"})
"""Classes that do not shut each other out: what a folder says of one leaves the others unknown."""


OPTIONS = {"exclusive": ("yes", "no")}


def read_folder(spec: SourceSpec, how: Reading) -> Rows:
    """Read a folder with one folder a class.

    An image knows all the classes of the folder: it is in its own and not in the others, since a person
    sorted them. `?exclusive=no` lets it know its own alone.
    """
    if not spec.path.is_dir():
        raise DataError(
            "{path} is not a folder; name a folder that holds one folder a class.", path=spec.path
        )
    found = list(_classes(spec.path))
    label_of = {
        name: shared_label(name) or (own_name(name) if how.keep_others else None) for _, name, _ in found
    }
    classes = sorted({label for label in label_of.values() if label}, key=_order)
    if not classes:
        raise DataError(
            "{path} holds no folder named after a label; call them Pneumonia, Normal, Glioma and so on.",
            path=spec.path,
        )
    labels = (*FINDING_LABELS, *(label for label in classes if label not in FINDING_LABELS))
    exclusive = spec.options.get("exclusive", "yes") == "yes"
    patterns = {label: _pattern(label, classes, labels, exclusive=exclusive) for label in classes}
    rows: list[tuple[str, Truth, Split | None]] = []
    left_out: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for relative, name, part in found:
        label = label_of[name]
        for file in files_in(spec.path / relative):
            if PurePosixPath(file).suffix.lower() not in IMAGE_SUFFIXES:
                left_out[LeftOut.NOT_AN_IMAGE.value] += 1
                continue
            if not shared_label(name):
                others[own_name(name)] += 1
            if label is None:
                left_out[LeftOut.NO_CLASS.value] += 1
                continue
            rows.append((f"{relative}/{file}", patterns[label], part))
    names = [name for name, _, _ in rows]
    public = [public_image(name) for name in names]
    return Rows(
        origin=spec.path.resolve().name,
        names=names,
        labels=labels,
        truth=np.array([truth for _, truth, _ in rows], np.int8).reshape(len(names), len(labels)),
        image=[image for image, _ in public],
        public_patient=[patient for _, patient in public],
        official=[part for _, _, part in rows],
        left_out=left_out,
        other_labels=others,
    ).usable(lambda name: spec.path / name)


def _classes(root: Path) -> Iterator[tuple[str, str, Split | None]]:
    """(relative folder, its own name, official part) of every class folder."""
    for child in _folders(root):
        if (part := split_named(child.name)) is None:
            yield child.name, child.name, None
        else:
            yield from ((f"{child.name}/{inner.name}", inner.name, part) for inner in _folders(child))


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def _order(label: str) -> tuple[int, str]:
    return (FINDING_LABELS.index(label) if label in FINDING_LABELS else len(FINDING_LABELS), label)


def _pattern(label: str, classes: list[str], labels: tuple[str, ...], *, exclusive: bool) -> Truth:
    """(labels,), int8: what an image in the folder of `label` knows."""
    pattern = np.full(len(labels), UNKNOWN)
    if exclusive:
        for other in classes:
            if not {label, other} <= _PNEUMONIAS:
                pattern[labels.index(other)] = ABSENT
    pattern[labels.index(label)] = PRESENT
    return pattern
