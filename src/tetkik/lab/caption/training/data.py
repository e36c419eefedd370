"""The training data of a captioner: captions as tokens, image features on disk, the rows of each step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.bundle.manifest import Metric
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import CaptionBatch, Cut, DecodingOptions
from tetkik.errors import DataError
from tetkik.lab.caption.metrics.scores import quick_measures, replicates
from tetkik.lab.caption.prepare import long_captions, pictures_of
from tetkik.lab.caption.prepared import Split, group_numbers
from tetkik.lab.caption.training.features import (
    GB,
    Features,
    LiveFeatures,
    cache_place,
    check_room,
    feature_numbers,
    features_key,
    frozen_would_be_smaller,
    open_features,
    places_of,
    split_store,
    write_features,
)
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.engine.batches import Rows, in_steps, prefetched
from tetkik.lab.engine.learned_rows import LearnedRows, Pictures
from tetkik.lab.engine.precision import Precision, autocast
from tetkik.lab.engine.processes import gathered
from tetkik.lab.engine.results import ends
from tetkik.lab.engine.session import Notify
from tetkik.language import Sentence
from tetkik.statistics.intervals import ClusterBootstrap, percentile_interval
from tetkik.values.common import ProgressCallback

if TYPE_CHECKING:
    from tetkik.caption.image_spec import ImageSpec
    from tetkik.lab.caption.prepared import Prepared, PreparedPart
    from tetkik.lab.caption.training.tuning import Epoch
    from tetkik.lab.engine.trainer import TrainingState

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


def tokens_of(
    prepared: Prepared, part: PreparedPart, network: StagedNetwork, most: int
) -> list[NDArray[np.int32]]:
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
    parts: Mapping[Split, PreparedPart],
    options: CaptionTraining,
    store: Path,
    progress: ProgressCallback,
    notify: Notify,
) -> list[Features]:
    key = features_key(network, feature_numbers(options.precision))
    stores = [split_store(store, key, split.value, part.digest) for split, part in parts.items()]
    rows = [len(part) for part in parts.values()]
    missing = [int((places_of(*each) < 0).sum()) for each in zip(stores, rows, strict=True)]
    if accelerator.is_main_process:
        needed = sum(missing) * stores[0].bytes
        check_room(needed, store, smaller=frozen_would_be_smaller(network))
        _notify_of_room(needed, sum(rows), store, notify)
    for place, (part, kept) in enumerate(zip(parts.values(), stores, strict=True)):
        # One bar for both splits.
        before = sum(missing[:place])

        def report(step: str, done: int, _: int | None, before: int = before) -> None:
            progress(step, before + done, sum(missing))

        write_features(
            accelerator,
            network,
            part,
            kept,
            batch=IMAGES_AT_ONCE,
            precision=options.precision,
            progress=report,
        )
    return [*map(open_features, stores, rows)]


def _notify_of_room(needed: int, count: int, store: Path, notify: Notify) -> None:
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


# Validation: the loss on its captions, captions generated for it, and their metrics.


SPLIT = (Sentence("validation (used for early stopping)"),)
_REPLICATES = 1000


def loss_per_token(
    accelerator: Any, network: StagedNetwork, part: EncodedSplit, size: int, precision: Precision
) -> float:
    """Cross-entropy in nats per token, over all rows and all processes, without smoothing."""
    module, device = network.trainable(), accelerator.device
    total = torch.zeros(2, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    mine = by_length(part.lengths, size)[accelerator.process_index :: accelerator.num_processes]
    with torch.no_grad(), network.judging():
        for rows, stored in prefetched(part.features.fetch, mine):
            features = part.features.at_cut(network, stored, device)
            batch = part.batch(network, rows)
            with autocast(device, precision):
                loss = module(
                    features, batch.ids.to(device), batch.mask.to(device), batch.targets.to(device), 0.0
                )
            total += torch.stack((loss.to(total.dtype), (batch.targets != -100).sum().to(total)))
    loss, tokens = np.sum(gathered(accelerator, [total.tolist()]), axis=0).tolist()
    return float(loss) / max(1.0, float(tokens))


def make_captions(
    accelerator: Any,
    network: StagedNetwork,
    part: EncodedSplit,
    rows: Rows,
    *,
    size: int,
    most: int,
    precision: Precision,
) -> list[str]:
    """A caption for each of `rows`, greedily, each process its share; the same in every process."""
    options = DecodingOptions(beams=1, max_tokens=most)
    mine = in_steps(rows[accelerator.process_index :: accelerator.num_processes], size)
    found: list[tuple[int, str]] = []
    with torch.no_grad(), network.judging():
        for which, stored in prefetched(part.features.fetch, mine):
            features = part.features.at_cut(network, stored, accelerator.device)
            with autocast(accelerator.device, precision):
                made = network.generate(features, options)
            found += [(row, item.text) for row, item in zip(which.tolist(), made, strict=True)]
    by_row = dict(gathered(accelerator, found))
    return [by_row[row] for row in rows.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedCaptions:
    """Captions that the trained network generated for some validation rows, one for each."""

    part: EncodedSplit
    rows: Rows
    made: tuple[str, ...]

    @property
    def listed(self) -> list[tuple[str, str, str]]:
        """Id, caption of the source and caption made, of each row."""
        rows = self.rows.tolist()
        return [(self.part.ids[r], self.part.captions[r], m) for r, m in zip(rows, self.made, strict=True)]


def validation_metrics(
    state: TrainingState[Epoch], generated: GeneratedCaptions | None, data: str
) -> tuple[Metric, ...]:
    """Loss a token of the epoch that was kept, and CIDEr, ROUGE-L and the share of different captions.

    CIDEr's document frequencies stay those of all rows where groups are drawn for its interval.
    """
    if generated is None:
        return ()
    metrics = []
    loss = state.epochs[state.best_epoch - 1].validation_loss
    if loss is not None:
        metrics.append(Metric(name="loss", value=loss, n=len(generated.part), data=data, split=SPLIT))
    measures = quick_measures(generated.made, [truth for _, truth, _ in generated.listed])
    split = SPLIT if len(generated.rows) == len(generated.part) else (*SPLIT, Sentence("a fixed sample"))
    n = len(generated.rows)
    draws = ClusterBootstrap(group_numbers(generated.part.groups, generated.rows.tolist()), _REPLICATES)
    drawn = map(percentile_interval, replicates(measures, draws)) if draws.possible else [None, None]
    for measure, interval in zip(measures, drawn, strict=True):
        metrics.append(
            Metric(name=measure.name, value=measure.value, **ends(interval), n=n, data=data, split=split)
        )
    share = len(set(generated.made)) / len(generated.made)
    metrics.append(Metric(name="distinct", value=share, n=n, data=data, split=split))
    return tuple(item for item in metrics if math.isfinite(item.value))
