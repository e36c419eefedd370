"""From labelled images to what networks are trained on: decoded, labels that can be taught, parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.findings.networks import preprocessing_of
from tetkik.findings.networks.encoder import encoder_preprocessing, open_encoder
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.splits import Parts, folds, split
from tetkik.lab.findings.training.decoded_images import open_images
from tetkik.lab.findings.training.distillation import read_teacher
from tetkik.lab.findings.training.embeddings import embedded_images
from tetkik.lab.findings.training.encoders import pooling_of
from tetkik.lab.findings.training.label_counts import (
    LabelCounts,
    check_learnable,
    count_labels,
    mask_unlearnable,
)
from tetkik.lab.findings.training.options import RANDOM, TrainingOptions
from tetkik.lab.findings.training.ridge import StageMeans
from tetkik.lab.findings.training.runs import RunConfig
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.findings.data import LabelledImages

UNREADABLE = "image that cannot be read"
STRETCH = (1.0, 99.0)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedTraining:
    """What a training works on."""

    images: LabelledImages
    """The labelled images, the unreadable ones left out and counted."""
    config: RunConfig
    known: tuple[LabelCounts, ...]
    assessed: tuple[str, ...]
    parts: Parts | None
    """Rows of training, validation, calibration and test; None with folds."""
    fold: NDArray[np.int64] | None
    """(rows,), the fold of each; None without folds."""


def preprocessing_for(options: TrainingOptions) -> Preprocessing:
    """What the network wants, at the size and with the stretch asked for; an encoder to the last digit."""
    if options.encoder is not None:
        found = encoder_preprocessing(options.encoder)
    else:
        found = preprocessing_of(options.network)
    if options.stretch:
        found = replace(found, stretch=STRETCH)
    return found if options.size is None else replace(found, size=options.size)


def check_labels(images: LabelledImages, options: TrainingOptions) -> tuple[LabelCounts, ...]:
    """What is known about each label; a DataError where there is nothing to learn."""
    known = count_labels(images.truth, images.labels, images.group, images.source)
    check_learnable(known, options.min_positives)
    return known


def prepare_training(
    images: LabelledImages, options: TrainingOptions, store: Path, progress: ProgressCallback
) -> PreparedTraining:
    """Decode the images, leave out what cannot be read or taught, and cut the rows into parts."""
    check_labels(images, options)
    preprocessing = preprocessing_for(options)
    soft = None
    if options.teacher is not None:
        soft = read_teacher(options.teacher.table, images.files, images.labels)
    decoded = open_images(images.files, preprocessing, store, limit=options.cache_limit, progress=progress)
    if not decoded.readable.all():
        count = int((~decoded.readable).sum())
        kept = np.flatnonzero(decoded.readable)
        images = replace(images.only(kept), left_out={**images.left_out, UNREADABLE: count})
        decoded = decoded.only(kept)
        soft = None if soft is None else replace(soft, probability=soft.probability[kept])
    known = check_labels(images, options)
    config = RunConfig(
        tuple(images.labels),
        decoded,
        mask_unlearnable(images.truth, known),
        np.asarray(images.weight, np.float32),
        soft,
        preprocessing,
        options,
        StageMeans(decoded, preprocessing, options.batch_size),
    )
    parts = None if options.folds else split(images.group, seed=options.seed, official=images.official)
    fold = folds(images.group, options.folds, options.seed) if options.folds else None
    assessed = tuple(item.label for item in known if item.assessed(options.min_positives))
    return PreparedTraining(images, config, known, assessed, parts, fold)


def with_encoder(
    prepared: PreparedTraining, store: Path, device: torch.device, progress: ProgressCallback
) -> PreparedTraining:
    """With the encoder opened and, where it is frozen, what it says of the images; `store` keeps that."""
    config = prepared.config
    options, preprocessing = config.options, config.preprocessing
    if options.encoder is None:
        return prepared
    weights = None if options.weights == RANDOM else options.weights
    encoder = open_encoder(options.encoder, preprocessing, weights)
    embeddings = None
    if options.frozen:
        embeddings = embedded_images(
            encoder,
            pooling_of(options),
            config.images,
            prepared.images.files,
            preprocessing,
            store,
            options=options,
            device=device,
            progress=progress,
        )
    return replace(prepared, config=replace(config, encoder=encoder, embeddings=embeddings))


def identity(images: LabelledImages, options: TrainingOptions) -> Mapping[str, Any]:
    """What must be the same for a training to be taken up again."""
    return {"data": data_digest(images), "labels": list(images.labels), **options.as_json()}


def encoder_identity(config: RunConfig) -> Mapping[str, Any]:
    """What of a pretrained encoder must be the same, too: a name may come to stand for other weights."""
    assert config.encoder is not None
    return {"weights": config.encoder.fingerprint(), "preprocessing": config.preprocessing.as_json()}


def data_digest(images: LabelledImages) -> str:
    """SHA-256 of which images these are and what is known of them."""
    digest = hashlib.sha256()
    for part in (images.truth.tobytes(), images.group.tobytes(), images.weight.tobytes()):
        digest.update(part)
    digest.update("\n".join(images.names).encode())
    return digest.hexdigest()
