"""The training data of an encoder: labels in order, duplicate groups, the split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.triage.data import Complaints, in_order, is_missing, numbered
from tetkik.lab.triage.transformer.options import TransformerOptions
from tetkik.lab.triage.transformer.split import PARTS, Split, stratified_split
from tetkik.statistics import Ints


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Complaints with their labels and their split.

    Attributes:
        labels: the built-in departments in their order, then any others by name.
        truth: (rows,), index of each row's label.
        groups: (rows,), duplicate group of each row.
    """

    complaints: Complaints
    labels: tuple[str, ...]
    truth: Ints
    groups: Ints
    split: Split

    def counts(self) -> list[tuple[str, Ints]]:
        """For each part its name and its rows by label, (labels,)."""
        parts = (self.split.training, self.split.validation, self.split.test)
        return [
            (name, np.bincount(self.truth[rows], minlength=len(self.labels)).astype(np.int64))
            for name, rows in zip(PARTS, parts, strict=True)
        ]

    def texts(self, rows: Ints) -> list[str]:
        return [self.complaints.texts[row] for row in rows]


def prepare_data(complaints: Complaints, seed: int) -> TrainingData:
    """Number the labels, find duplicates, split.

    Raises:
        DataError: rows without a label, one label only, or too few rows of a label.
    """
    if bad := sum(map(is_missing, complaints.labels)):
        raise DataError(
            "{count} rows have no label; give each a department or leave those rows out.", count=bad
        )
    groups = duplicate_texts(complaints.texts)
    split = stratified_split(complaints.labels, groups, seed=seed)
    labels = in_order(complaints.labels)
    return TrainingData(complaints, labels, numbered(complaints.labels, labels), groups, split)


def identity(data: TrainingData, options: TransformerOptions) -> dict[str, Any]:
    """What must be the same for a training to be resumed; of the data only a digest."""
    digest = hashlib.sha256()
    for text, label in zip(data.complaints.texts, data.complaints.labels, strict=True):
        digest.update(f"{len(text)}:{text}{len(label)}:{label}".encode())
    return {"options": options.as_json(), "rows": len(data.complaints), "data": digest.hexdigest()}
