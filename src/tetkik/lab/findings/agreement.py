"""How far labels taken from reports agree with radiologists who looked at the images again.

Both are 1 or 0 for the same images. Intervals draw whole patients (percentile bootstrap), since films of one
patient go wrong together. Kappa is Cohen's (1960): the agreement beyond what chance would give.

The radiologists' are the adjudicated labels of NIH images that Google released in 2019 (Majkowska et al.,
"Chest Radiograph Interpretation with Deep Learning Models", Radiology 2020): three an image, their
differences talked out. The table carries NIH's own text-derived labels beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.engine.splits import key_hashes
from tetkik.lab.engine.tables import read_table
from tetkik.lab.findings.sources.nih import nih_truth
from tetkik.lab.findings.sources.rows import ABSENT, GOOGLE, PRESENT, UNKNOWN, Meaning, Truth
from tetkik.statistics import ClusterBootstrap, Floats, Interval, percentile_interval, ratio
from tetkik.values import FINDING_LABELS

ADJUDICATED_LABELS = tuple(mapping.theirs for mapping in GOOGLE)
_VALUES = {"YES": PRESENT, "NO": ABSENT}


@dataclass(frozen=True, slots=True, eq=False)
class Adjudicated:
    """Images with both kinds of label."""

    images: tuple[str, ...]
    patients: tuple[str, ...]
    truth: Truth
    """(n, 4), 1 / 0: the radiologists' labels, in the order of `ADJUDICATED_LABELS`."""
    text: Truth
    """(n, labels): NIH's labels from the report, as the shared labels."""
    part: tuple[str, ...]
    """`val` or `test` of the release."""


def read_adjudicated(path: Path) -> Adjudicated:
    """Read `google2019_nih-chest-xray-labels.csv`."""
    table = read_table(path, need=("Image Index", "Finding Labels", "Patient ID", *ADJUDICATED_LABELS))
    for name in ADJUDICATED_LABELS:
        if not set(table[name]) <= _VALUES.keys():
            raise DataError(
                "{path} has a label {column} that is neither YES nor NO; fetch the table again.",
                path=path,
                column=name,
            )
    truth = np.array([[_VALUES[cell] for cell in table[name]] for name in ADJUDICATED_LABELS], np.int8).T
    text, faults = nih_truth(table["Finding Labels"])
    if any(faults):
        raise DataError("{path} has labels that NIH does not have; fetch the table again.", path=path)
    return Adjudicated(
        tuple(table["Image Index"]), tuple(table["Patient ID"]), truth, text, tuple(table.get("Set Id"))
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """A figure with its 95% interval; None where it has no meaning (nothing to divide by)."""

    value: float | None
    ci: Interval | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """One label judged against a reference."""

    label: str
    n: int
    patients: int
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    prevalence: Rate
    labelled: Rate
    sensitivity: Rate
    specificity: Rate
    ppv: Rate
    npv: Rate
    kappa: Rate


def agreement(
    label: str,
    judged: Truth,
    reference: Truth,
    patients: Sequence[str],
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> Agreement:
    """Judge labels against a reference; images where either is unknown are left out.

    `patients` says who each image is of.
    """
    both = (judged != UNKNOWN) & (reference != UNKNOWN)
    if not both.any():
        raise DataError("No image has {label} in both tables; give tables of the same images.", label=label)
    test, truth = judged[both] == PRESENT, reference[both] == PRESENT
    person = key_hashes(patients)[both]
    cells = np.stack([test & truth, test & ~truth, ~test & truth, ~test & ~truth], axis=1).astype(np.float64)
    draws = ClusterBootstrap(person, replicates, seed)
    replicated = _figures(draws.sums(cells)) if draws.possible else {}
    whole = cells.sum(axis=0)
    rates = {
        name: Rate(
            None if np.isnan(value[0]) else float(value[0]),
            percentile_interval(replicated[name]) if name in replicated else None,
        )
        for name, value in _figures(whole[None]).items()
    }
    tp, fp, fn, tn = (int(count) for count in whole)
    return Agreement(label, int(both.sum()), len(np.unique(person)), tp, fp, fn, tn, **rates)


def _figures(cells: Floats) -> dict[str, Floats]:
    """Every rate of (draws, 4) counts: true positive, false positive, false negative, true negative."""
    tp, fp, fn, tn = cells.T
    n = cells.sum(axis=1)
    observed = ratio(tp + tn, n)
    chance = ratio((tp + fp) * (tp + fn) + (fn + tn) * (fp + tn), n * n)
    return {
        "prevalence": ratio(tp + fn, n),
        "labelled": ratio(tp + fp, n),
        "sensitivity": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "ppv": ratio(tp, tp + fp),
        "npv": ratio(tn, tn + fn),
        "kappa": ratio(observed - chance, 1 - chance),
    }


def judge_text_labels(table: Adjudicated, *, replicates: int = 2000, seed: int = 0) -> tuple[Agreement, ...]:
    """NIH's text-derived labels against the adjudicated ones, for those that have a mapping.

    A reference that is wider than one shared label (nodule or mass) is compared with either of them.
    """
    return tuple(
        agreement(
            " or ".join(mapping.ours),
            table.text[:, [FINDING_LABELS.index(label) for label in mapping.ours]].max(axis=1),
            table.truth[:, place],
            table.patients,
            replicates=replicates,
            seed=seed,
        )
        for place, mapping in enumerate(GOOGLE)
        if mapping.meaning is not Meaning.NONE
    )
