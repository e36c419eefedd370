"""Which label of another data set is which of the shared ones, with the reason: data, read by every adapter.

`SAME` carries presence and absence over. `WIDER` is a label of theirs that covers several things, ours among
them: its absence is the absence of each, its presence says only that one of them is there. `NONE` has no
counterpart: kept aside and counted. A shared label that none of theirs leads to stays unknown in all rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tetkik.findings.label_names import folded, shared_label
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, UNKNOWN, Truth
from tetkik.values import FINDING_LABELS


class Meaning(StrEnum):
    """How far a label of another data set means one of ours."""

    SAME = "same"
    WIDER = "wider"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LabelMapping:
    """A label of another data set and what it says of the shared labels."""

    theirs: str
    meaning: Meaning
    ours: tuple[str, ...]
    reason: str


def _same(theirs: str, ours: str | None = None, reason: str = "the same finding") -> LabelMapping:
    return LabelMapping(theirs, Meaning.SAME, (ours or theirs,), reason)


def _wider(theirs: str, *ours: str, reason: str) -> LabelMapping:
    return LabelMapping(theirs, Meaning.WIDER, ours, reason)


def _none(theirs: str, reason: str) -> LabelMapping:
    return LabelMapping(theirs, Meaning.NONE, (), reason)


CHEXPERT: tuple[LabelMapping, ...] = (
    _same("No Finding", "Normal", "the report names nothing abnormal (support devices apart)"),
    _none("Enlarged Cardiomediastinum", "also a wide aorta or mediastinum: neither Cardiomegaly nor Mass"),
    _same("Cardiomegaly"),
    _none("Lung Opacity", "any opacity: it covers six of ours and more, and its absence is seldom stated"),
    _wider("Lung Lesion", "Mass", "Nodule", reason="nodule or mass, whatever its size"),
    _same("Edema"),
    _same("Consolidation"),
    _same("Pneumonia"),
    _same("Atelectasis"),
    _same("Pneumothorax"),
    _same("Pleural Effusion", "Effusion"),
    _wider(
        "Pleural Other", "Pleural_Thickening", reason="thickening, scarring or fibrothorax: not said which"
    ),
    _none("Fracture", "no bones among the shared labels"),
    _none("Support Devices", "not a disease"),
)
"""CheXpert and MIMIC-CXR-JPG: the 14 observations of the CheXpert labeler (Irvin et al., AAAI 2019)."""

VINDR: tuple[LabelMapping, ...] = (
    _none("Aortic enlargement", "no vessels among the shared labels"),
    _same("Atelectasis"),
    _none("Calcification", "anywhere in the chest: no counterpart"),
    _same("Cardiomegaly"),
    _none("Clavicle fracture", "no bones among the shared labels"),
    _same("Consolidation"),
    _same("Edema"),
    _same("Emphysema"),
    _none("Enlarged PA", "no vessels among the shared labels"),
    _none("ILD", "interstitial disease with and without fibrosis: neither Fibrosis nor Infiltration"),
    _same("Infiltration"),
    _none("Lung Opacity", "any opacity that fits no narrower label"),
    _none("Lung cavity", "no counterpart"),
    _none("Lung cyst", "no counterpart"),
    _none("Mediastinal shift", "no counterpart"),
    _wider("Nodule/Mass", "Nodule", "Mass", reason="nodule or mass, whatever its size"),
    _same("Pleural effusion", "Effusion"),
    _same("Pleural thickening", "Pleural_Thickening"),
    _same("Pneumothorax"),
    _same("Pulmonary fibrosis", "Fibrosis"),
    _none("Rib fracture", "no bones among the shared labels"),
    _none("Other lesion", "no counterpart"),
    _none("COPD", "a diagnosis wider than Emphysema, and not every emphysema is one"),
    _none("Lung tumor", "a diagnosis: the sign is marked as Nodule/Mass beside it"),
    _same("Pneumonia"),
    _same("Tuberculosis"),
    _none("Other diseases", "no counterpart"),
    _none("Other disease", "no counterpart; the label tables spell it both ways"),
    _same("No finding", "Normal", "none of the other 27 is marked"),
)
"""VinDr-CXR: 22 local and 6 global labels (Nguyen et al., Scientific Data 2022)."""

GOOGLE: tuple[LabelMapping, ...] = (
    _none("Fracture", "no bones among the shared labels"),
    _same("Pneumothorax"),
    _none("Airspace opacity", "consolidation, infiltrate, atelectasis and more"),
    _wider("Nodule or mass", "Nodule", "Mass", reason="nodule or mass, whatever its size"),
)
"""The adjudicated labels of NIH images (Majkowska et al., Radiology 2020)."""


@dataclass(frozen=True, slots=True)
class Translated:
    """Labels of another data set as ours.

    Attributes:
        labels: the shared labels, then the others where they are kept.
        truth: (rows, labels), int8: 1 / 0 / -1 (unknown).
    """

    labels: tuple[str, ...]
    truth: Truth
    others: Mapping[str, int]


def translate_labels(
    theirs: Mapping[str, Truth], mappings: Sequence[LabelMapping], rows: int, *, keep_others: bool = False
) -> Translated:
    """Columns of another data set as the shared labels.

    Args:
        theirs: (rows,) of 1 / 0 / -1 (unknown) by their name.
        keep_others: whether a label that is not the same as one of ours gets a column of its own.
    """
    meaning = {folded(mapping.theirs): mapping for mapping in mappings}
    truth = np.full((rows, len(FINDING_LABELS)), UNKNOWN)
    others: Counter[str] = Counter()
    kept: dict[str, Truth] = {}
    for name, column in theirs.items():
        mapping = meaning[folded(name)]
        for label in mapping.ours:
            place = FINDING_LABELS.index(label)
            if mapping.meaning is Meaning.SAME:
                truth[:, place] = column
            else:
                truth[column == ABSENT, place] = ABSENT
        if mapping.meaning is not Meaning.SAME:
            others[name] += int((column == PRESENT).sum())
            kept[own_name(name)] = column
    if not keep_others:
        return Translated(FINDING_LABELS, truth, others)
    return Translated((*FINDING_LABELS, *kept), np.column_stack([truth, *kept.values()]), others)


def own_name(name: str) -> str:
    """How a label beyond the shared ones is written: words joined by underscores, as the shared ones."""
    return shared_label(name) or "_".join(name.replace("/", " ").split())
