"""Everything between a prepared folder and the first step: tokens, and the image features on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tetkik.caption.network import CaptionNetwork, Cut
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.training.features import (
    FeaturePlan,
    Features,
    LiveFeatures,
    check_room,
    feature_plan,
    features_key,
    write_features,
)
from tetkik.lab.caption.training.lesson import SPLITS, Lesson, Taught, judged_rows, tokens_of
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.progress import Tell
from tetkik.lab.engine.precision import Precision
from tetkik.language import Sentence
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Part, Prepared

IMAGES_AT_ONCE = 8
"""Through the frozen part, whose memory it takes while the rest of the model waits."""


def make_lesson(
    accelerator: Any,
    network: CaptionNetwork,
    prepared: Prepared,
    options: CaptionTraining,
    store: Path,
    *,
    progress: ProgressCallback,
    tell: Tell,
) -> Lesson:
    """The rows of the training and the validation split, as the network is given them.

    Args:
        accelerator: an `accelerate.Accelerator`.
        network: with its frozen part.
        prepared: the folder; its test split is not opened.
        options: the settings.
        store: folder of the image features.
        progress: told how far it is.
        tell: told how much goes to the disk, before it does.

    Raises:
        TrainingError: image features that are no numbers.
        OutputError: the disk is full, or has too little room.
    """
    parts = {split: prepared.part(split) for split in SPLITS}
    sources: dict[Split, Features] = {
        split: LiveFeatures(part, network.image) for split, part in parts.items()
    }
    if options.cache_features and network.cut is not Cut.NOTHING:
        sources = dict(
            zip(
                SPLITS,
                _cached(accelerator, network, list(parts.items()), options, store, progress, tell),
                strict=True,
            )
        )
    taught = {
        split: Taught(
            part.ids,
            part.captions,
            part.groups,
            tokens_of(prepared, part, network, options.max_tokens),
            sources[split],
        )
        for split, part in parts.items()
    }
    validation = taught[Split.VALID]
    judged = judged_rows(len(validation), options.judged, options.seed)
    return Lesson(taught[Split.TRAIN], validation, judged)


def _cached(
    accelerator: Any,
    network: CaptionNetwork,
    parts: Sequence[tuple[Split, Part]],
    options: CaptionTraining,
    store: Path,
    progress: ProgressCallback,
    tell: Tell,
) -> list[Features]:
    # fp16 holds what a network computed in fp16 or bf16 gives; on fp32 nothing is to be lost.
    exact = options.precision is Precision.FP32
    key = features_key(network, np.dtype(np.float32 if exact else np.float16))
    plans = [feature_plan(store, key, split.value, part.digest, len(part)) for split, part in parts]
    if accelerator.is_main_process:
        _tell_of_room(plans, network.cut, store, tell)
    missing = [sum(min(plan.block_rows, plan.rows - start) for start in plan.missing()) for plan in plans]
    for place, ((_, part), plan) in enumerate(zip(parts, plans, strict=True)):
        # One bar for both splits.
        before = sum(missing[:place])

        def tell_all(step: str, done: int, _: int | None, before: int = before) -> None:
            progress(step, before + done, sum(missing))

        write_features(
            accelerator,
            network,
            part,
            plan,
            batch=IMAGES_AT_ONCE,
            precision=options.precision,
            progress=tell_all,
        )
    return [plan.open() for plan in plans]


def _tell_of_room(plans: Sequence[FeaturePlan], cut: Cut, store: Path, tell: Tell) -> None:
    needed = check_room(plans, cut)
    count = sum(plan.rows for plan in plans)
    if needed:
        tell(
            Sentence(
                "The features of {count} images are computed once and take {size:.2f} GB in {folder}.",
                {"count": count, "size": max(needed, 0.01), "folder": store},
            )
        )
    else:
        tell(
            Sentence(
                "The features of {count} images are in {folder} already.", {"count": count, "folder": store}
            )
        )
