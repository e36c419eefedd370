"""The neighbours of training and validation images, none of which shares the case or the picture itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.neighbours import LONGEST, NeighbourIndex, contexts_of, embedding
from tetkik.caption.network import Cut
from tetkik.errors import UsageError
from tetkik.lab.caption.data import group_numbers
from tetkik.lab.caption.embeddings import Embeddings, embeddings_of
from tetkik.lab.caption.leakage import pictures_of
from tetkik.lab.caption.training.data import IMAGES_AT_ONCE, SPLITS, EncodedSplit, TrainingData
from tetkik.lab.caption.training.features import FeatureCache
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.engine.duplicate_images import duplicate_images
from tetkik.lab.engine.splits import component_ids
from tetkik.statistics import Ints
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Part, Prepared


def check_neighbours(network: StagedNetwork, count: int, most: int) -> None:
    """Refuse a base with one prompt for all images, or too few places for captions and `most` tokens.

    A vision tower that learns is refused too: the index would hold what it saw before.
    """
    if network.cut is Cut.NOTHING:
        raise UsageError(
            "The vision tower of {base} would learn, and neighbours are found by one that does not; leave "
            "out --neighbours, or the --target in the vision tower.",
            base=network.base,
        )
    if not network.takes_context:
        raise UsageError(
            "{base} encodes one prompt for all images, so captions of neighbours cannot stand in it; leave "
            "out --neighbours, or choose a base whose language model has no encoder.",
            base=network.base,
        )
    places = getattr(network.core.config.text_config, "max_position_embeddings", None)
    taken = network.stages()[-1].shape[0] + len(network.batch_of([([], True)]).ids[0]) + most
    longest = len(contexts_of(network, [[f"{number} " * LONGEST for number in range(count)]])[0])
    if places is not None and taken + longest > places:
        raise UsageError(
            "Captions of neighbours ({count}) take {longest} tokens, and the language model of {base} has "
            "places for {places} in all; take fewer --neighbours, or lower --max-tokens.",
            count=count,
            longest=longest,
            base=network.base,
            places=places,
        )


def add_neighbours(
    accelerator: Any,
    network: StagedNetwork,
    prepared: Prepared,
    data: TrainingData,
    options: CaptionTraining,
    progress: ProgressCallback,
) -> tuple[TrainingData, NeighbourIndex]:
    """The data with the captions of neighbours before each prompt, and the index of a bundle.

    Without a cache of features the vision tower sees every image for it.
    """
    parts = [prepared.part(split) for split in SPLITS]
    train, valid = (
        _embeddings(accelerator, network, part, encoded, step, progress)
        for part, encoded, step in zip(
            parts, (data.training, data.validation), ("training images", "validation images"), strict=True
        )
    )
    # With the 16 bits that the bundle will have.
    index = NeighbourIndex(
        train.astype(np.float16).astype(np.float32), data.training.captions, options.neighbours
    )
    groups = copy_groups(parts)
    known, new = groups[: len(train)], groups[len(train) :]
    training, validation = (
        replace(split, contexts=contexts_of(network, index.nearest(seen, known, own, split.captions)))
        for split, seen, own in ((data.training, train, known), (data.validation, valid, new))
    )
    return replace(data, training=training, validation=validation), index


def copy_groups(parts: Sequence[Part]) -> Ints:
    """(rows,): which rows of all `parts` must not be each other's neighbours.

    They share the case, the picture or nearly that, or a caption of eight words or more.
    """
    columns = [
        group_numbers([group for part in parts for group in part.groups], range(sum(map(len, parts)))),
        duplicate_images(np.concatenate([pictures_of(part).thumbnails for part in parts])),
    ]
    for name in ("prints", "caption_prints"):
        values = np.concatenate([getattr(part, name) for part in parts])
        numbers = np.unique(values, return_inverse=True)[1].astype(np.int64)
        columns.append(np.where(values != 0, numbers, -1))
    rows = len(columns[0])
    # Numbers of different columns must not meet.
    keys = [np.where(column >= 0, column + place * rows, -1) for place, column in enumerate(columns)]
    return component_ids(np.stack(keys, axis=1))


def _embeddings(
    accelerator: Any,
    network: StagedNetwork,
    part: Part,
    encoded: EncodedSplit,
    step: str,
    progress: ProgressCallback,
) -> Embeddings:
    if isinstance(encoded.features, FeatureCache) and encoded.features.means is not None:
        return encoded.features.means

    def seen(squares: NDArray[np.uint8]) -> Embeddings:
        return embedding(network.vision_features(torch.from_numpy(network.image.normalised(squares))))

    return embeddings_of(accelerator, part, seen, IMAGES_AT_ONCE, step, progress)
