"""What a training says of itself in the model card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tetkik.bundle import CardSection, Manifest
from tetkik.bundle.card import card_words
from tetkik.findings.networks import FAMILIES
from tetkik.lab.engine.card import cell, markdown_table, read_card
from tetkik.lab.engine.tuning import trials_table
from tetkik.lab.findings.summaries import source_shortcut
from tetkik.lab.findings.training.fit import TrainingResult
from tetkik.lab.findings.training.options import RANDOM, TeacherUse, TrainingOptions
from tetkik.lab.findings.training.runs import PreparedTraining
from tetkik.language import translate
from tetkik.settings import settings
from tetkik.values import BRAIN_LABELS, NIH_LABELS

if TYPE_CHECKING:
    from tetkik.lab.findings.data import LabelledImages

LIBRARIES = ("torch", "transformers", "accelerate", "onnx", "onnxruntime", "numpy", "pillow")

_SOURCES = {
    "nih": ("nih", "chexnet", "chestx-ray"),
    "chexpert": ("chexpert",),
    "mimic": ("mimic",),
    "vindr": ("vindr",),
    "covid": ("covid",),
}
"""What the name of a source holds where its paper is cited."""


def make_card(
    manifest: Manifest,
    prepared: PreparedTraining,
    result: TrainingResult,
    *,
    parameters: int,
    megabytes: float,
    difference: float,
) -> tuple[str, list[CardSection]]:
    """The summary and the sections that only the training knows.

    `difference` is that of scores between torch and ONNX.
    """
    options, data, teacher = result.options, prepared.images, prepared.config.teacher
    brain = [label for label in manifest.thresholds if label in BRAIN_LABELS]
    chest = len(manifest.thresholds) - len(brain)
    language = settings().language
    parts = (
        [translate("{number} findings on a frontal chest radiograph", language, number=chest)]
        if chest
        else []
    )
    parts += [translate("{number} kinds of slice on brain MRI", language, number=len(brain))] if brain else []
    reasons = [
        f"{translate(str(reason), language)}: {count}"
        for reason, count in sorted(data.left_out.items())
        if count
    ]
    runs = list(dict.fromkeys(row.run for row in result.epochs))
    return read_card(
        "tetkik.lab.findings.training",
        manifest=manifest,
        options=options,
        parts=parts,
        silent=len(manifest.labels) - len(manifest.thresholds),
        parameters=parameters,
        megabytes=megabytes,
        size=manifest.preprocessing["size"],
        difference=difference,
        sources=_sources(data),
        left_out=", ".join(reasons) if data.left_out else None,
        taught=0 if teacher is None else teacher.rows,
        labels=_labels(manifest, prepared),
        unheard=[item.label for item in prepared.known if not item.present and not item.absent],
        mined=any(label in NIH_LABELS for label in manifest.thresholds),
        shortcuts=[item for item in prepared.known if item.shortcut and item.label in manifest.thresholds],
        slices=bool(brain),
        epochs=markdown_table(
            card_words("epoch", "training loss", "validation loss", "mean AUROC on validation"),
            (
                (row.epoch, *map(cell, (row.training_loss, row.validation_loss, row.mean_auroc)))
                for row in result.epochs
                if row.run == runs[-1]
            ),
        ),
        networks=len(runs),
        trials=trials_table(result.trials),
        cited=_cited(data.source, options),
    )


def _sources(data: LabelledImages) -> Iterator[tuple[object, ...]]:
    """Of each source the images, the patients or groups, and the labels that it knows; and of all."""
    source = np.array(data.source, dtype=object)
    for name in sorted(set(data.source)):
        mine = source == name
        known = [label for column, label in enumerate(data.labels) if (data.truth[mine, column] >= 0).any()]
        listed = (
            ", ".join(known)
            if len(known) <= 6
            else translate("{number} labels", settings().language, number=len(known))
        )
        yield name, int(mine.sum()), len(np.unique(data.group[mine])), listed
    yield card_words("all")[0], len(source), len(np.unique(data.group)), ""


def _labels(manifest: Manifest, prepared: PreparedTraining) -> Iterator[tuple[object, ...]]:
    """Of each label of which anything is known what that is."""
    data = prepared.images
    for column, item in enumerate(prepared.known):
        if not item.present and not item.absent:
            continue
        use = data.truth[:, column] >= 0
        source = [name for name, keep in zip(data.source, use, strict=True) if keep]
        shortcut = source_shortcut(data.truth[use, column] == 1, source, data.group[use])
        groups, assessed = f"{item.present_groups} / {item.absent_groups}", item.label in manifest.thresholds
        known = (item.label, item.present, item.absent, groups)
        yield *known, *card_words("assessed" if assessed else "not assessed"), cell(shortcut, ".3f")


def _cited(sources: Sequence[str], options: TrainingOptions) -> list[str]:
    """Keys of papers in the template, each once."""
    names = " ".join(set(sources)).lower()
    keys = [key for key, hints in _SOURCES.items() if any(hint in names for hint in hints)]
    network = options.encoder or options.network
    keys += [key for key in ("densenet121", "mobilenet_v2", "resnet18") if network.startswith(key)]
    keys += ["imagenet"] if options.weights != RANDOM and network in FAMILIES else []
    keys += ["adamw", "platt", "zech"]
    keys += ["ridge"] if options.ridge else []
    keys += [options.loss.value]
    if options.teacher is not None:
        keys.append("chexnet")
        keys += ["distil"] if options.teacher.use is TeacherUse.DISTIL else []
    return list(dict.fromkeys(keys))
