"""What a training says of itself in the model card."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources

import numpy as np

from tetkik.bundle import CardSection, Manifest
from tetkik.lab.engine.card import cell, markdown_table
from tetkik.lab.engine.tuning import trials_table
from tetkik.lab.findings.metrics import source_shortcut
from tetkik.lab.findings.training.fit import TRIAL_COLUMNS, TrainingResult
from tetkik.lab.findings.training.label_counts import LabelCounts
from tetkik.lab.findings.training.options import RANDOM, TeacherUse, TrainingOptions
from tetkik.lab.findings.training.preparation import PreparedTraining
from tetkik.lab.findings.training.trainer import Epoch
from tetkik.values import BRAIN_LABELS, NIH_LABELS

LIBRARIES = ("torch", "transformers", "accelerate", "onnx", "onnxruntime", "numpy", "pillow")

_CARD = tomllib.loads(resources.files(__package__).joinpath("card.toml").read_text("utf-8"))
_TEXT, _PAPERS = _CARD["text"], _CARD["papers"]


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
    rest = _TEXT["silent"].format(labels=silent) if silent else ""
    return str(_TEXT["summary"].format(parts=" and ".join(parts), rest=rest))


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
        sections.insert(5, CardSection("Settings tried", trials_table(result.trials, TRIAL_COLUMNS)))
    return sections


def _size(
    manifest: Manifest, options: TrainingOptions, parameters: int, megabytes: float, difference: float
) -> str:
    size = manifest.preprocessing["size"]
    members = f", the mean of {options.members} networks" if options.members > 1 else ""
    return (
        f"`{manifest.kind}`{members}: {parameters / 1e6:.2f} million weights, `model.onnx` "
        f"{megabytes:.1f} MB, input {size} x {size}. The largest difference of a score between torch and "
        f"ONNX is {difference:.1e}." + (f" {_TEXT['ridge']}" if options.ridge else "")
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
    return f"{text}\n\n{_TEXT['unknown']}"


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
    parts = [_TEXT["assessed"].format(least=options.min_positives), markdown_table(columns, rows)]
    parts += [f"Nothing is known of: {', '.join(unheard)}."] if unheard else []
    return "\n\n".join(parts)


def _purpose(manifest: Manifest, known: Sequence[LabelCounts]) -> str:
    lines = [_TEXT["purpose"]]
    if any(label in NIH_LABELS for label in manifest.thresholds):
        lines.append(_TEXT["mined"])
    lines += [
        _TEXT["shortcut"].format(label=item.label, alone=item.alone, present=item.present)
        for item in known
        if item.shortcut and item.label in manifest.thresholds
    ]
    if any(label in manifest.thresholds for label in BRAIN_LABELS):
        lines.append(_TEXT["slices"])
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
    if not options.folds:
        return table
    others = _TEXT["folds"].format(networks=len(runs), folds=options.folds, members=options.members)
    return f"{table}\n\n{others}"


def _citations(sources: Sequence[str], options: TrainingOptions) -> str:
    names = " ".join(set(sources)).lower()
    keys = [key for key, hints in _CARD["sources"].items() if any(hint in names for hint in hints)]
    keys += [key for key in ("densenet121", "mobilenet_v2", "resnet18") if options.network.startswith(key)]
    keys += ["imagenet"] if options.weights != RANDOM else []
    keys += ["adamw", "platt", "zech"]
    keys += ["ridge"] if options.ridge else []
    keys += [options.loss.value] if options.loss.value in _PAPERS else []
    if options.teacher is not None:
        keys.append("chexnet")
        keys += ["distil"] if options.teacher.use is TeacherUse.DISTIL else []
    return "\n".join(f"- {_PAPERS[key]}" for key in dict.fromkeys(keys))
