"""What a training says of itself in the model card."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources

import numpy as np

from tetkik.bundle import CardSection, Manifest
from tetkik.lab.engine.card import cell, markdown_table
from tetkik.lab.findings.metrics import source_shortcut
from tetkik.lab.findings.training.fit import TrainingResult
from tetkik.lab.findings.training.label_counts import LabelCounts
from tetkik.lab.findings.training.options import RANDOM, TeacherUse, TrainingOptions
from tetkik.lab.findings.training.preparation import PreparedTraining
from tetkik.lab.findings.training.trainer import Epoch
from tetkik.lab.findings.training.tuning import trials_table
from tetkik.values import BRAIN_LABELS, NIH_LABELS

LIBRARIES = ("torch", "transformers", "accelerate", "onnx", "onnxruntime", "numpy", "pillow")

_PAPERS = tomllib.loads(resources.files(__package__).joinpath("papers.toml").read_text("utf-8"))
_SOURCE_HINTS = {
    "nih": ("nih", "chexnet", "chestx-ray"),
    **{name: (name,) for name in ("chexpert", "mimic", "vindr", "covid")},
}


def summary(manifest: Manifest) -> str:
    """What the model does, in one paragraph."""
    chest = [label for label in manifest.thresholds if label not in BRAIN_LABELS]
    brain = [label for label in manifest.thresholds if label in BRAIN_LABELS]
    parts = []
    if chest:
        parts.append(f"{len(chest)} findings on a frontal chest radiograph")
    if brain:
        parts.append(f"{len(brain)} kinds of slice on brain MRI")
    silent = len(manifest.labels) - len(manifest.thresholds)
    rest = f' It says "not assessed" of its other {silent} labels, for want of data.' if silent else ""
    return (
        f"Gives a calibrated probability for {' and '.join(parts)}.{rest} Research and demonstration only: "
        "the licence of the images may forbid other uses."
    )


def card_sections(
    manifest: Manifest,
    prepared: PreparedTraining,
    result: TrainingResult,
    *,
    parameters: int,
    megabytes: float,
    difference: float,
) -> list[CardSection]:
    """The sections that only the training knows; `difference` is that of scores between torch and ONNX."""
    options = result.options
    sections = [
        CardSection("Size", _size(manifest, options, parameters, megabytes, difference)),
        CardSection("Data", _sources(prepared)),
        CardSection("Labels and what is known of them", _labels(manifest, prepared, options)),
        CardSection("What it is for, and what not", _purpose(manifest, prepared.known)),
        CardSection("Epochs", _epochs(options, result.epochs)),
        CardSection("Citations", _citations(prepared.images.source, options)),
    ]
    if result.trials:
        sections.insert(5, CardSection("Settings tried", trials_table(result.trials)))
    return sections


def _size(
    manifest: Manifest, options: TrainingOptions, parameters: int, megabytes: float, difference: float
) -> str:
    size = manifest.preprocessing["size"]
    members = f", the mean of {options.members} networks" if options.members > 1 else ""
    return (
        f"`{manifest.kind}`{members}: {parameters / 1e6:.2f} million weights, `model.onnx` "
        f"{megabytes:.1f} MB, input {size} x {size}. The largest difference of a score between torch and "
        f"ONNX is {difference:.1e}."
        + (
            " A further member of equal weight is ridge regression on the means over a 3 x 3 grid of the "
            "later stages of the same network as it was before this training."
            if options.ridge
            else ""
        )
    )


def _sources(prepared: PreparedTraining) -> str:
    data, teacher = prepared.images, prepared.config.teacher
    names = sorted(set(data.source))
    source = np.array(data.source, dtype=object)
    rows: list[tuple[object, ...]] = []
    for name in names:
        mine = source == name
        known = [label for column, label in enumerate(data.labels) if (data.truth[mine, column] >= 0).any()]
        listed = ", ".join(known) if len(known) <= 6 else f"{len(known)} labels"
        rows.append((name, int(mine.sum()), len(np.unique(data.group[mine])), listed))
    rows.append(("all", len(source), len(np.unique(data.group)), ""))
    text = markdown_table(("source", "images", "patients or groups", "labels known there"), rows)
    if data.left_out:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(data.left_out.items()) if count)
        text += f"\n\nLeft out: {reasons or 'none'}."
    if teacher is not None and teacher.rows:
        text += f"\n\nA teacher's probabilities were learned for {teacher.rows} of these images."
    return text + "\n\nUnknown is never read as absent: an unknown label has no part in the loss."


def _labels(manifest: Manifest, prepared: PreparedTraining, options: TrainingOptions) -> str:
    data, counts = prepared.images, prepared.known
    rows = []
    unheard = [item.label for item in counts if not item.present and not item.absent]
    for column, item in enumerate(counts):
        if item.label in unheard:
            continue
        use = data.truth[:, column] >= 0
        source = [name for name, keep in zip(data.source, use, strict=True) if keep]
        shortcut = source_shortcut(data.truth[use, column] == 1, source, data.group[use])
        rows.append(
            (
                item.label,
                item.present,
                item.absent,
                f"{item.present_groups} / {item.absent_groups}",
                "yes" if item.label in manifest.thresholds else "no",
                cell(shortcut, ".3f"),
            )
        )
    columns = ("label", "present", "absent", "groups", "assessed", "AUROC of knowing the source alone")
    return (
        f"A label is assessed where at least {options.min_positives} groups are known to have it and as many "
        "known not to, and its scores tell the two apart. Groups join patients and duplicates.\n\n"
        + markdown_table(columns, rows)
        + (f"\n\nNothing is known of: {', '.join(unheard)}." if unheard else "")
    )


def _purpose(manifest: Manifest, known: Sequence[LabelCounts]) -> str:
    lines = [
        "- For research, teaching and demonstration, as a second reader whose answer a radiologist checks.",
        "- Not for a diagnosis, not for a decision without a person, not for children unless they are in the "
        "data, not for lateral views.",
    ]
    if any(label in NIH_LABELS for label in manifest.thresholds):
        lines.append(
            "- The chest findings follow labels mined from reports (where the source is NIH or CheXpert), "
            "which radiologists contradict in part; the figures are agreement with those labels."
        )
    lines += [
        f"- {item.label}: {item.alone} of its {item.present} positives come from sources without a single "
        "negative. Its figures may measure the source, not the disease; do not use it to screen."
        for item in known
        if item.shortcut and item.label in manifest.thresholds
    ]
    if any(label in manifest.thresholds for label in BRAIN_LABELS):
        lines.append(
            "- Brain MRI: single slices without patient numbers, so slices of one patient may stand on both "
            "sides of a split; the figures are optimistic."
        )
    return "\n".join(lines)


def _epochs(options: TrainingOptions, epochs: Sequence[Epoch]) -> str:
    runs = list(dict.fromkeys(row.run for row in epochs))
    table = markdown_table(
        ("epoch", "training loss", "validation loss", "mean AUROC on validation"),
        (
            (row.epoch, *map(cell, (row.training_loss, row.validation_loss, row.mean_auroc)))
            for row in epochs
            if row.run == runs[-1]
        ),
    )
    others = (
        f"\n\n{len(runs)} networks were trained ({options.folds} folds, {options.members} a fold, and the "
        "final one on all rows, whose epochs these are)."
        if options.folds
        else ""
    )
    return table + others


def _citations(sources: Sequence[str], options: TrainingOptions) -> str:
    names = " ".join(set(sources)).lower()
    keys = [key for key, hints in _SOURCE_HINTS.items() if any(hint in names for hint in hints)]
    keys += [key for key in ("densenet121", "mobilenet_v2", "resnet18") if options.network.startswith(key)]
    keys += ["imagenet"] if options.weights != RANDOM else []
    keys += ["adamw", "platt", "zech"]
    keys += ["ridge"] if options.ridge else []
    keys += [options.loss.value] if options.loss.value in _PAPERS else []
    if options.teacher is not None:
        keys.append("chexnet")
        keys += ["distil"] if options.teacher.use is TeacherUse.DISTIL else []
    return "\n".join(f"- {_PAPERS[key]}" for key in dict.fromkeys(keys))
