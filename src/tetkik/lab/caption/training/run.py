"""One run of `tetkik caption train`: settings tried, a network trained, captions made, the bundle written."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file

from tetkik.bundle.card import finish_bundle
from tetkik.bundle.manifest import Manifest, Metric, Task
from tetkik.bundle.store import staged_folder
from tetkik.caption.families.loading import image_spec_of
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.options import Learning
from tetkik.caption.storage import preprocessing_of, write_network
from tetkik.errors import TrainingError, UsageError
from tetkik.lab.caption.evaluation_page import COLLAPSED, REPEATED
from tetkik.lab.caption.prepared import Prepared
from tetkik.lab.caption.training.card import (
    LIBRARIES,
    ModelDescription,
    counted,
    describe_model,
    left_out,
    make_card,
)
from tetkik.lab.caption.training.data import (
    GeneratedCaptions,
    TrainingData,
    check_prepared,
    identity,
    learned_rows,
    make_captions,
    make_training_data,
    validation_metrics,
)
from tetkik.lab.caption.training.features import feature_store
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.trainer import (
    CaptionTrainer,
    learned_weights,
    load_learned,
    new_network,
    part_size,
    whole_network,
)
from tetkik.lab.caption.training.tuning import CaptionTrial, Epoch, trial_sentence, tuned_captions
from tetkik.lab.engine.card import made_today, model_id, rows_csv
from tetkik.lab.engine.charts import csv_text, training_curves
from tetkik.lab.engine.checkpoint import room_on_disk, tensors_as_bytes
from tetkik.lab.engine.processes import wait_for_all
from tetkik.lab.engine.session import Notify, Session, training_session, write_log
from tetkik.lab.engine.trainer import TrainingState
from tetkik.language import Language, Sentence
from tetkik.settings import settings
from tetkik.values.common import ProgressCallback

# Writing the bundle of a training: adapter or whole weights, manifest, card and log.


CURVES = "curves.png"
LOSS = "Loss a token (nats)"
MEASURED = {"cider": "CIDEr on validation", "rouge_l": "ROUGE-L on validation"}


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What a training resulted in; `options` are those that `--tune` chose, captions those of validation."""

    network: StagedNetwork
    state: TrainingState[Epoch]
    trials: tuple[CaptionTrial, ...]
    options: CaptionTraining
    model: ModelDescription
    prepared: Prepared
    metrics: tuple[Metric, ...]
    captions: GeneratedCaptions | None


def write_bundle(result: TrainingResult, out: Path, progress: ProgressCallback, notify: Notify) -> None:
    """Write the bundle and the log beside it."""
    progress("export", 0, 2)
    with staged_folder(out) as stage:
        for sentence in write_network(result.network, stage, merge=result.options.merge):
            notify(sentence)
        learned_rows(result.prepared).after(result.network.found.folder).write(stage)
        curves = _curves(result.state, settings().language)
        (stage / CURVES).write_bytes(curves)
        progress("export", 1, 2)
        manifest = _manifest(result, out)
        card = make_card(result.prepared, result.model, result.options, result.state, result.trials)
        finish_bundle(stage, manifest, *card)
        _write_log(result, out, curves)
    progress("export", 2, 2)


def _curves(state: TrainingState[Epoch], language: Language) -> bytes:
    return training_curves(state.epochs, language, loss=LOSS, measured=MEASURED, best_epoch=state.best_epoch)


def _write_log(result: TrainingResult, out: Path, curves: bytes) -> None:
    listed = result.captions.listed if result.captions is not None else []
    trials = {"trials.csv": rows_csv(result.trials, CaptionTrial)} if result.trials else {}
    captions = csv_text(["id", "reference", "caption"], listed)
    epochs = rows_csv(result.state.epochs, Epoch)
    write_log(out, {CURVES: curves, "epochs.csv": epochs, "validation_captions.csv": captions, **trials})


def _manifest(result: TrainingResult, out: Path) -> Manifest:
    """Everything that the bundle says of itself, but for the hashes of its files."""
    options, network, model = result.options, result.network, result.model
    libraries = [name for name, module in LIBRARIES.items() if find_spec(module)]
    return Manifest(
        **made_today(model_id(options.id, out, "caption"), options.licence, libraries),
        task=Task.CAPTION,
        kind=network.family,
        labels=("caption",),
        preprocessing=preprocessing_of(network),
        metrics=result.metrics,
        training={
            **options.as_json(),
            "base": model.base,
            "revision": model.revision,
            "data_counts": counted(result.prepared),
            "rows_left_out": left_out(result.prepared),
            "learned_weights": model.learned,
            "weights": model.weights,
            "cut": model.cut,
            "best_epoch": result.state.best_epoch,
            "skipped_steps": result.state.skipped,
            "processes": model.processes,
        },
    )


_RUN = "captioner"
_TRIAL = "trial"


def run_training(
    prepared: Prepared, out: Path, options: CaptionTraining, progress: ProgressCallback, notify: Notify
) -> None:
    """As `train_caption` says, where its libraries are there."""
    image = image_spec_of(options.base, options.revision)
    check_prepared(prepared, image, options.tune)
    store = options.cache or feature_store(out)
    with training_session(
        out,
        options,
        lambda settled: identity(prepared, settled),
        progress,
        cache=store if options.cache is None else None,
    ) as session:
        run = _Run(session, prepared, image, store, notify if session.main else lambda _: None)
        try:
            result = run.result()
            if session.main:
                with room_on_disk(out.parent):
                    write_bundle(result, out, session.progress, run.notify)
        except BaseException as fault:
            # What was computed is there for the next try, but not where none of it will be wanted.
            if session.main and isinstance(fault, UsageError) and options.cache is None:
                shutil.rmtree(store, ignore_errors=True)
            if isinstance(fault, torch.OutOfMemoryError):
                raise TrainingError(
                    "The card has too little memory for {captions} captions at once; add --accumulation "
                    "{parts}, --checkpointing or --quantisation nf4, or ask --plan what fits.",
                    captions=part_size(options, session.accelerator.num_processes),
                    parts=2 * options.accumulation,
                ) from None
            raise


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    session: Session[CaptionTraining]
    prepared: Prepared
    image: ImageSpec
    store: Path
    notify: Notify

    def result(self) -> TrainingResult:
        session, options, accelerator = self.session, self.session.options, self.session.accelerator
        trials: tuple[CaptionTrial, ...] = ()
        network = self._new(options)
        data = make_training_data(
            accelerator,
            network,
            self.prepared,
            options,
            self.store,
            progress=session.progress,
            notify=self.notify,
        )
        if options.tune:
            self._drop(network)
            del network
            options, trials = self._tuned(data)
            network = self._new(options)
        model = describe_model(network, accelerator, options)
        self.notify(
            Sentence(
                "{learned:,} of {weights:,} weights learn ({share:.3%}).",
                {"learned": model.learned, "weights": model.weights, "share": model.learned / model.weights},
            )
        )
        self._drop(network)
        state = self._train(network, data, options)
        captions = self._captions(network, data) if len(data.validation) else None
        if session.main and captions is not None:
            self._warn_of_collapse(captions)
        whole = options.merge or options.learning is Learning.FULL
        if session.main and whole and options.cache_features:
            # The frozen weights were dropped, and are to be written too.
            weights = {name: weight.detach().cpu() for name, weight in learned_weights(network).items()}
            del network
            accelerator.free_memory()
            network = whole_network(weights, options, self.image, accelerator.device)
        return TrainingResult(
            network=network,
            state=state,
            trials=trials,
            options=options,
            model=model,
            prepared=self.prepared,
            metrics=validation_metrics(state, captions, options.data_name),
            captions=captions,
        )

    def _warn_of_collapse(self, captions: GeneratedCaptions) -> None:
        true, made = zip(*((true, made) for _, true, made in captions.listed), strict=True)
        distinct, of_true = (len(set(texts)) / len(texts) for texts in (made, true))
        if len(made) > 1 and distinct < min(COLLAPSED, of_true):
            self.notify(Sentence(REPEATED, {"made": 100 * distinct, "true": 100 * of_true}))

    def _new(self, options: CaptionTraining) -> StagedNetwork:
        return new_network(options, self.image, self.session.accelerator.device)

    def _drop(self, network: StagedNetwork) -> None:
        if self.session.options.cache_features:
            network.drop_frozen()
            self.session.accelerator.free_memory()

    def _trainer(
        self, network: StagedNetwork, data: TrainingData, options: CaptionTraining, run: str
    ) -> CaptionTrainer:
        work = self.session.work if run != _TRIAL else None
        return CaptionTrainer(
            self.session.accelerator, network, data, options, run=run, work=work, notify=self.notify
        )

    def _tuned(self, data: TrainingData) -> tuple[CaptionTraining, tuple[CaptionTrial, ...]]:
        session = self.session

        def run(tried: CaptionTraining) -> tuple[Epoch, ...]:
            self.notify(trial_sentence(tried))
            # The network before must have gone before the next one is loaded.
            session.accelerator.free_memory()
            network = self._new(tried)
            self._drop(network)
            trainer = self._trainer(network, data, tried, _TRIAL)
            return tuple(trainer.run(lambda _, done, total: session.progress("trial", done, total)).epochs)

        found = tuned_captions(session.options, session.work, run, keep=session.main)
        session.accelerator.free_memory()
        return found

    def _train(
        self, network: StagedNetwork, data: TrainingData, options: CaptionTraining
    ) -> TrainingState[Epoch]:
        """To the end, or take it up where it was left, or as it was finished."""
        session = self.session
        finished = session.work.finished(_RUN)
        if finished is not None:
            load_learned(network, load_file(finished[0]))
            return TrainingState.from_json(finished[1], Epoch)
        state = self._trainer(network, data, options, _RUN).run(session.progress)
        if session.main:
            session.work.finish(_RUN, tensors_as_bytes(learned_weights(network)), asdict(state))
        wait_for_all(session.accelerator)
        return state

    def _captions(self, network: StagedNetwork, data: TrainingData) -> GeneratedCaptions:
        """Captions of the validation sample."""
        options, accelerator = self.session.options, self.session.accelerator
        made = make_captions(
            accelerator,
            network,
            data.validation,
            data.sample,
            size=part_size(options, accelerator.num_processes),
            most=options.max_tokens,
            precision=options.precision,
        )
        return GeneratedCaptions(data.validation, data.sample, tuple(made))
