"""What a training puts into prompts about each image: names of concepts, captions of its neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.caption.families.staged import Contexts, StagedNetwork
from tetkik.caption.neighbours import NeighbourIndex, embedding
from tetkik.caption.network import Cut
from tetkik.caption.prompt_words import CONCEPTS as NAMES
from tetkik.caption.prompt_words import NO_WORDS, SIMILAR, PromptWords, Wording, contexts_of
from tetkik.errors import UsageError
from tetkik.lab.caption.embeddings import Embeddings, embeddings_of
from tetkik.lab.caption.training.concepts import (
    ConceptFigures,
    concept_figures,
    fit_concepts,
    head_names,
    hot_of,
    names_in,
)
from tetkik.lab.caption.training.copies import copy_groups
from tetkik.lab.caption.training.data import IMAGES_AT_ONCE, SPLITS, EncodedSplit, TrainingData
from tetkik.lab.caption.training.features import FeatureCache
from tetkik.lab.caption.training.kept import CONCEPTS, NEIGHBOURS
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.engine.processes import gathered
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Part, Prepared


def check_prompts(network: StagedNetwork, options: CaptionTraining, prepared: Prepared | None) -> None:
    """Refuse a base with one prompt for all images, or too few places for what is to stand in it.

    A vision tower that learns is refused too: what is said would be of what it saw before. So is data
    without concepts where these are wanted.
    """
    if network.cut is Cut.NOTHING:
        raise UsageError(
            "The vision tower of {base} would learn, and --neighbours and --concepts need one that does not; "
            "leave these out, or the --target in the vision tower.",
            base=network.base,
        )
    if not network.takes_context:
        raise UsageError(
            "{base} encodes one prompt for all images, so words about each cannot stand in it; leave out "
            "--neighbours and --concepts, or choose a base whose language model has no encoder.",
            base=network.base,
        )
    places = getattr(network.core.config.text_config, "max_position_embeddings", None)
    taken = network.stages()[-1].shape[0] + len(network.batch_of([([], True)]).ids[0]) + options.max_tokens
    longest = _longest(network, SIMILAR, options.neighbours) + _longest(network, NAMES, options.concepts)
    if places is not None and taken + longest > places:
        raise UsageError(
            "The words of --neighbours and --concepts take {longest} tokens, and the language model of "
            "{base} has places for {places} in all; take fewer of them, or lower --max-tokens.",
            longest=longest,
            base=network.base,
            places=places,
        )
    if options.concepts and prepared is not None:
        head_names(prepared, names_in(prepared, prepared.part(SPLITS[0])))


def _longest(network: StagedNetwork, wording: Wording, count: int) -> int:
    texts = [f"{number} " * wording.longest for number in range(count)]
    return len(contexts_of(network, [texts], wording)[0])


def add_prompt_words(
    accelerator: Any,
    network: StagedNetwork,
    prepared: Prepared,
    data: TrainingData,
    options: CaptionTraining,
    progress: ProgressCallback,
) -> tuple[TrainingData, PromptWords, ConceptFigures | None]:
    """The data with what stands before each prompt, and what a bundle needs to say the same of new images.

    Without a cache of features the vision tower sees every image for it.
    """
    parts = [prepared.part(split) for split in SPLITS]
    train, valid = (
        _embeddings(accelerator, network, part, encoded, step, progress)
        for part, encoded, step in zip(
            parts, (data.training, data.validation), ("training images", "validation images"), strict=True
        )
    )
    groups = copy_groups(parts)
    known, new = groups[: len(train)], groups[len(train) :]
    # By part: the contexts of the training and of the validation.
    by_part: dict[str, tuple[Contexts, Contexts]] = {}
    words, figures = NO_WORDS, None
    if options.concepts:
        rows, judged = (names_in(prepared, part) for part in parts)
        names = head_names(prepared, rows)
        # Once, so that the prompts of all processes are those of one head.
        ((head, left_out),) = gathered(
            accelerator,
            [fit_concepts(train, hot_of(rows, names), known, names, options.concepts)]
            if accelerator.is_main_process
            else [],
        )
        by_part[CONCEPTS] = (
            contexts_of(network, left_out, NAMES),
            contexts_of(network, head.names_of(valid) if len(valid) else [], NAMES),
        )
        words, figures = PromptWords(head), concept_figures(head, valid, judged)
    if options.neighbours:
        # With the 16 bits that the bundle will have.
        index = NeighbourIndex(
            train.astype(np.float16).astype(np.float32), data.training.captions, options.neighbours
        )
        near = (
            index.nearest(seen, known, own, split.captions)
            for split, seen, own in ((data.training, train, known), (data.validation, valid, new))
        )
        of_train, of_valid = (contexts_of(network, texts) for texts in near)
        by_part[NEIGHBOURS] = (of_train, of_valid)
        words = replace(words, neighbours=index)
    training, validation = (
        replace(split, contexts={part: contexts[place] for part, contexts in by_part.items()})
        for place, split in enumerate((data.training, data.validation))
    )
    return replace(data, training=training, validation=validation), words, figures


def without(words: PromptWords, part: str) -> PromptWords:
    """The same without what an option put there."""
    return replace(words, **{part.removeprefix("--"): None})


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

    if not len(part):
        return np.zeros((0, network.stages()[0].shape[1]), np.float32)
    return embeddings_of(accelerator, part, seen, IMAGES_AT_ONCE, step, progress)
