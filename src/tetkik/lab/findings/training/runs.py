"""The networks of a training, members of an ensemble and of folds: built, trained, and scored with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from tetkik.errors import TrainingError, UsageError
from tetkik.findings.networks import FAMILIES, build, preprocessing_of
from tetkik.findings.networks.encoder import (
    Encoder,
    EncoderNetwork,
    Pooling,
    embed,
    encoder_preprocessing,
    open_encoder,
)
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.arrays import ArrayStore
from tetkik.lab.engine.batches import Rows, in_steps
from tetkik.lab.engine.checkpoint import WorkFolder, tensors_as_bytes
from tetkik.lab.engine.processes import in_shares, wait_for_all
from tetkik.lab.engine.session import Session
from tetkik.lab.engine.splits import Parts, folds, split
from tetkik.lab.engine.trainer import TrainingState
from tetkik.lab.findings.sources.rows import Truth, in_columns
from tetkik.lab.findings.training.data import (
    LabelCounts,
    TrainingData,
    as_input,
    check_learnable,
    count_labels,
    load_batches,
    logits_of,
    mask_unlearnable,
)
from tetkik.lab.findings.training.decoded_images import (
    CachedImages,
    DecodedImages,
    digests_of,
    fits,
    open_images,
)
from tetkik.lab.findings.training.distillation import (
    TEACHER,
    LogitScale,
    TeacherPredictions,
    last_layer,
    merged,
    read_teacher,
)
from tetkik.lab.findings.training.encoders import merge_lora, over_encoder, pooling_of, standardise
from tetkik.lab.findings.training.options import RANDOM, TeacherUse, TrainingOptions
from tetkik.lab.findings.training.ridge import GridPooled, StageMeans, check_row_count, fit_ridge, stages_of
from tetkik.lab.findings.training.trainer import Epoch, FindingsTrainer
from tetkik.networks.network import answer_in_fp32
from tetkik.statistics.intervals import Floats
from tetkik.values.common import ProgressCallback, step_like

if TYPE_CHECKING:
    from tetkik.lab.findings.data import LabelledImages


# What a frozen encoder says of the images of a training: computed once, in fp32, and kept on the disk.


_GIB = 1 << 30
_BATCH = 16
"""Most images that the encoder sees at once; a head takes far more."""
_KINDS: Mapping[Pooling, np.dtype[Any]] = {
    Pooling.LINEAR: np.dtype(np.float32),
    Pooling.ATTENTION: np.dtype(np.float16),
}
"""The patches of an image are a thousand times as many numbers, and are halved."""


@torch.no_grad()
def embedded_images(
    encoder: Encoder,
    pooling: Pooling,
    images: DecodedImages,
    files: Sequence[Path],
    preprocessing: Preprocessing,
    folder: Path,
    *,
    options: TrainingOptions,
    device: torch.device,
    progress: ProgressCallback,
) -> CachedImages:
    """For each of `images`, decoded from `files`, what a head of that pooling reads.

    It is kept in `folder` by the encoder's weights, the preprocessing and the bytes of the image's file; what
    is not there yet is computed.

    Raises:
        UsageError: they are more than the limit of the settings.
        TrainingError: they have numbers that cannot be kept.
        OutputError: the disk is full.
    """
    done = {"encoder": encoder.fingerprint(), "pooling": pooling, **preprocessing.as_json()}
    answer_in_fp32()
    encoder.to(device)
    blank = torch.zeros(1, preprocessing.channels, preprocessing.size, preprocessing.size, device=device)
    shape, kind = tuple(embed(encoder, pooling, blank).shape[1:]), _KINDS[pooling]
    with ThreadPoolExecutor() as pool:
        digests = digests_of(files, pool, progress)
    store = ArrayStore(folder, "embeddings", done, shape, kind)
    first = {digest: row for row, digest in reversed(list(enumerate(digests))) if digest}
    rows_of = np.array(list(first.values()), np.int64)
    missing = np.sort(rows_of[store.places(first) < 0])
    needed, there = len(missing) * store.bytes, (len(first) - len(missing)) * store.bytes
    if needed and not fits(needed, folder, options.cache_limit, there=there):
        raise UsageError(
            "What the encoder says of the images needs {size:.1f} GiB, more than --cache-limit or the "
            "disk allows; raise it, take --encoder-head linear, or give --cache a folder with more room.",
            size=(needed + there) / _GIB,
        )
    count = 0
    for rows, batch in load_batches(images, in_steps(missing, min(options.batch_size, _BATCH)), device):
        found = embed(encoder, pooling, as_input(batch, preprocessing)).cpu().numpy()
        with np.errstate(over="ignore"):
            kept = [(str(digests[row]), one.astype(kind)) for row, one in zip(rows, found, strict=True)]
        if not all(np.isfinite(one).all() for _, one in kept):
            raise TrainingError(
                "What the encoder says of the images has numbers beyond {kind}, in which it is kept; "
                "take --encoder-head linear, or another encoder.",
                kind=kind.name,
            )
        store.add([item for item, row in zip(kept, rows, strict=True) if images.readable[row]])
        count += len(rows)
        progress("encoding images", count, len(missing))
    encoder.cpu()
    return CachedImages(store.open().arrays, store.places(digests))


Scores = NDArray[np.float32]
TrainingSession = Session[TrainingOptions]


@dataclass(frozen=True, slots=True, eq=False)
class RunConfig:
    """What all networks of one training share."""

    labels: tuple[str, ...]
    images: DecodedImages
    truth: Truth
    """(rows, labels), with -1 where unknown or not to be taught."""
    weight: NDArray[np.float32]
    """(rows,), how often a row comes."""
    teacher: TeacherPredictions | None
    preprocessing: Preprocessing
    options: TrainingOptions
    means: StageMeans
    """Of the stages of the untrained network, for ridge regression."""
    encoder: Encoder | None = None
    embeddings: CachedImages | None = None
    """What the encoder says of the images, where it is frozen."""

    @property
    def inputs(self) -> DecodedImages:
        """What the networks read: the images, or their embeddings."""
        return self.images if self.embeddings is None else self.embeddings

    @property
    def second_head(self) -> tuple[str, ...]:
        """The labels that a teacher's head learns; empty without one."""
        teacher = self.options.teacher
        if self.teacher is None or teacher is None or teacher.use is not TeacherUse.HEAD:
            return ()
        return self.teacher.labels

    def learnable(self, rows: Rows) -> Rows:
        """Those of `rows` that have anything to teach."""
        known = (self.truth[rows] >= 0).any(axis=1)
        if self.teacher is not None:
            known |= ~np.isnan(self.teacher.probability[rows]).all(axis=1)
        return rows[known & self.inputs.readable[rows]]


@dataclass(frozen=True, slots=True)
class Trained:
    """One network at the end of its training."""

    weights: dict[str, Tensor]
    epochs: tuple[Epoch, ...]
    best_epoch: int
    """Whose weights were kept; 0 for the last."""
    ridge: bool = False


def new_network(config: RunConfig, seed: int, *, second_head: bool) -> nn.Module:
    """A network to be trained: the labels, then a teacher's head where wanted."""
    options = config.options
    outputs = (*config.labels, *(f"{TEACHER}{label}" for label in config.second_head if second_head))
    weights = options.weights if options.weights != RANDOM and options.network in FAMILIES else None
    torch.manual_seed(seed)
    if config.encoder is not None:
        return over_encoder(config.encoder, options, len(outputs))
    network: nn.Module = build(options.network, outputs, weights=weights)
    return network


def label_network(config: RunConfig, trained: Trained) -> nn.Module:
    """A trained network with one output a label, in evaluation mode, on the CPU.

    Over a frozen encoder it is the head alone, which reads embeddings.
    """
    bare = config
    if config.encoder is None:
        bare = replace(config, options=TrainingOptions(network=config.options.network, weights=RANDOM))
    network = new_network(bare, 0, second_head=False)
    if trained.ridge:
        network = GridPooled.over(stages_of(network), len(config.labels))
    network.load_state_dict(trained.weights)
    return merge_lora(network).eval()


def shipped_networks(config: RunConfig, members: Sequence[Trained]) -> list[nn.Module]:
    """The members as networks that read images; those over a frozen encoder are one."""
    networks = [label_network(config, member) for member in members]
    if config.embeddings is None or config.encoder is None:
        return networks
    return [EncoderNetwork(config.encoder, networks, pooling_of(config.options)).eval()]


def freeze(network: nn.Module, stages: int) -> None:
    """Take the first `stages` of the network out of the training.

    No gradient is computed for them, and none before them: that saves most of the work of a small network,
    whose first stages see the largest images.
    """
    if stages:
        for stage in islice(stages_of(network, least=stages + 1), stages):
            stage.requires_grad_(False)


def train_network(
    session: TrainingSession,
    config: RunConfig,
    rows: tuple[Rows, Rows | None],
    *,
    run: str,
    seed: int,
    keep: bool = True,
) -> Trained:
    """Train one network, or take it up where it was left, or as it was finished.

    `rows` are those to learn from and to judge each epoch on; without `keep` (a trial) nothing is written.
    """
    work = session.work if keep else None
    if work is not None and (finished := _finished(work, run)) is not None:
        return finished
    network = new_network(config, seed, second_head=True)
    freeze(network, config.options.freeze)
    if config.encoder is not None:
        device = session.accelerator.device
        standardise(network, config.inputs, config.learnable(rows[0]), config.preprocessing, device)
    layer = last_layer(network, len(config.labels) + len(config.second_head))
    training = config.learnable(rows[0])
    scale, targets = _teacher(config, training)
    trainer = FindingsTrainer(
        session.accelerator,
        network,
        layer,
        TrainingData(config.inputs, config.truth, config.weight, training, rows[1], targets),
        config.preprocessing,
        options=config.options,
        seed=seed,
        run=run,
        work=work,
    )
    state = trainer.run(lambda step, done, total: session.progress(step_like(step, run), done, total))
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    if scale is not None and config.options.teacher is not None:
        weights = merged(weights, layer, config.labels, scale, config.options.teacher.share)
    trained = Trained(weights, tuple(state.epochs), state.best_epoch)
    return _finish(session, trained, state) if keep else trained


def _finished(work: WorkFolder, run: str, *, ridge: bool = False) -> Trained | None:
    """The network of that name where it was trained to the end before."""
    if (found := work.finished(run)) is None:
        return None
    state = TrainingState.from_json(found[1], Epoch)
    return Trained(load_file(found[0]), tuple(state.epochs), state.best_epoch, ridge)


def _finish(session: TrainingSession, trained: Trained, state: TrainingState[Epoch]) -> Trained:
    if session.main:
        session.work.finish(state.run, tensors_as_bytes(trained.weights), asdict(state))
    wait_for_all(session.accelerator)
    return trained


def _teacher(config: RunConfig, training: Rows) -> tuple[LogitScale | None, Scores | None]:
    """The scale of a teacher's head, and what is learned of the teacher: z-scores, or probabilities."""
    if config.teacher is None:
        return None, None
    if config.second_head:
        scale = LogitScale.of(config.teacher, training)
        return scale, scale.targets(config.teacher)
    return None, in_columns(config.teacher.probability, config.teacher.labels, config.labels, np.nan)


def train_ridge(session: TrainingSession, config: RunConfig, rows: Rows, *, run: str) -> Trained:
    """Fit ridge regression on the stages of the untrained network, or take it as it was finished."""
    finished = _finished(session.work, run, ridge=True)
    # Every process must have looked before the first one writes.
    wait_for_all(session.accelerator)
    if finished is not None:
        return finished
    training = config.learnable(rows)
    check_row_count(len(training))
    stages = stages_of(new_network(config, 0, second_head=False))
    device = session.accelerator.device
    network = GridPooled.over(stages, len(config.labels)).to(device)
    features = config.means.of(network, training, device, session.progress)
    teacher = None
    if config.second_head and config.teacher is not None and config.options.teacher is not None:
        soft = TeacherPredictions(config.teacher.labels, config.teacher.probability[training])
        teacher = (soft, config.options.teacher.share)
    fit_ridge(network.cpu(), features, config.truth[training], config.labels, teacher)
    weights = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    return _finish(session, Trained(weights, (), 0, ridge=True), TrainingState(run))


def mean_scores(
    session: TrainingSession, config: RunConfig, members: Sequence[Trained], rows: Rows
) -> Floats:
    """The sigmoid of the members' mean logit, as the exported network gives it: (rows, labels), 0 to 1.

    Each process reads its share of the rows.
    """
    answer_in_fp32()
    total = np.zeros((len(rows), len(config.labels)))
    device = session.accelerator.device
    for number, member in enumerate(members):
        session.progress("reading", number, len(members))
        read = partial(
            logits_of,
            label_network(config, member).to(device),
            config.inputs,
            preprocessing=config.preprocessing,
            batch_size=config.options.batch_size,
            device=device,
        )
        total += in_shares(session.accelerator, rows, read)
    session.progress("reading", len(members), len(members))
    mean = total / len(members)
    scores = (0.5 * (1 + np.tanh(mean / 2))).astype(np.float32)  # a sigmoid that cannot overflow
    return scores.astype(np.float64)


# From labelled images to what networks are trained on: decoded, labels that can be taught, parts.


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
