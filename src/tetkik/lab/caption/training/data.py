"""The training data of a captioner: captions as tokens, image features on disk, the rows of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import CaptionBatch, Cut
from tetkik.errors import DataError
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.leakage import long_captions, pictures_of
from tetkik.lab.caption.training.features import (
    GB,
    FeaturePlan,
    Features,
    LiveFeatures,
    cache_place,
    check_room,
    feature_numbers,
    feature_plan,
    features_key,
    frozen_would_be_smaller,
    missing_bytes,
    write_features,
)
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.engine.batches import Rows, in_steps
from tetkik.lab.engine.learned_rows import LearnedRows, Pictures
from tetkik.lab.engine.session import Notify
from tetkik.language import Sentence
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.caption.image_spec import ImageSpec
    from tetkik.lab.caption.prepared import Part, Prepared

IMAGES_AT_ONCE = 8
"""Through the frozen part, whose memory it takes while the rest of the model waits."""
SPLITS = (Split.TRAIN, Split.VALID)
"""The splits that training opens; the test split is not among them."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSplit:
    """The rows of one split; groups are cases or articles, tokens without special ones."""

    ids: tuple[str, ...]
    captions: tuple[str, ...]
    groups: tuple[str | None, ...]
    tokens: list[NDArray[np.int32]]
    features: Features

    def batch(self, network: StagedNetwork, rows: Rows) -> CaptionBatch:
        """Captions as the language model reads them."""
        return network.batch([self.tokens[row] for row in rows.tolist()])

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(rows,), tokens of each caption."""
        return np.array([len(row) for row in self.tokens], np.int64)

    def ids_of(self, rows: Rows) -> list[str]:
        return [self.ids[row] for row in rows.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The rows a captioner is trained on and validated on; of the `sample` captions are generated.

    Validation may be empty; the last epoch then counts.
    """

    training: EncodedSplit
    validation: EncodedSplit
    sample: Rows


def sample_rows(rows: int, count: int, seed: int) -> Rows:
    """A fixed sample of validation rows, sorted; all of them where there are fewer."""
    random = np.random.default_rng((seed, 2))
    return np.sort(random.permutation(rows)[:count]).astype(np.int64)


def tokens_of(prepared: Prepared, part: Part, network: StagedNetwork, most: int) -> list[NDArray[np.int32]]:
    """The tokens of each caption of a split: those prepared with the same tokenizer, or new ones."""
    long_enough = prepared.max_tokens is None or prepared.max_tokens >= most
    ready = part.tokens(network.fingerprint) if long_enough else None
    rows = network.encode(part.captions) if ready is None else ready
    return [np.asarray(row, np.int32)[:most] for row in rows]


def check_prepared(prepared: Prepared, wanted: ImageSpec, tune: int) -> None:
    """Whether there is anything to learn, and from pictures as the base wants them."""
    if not prepared.rows(Split.TRAIN):
        raise DataError(
            "{folder} holds no training rows; prepare a source that has some.", folder=prepared.folder
        )
    if tune and not prepared.rows(Split.VALID):
        raise DataError(
            "{folder} holds no validation rows, on which --tune would choose; prepare a source that has "
            "some, or leave --tune out.",
            folder=prepared.folder,
        )
    have = prepared.image
    if (have.size, have.resample) != (wanted.size, wanted.resample):
        raise DataError(
            "{folder} holds pictures of {have} pixels and the base wants {wanted} (resampled as its own "
            "processor does); run `tetkik caption prepare` again with that --base.",
            folder=prepared.folder,
            have=have.size,
            wanted=wanted.size,
        )


def make_training_data(
    accelerator: Any,
    network: StagedNetwork,
    prepared: Prepared,
    options: CaptionTraining,
    store: Path,
    *,
    progress: ProgressCallback,
    notify: Notify,
) -> TrainingData:
    """The rows of the training and the validation split, as the network is given them.

    `notify` is told how much goes to the disk, before it does.
    """
    parts = {split: prepared.part(split) for split in SPLITS}
    sources: list[Features] = [LiveFeatures(part, network.image) for part in parts.values()]
    if options.cache_features:
        notify(cache_place(network))
    if options.cache_features and network.cut is not Cut.NOTHING:
        sources = _cached(accelerator, network, parts, options, store, progress, notify)
    training, validation = (
        EncodedSplit(
            part.ids,
            part.captions,
            part.groups,
            tokens_of(prepared, part, network, options.max_tokens),
            source,
        )
        for part, source in zip(parts.values(), sources, strict=True)
    )
    return TrainingData(training, validation, sample_rows(len(validation), options.judged, options.seed))


def _cached(
    accelerator: Any,
    network: StagedNetwork,
    parts: Mapping[Split, Part],
    options: CaptionTraining,
    store: Path,
    progress: ProgressCallback,
    notify: Notify,
) -> list[Features]:
    key = features_key(network, feature_numbers(options.precision))
    plans = [feature_plan(store, key, split.value, part.digest, len(part)) for split, part in parts.items()]
    if accelerator.is_main_process:
        _notify_of_room(plans, network, store, notify)
    missing = [sum(min(plan.block_rows, plan.rows - start) for start in plan.missing()) for plan in plans]
    for place, (part, plan) in enumerate(zip(parts.values(), plans, strict=True)):
        # One bar for both splits.
        before = sum(missing[:place])

        def report(step: str, done: int, _: int | None, before: int = before) -> None:
            progress(step, before + done, sum(missing))

        write_features(
            accelerator,
            network,
            part,
            plan,
            batch=IMAGES_AT_ONCE,
            precision=options.precision,
            progress=report,
        )
    return [plan.open() for plan in plans]


def _notify_of_room(
    plans: Sequence[FeaturePlan], network: StagedNetwork, store: Path, notify: Notify
) -> None:
    needed = missing_bytes(plans)
    check_room(needed, store, smaller=frozen_would_be_smaller(network))
    count = sum(plan.rows for plan in plans)
    values: dict[str, object] = {"count": count, "folder": store}
    if not needed:
        notify(Sentence("The features of {count} images are in {folder} already.", values))
        return
    template = "The features of {count} images are computed once and take {size:.2f} GB in {folder}."
    notify(Sentence(template, {**values, "size": max(needed / GB, 0.01)}))


def process_parts(step: Rows, rank: int, world: int, accumulation: int) -> list[Rows]:
    """What one process does of a step, in the parts in which it does it; none where others have all rows.

    Rows of a step are sorted by length, so every process gets short and long ones alike, and each part holds
    rows of like length.
    """
    mine = step[rank::world]
    return [part for part in np.array_split(mine, min(accumulation, len(mine)) or 1) if len(part)]


def by_length(lengths: NDArray[np.int64], size: int) -> list[Rows]:
    """All rows in batches of like length, the longest first."""
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    return in_steps(order, size)


def identity(prepared: Prepared, options: CaptionTraining) -> Mapping[str, Any]:
    """The data and the settings: these must be the same for a resume.

    How a step is cut to fit the memory may change, so that a training that ran out of it can go on.
    """
    files = {split: prepared.files[split].all() for split in SPLITS if split in prepared.files}
    settings = options.as_json()
    del settings["accumulation"], settings["checkpointing"]
    return {
        "data": {split.value: [file.sha256 for file in found] for split, found in files.items()},
        **settings,
    }


def learned_rows(prepared: Prepared) -> LearnedRows:
    """Of every training and validation picture, and caption of eight words or more."""
    parts = [prepared.part(split) for split in SPLITS]
    found = [pictures_of(part) for part in parts]
    pictures = Pictures(
        np.concatenate([part.digests for part in found]), np.concatenate([part.thumbnails for part in found])
    )
    captions = [caption for part in parts for caption in long_captions(part) if caption]
    return LearnedRows.of("".join(part.digest for part in parts), captions, pictures)
