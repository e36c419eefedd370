"""`tetkik caption train`: from a prepared folder to a captioner with its card, its curves and its log."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tetkik.bundle import Bundle, Task, open_bundle
from tetkik.caption.options import Learning
from tetkik.errors import MissingExtra, TrainingError, UsageError, as_fault_of
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.engine.output import check_target, silence
from tetkik.lab.engine.precision import accelerator_for
from tetkik.language import Sentence
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.caption.image_spec import ImageSpec
    from tetkik.caption.network import CaptionNetwork
    from tetkik.lab.caption.prepared import Prepared
    from tetkik.lab.caption.training.figures import Judged
    from tetkik.lab.caption.training.lesson import Lesson
    from tetkik.lab.caption.training.progress import Epoch, Progress, Tell
    from tetkik.lab.caption.training.tune import Trial
    from tetkik.lab.caption.training.writing import Outcome
    from tetkik.lab.engine.checkpoint import WorkFolder

_RUN = "captioner"
_TRIAL = "trial"


def train_caption(
    prepared: Prepared,
    out: Path,
    options: CaptionTraining,
    progress: ProgressCallback,
    tell: Tell = lambda _: None,
) -> Bundle:
    """Train a captioner on a prepared folder and write it as a bundle.

    Only the training and the validation split are opened. Image features up to the last frozen stage are
    computed once and kept on disk; then only what learns is in memory. Validation chooses the epoch and, with
    `tune`, the settings. Started under `accelerate launch`, every process calls this alike.

    Args:
        prepared: the folder that `tetkik caption prepare` wrote.
        out: the bundle's folder; beside it `.NAME.training` keeps checkpoints and `.NAME.features` the image
            features until the bundle is written, and `NAME-log` gets the log, its curves and the captions
            made on validation.
        options: the settings.
        progress: told how far it is; called in the main process only.
        tell: told in sentences what learns, what goes to the disk, and how each epoch was; in the main
            process only.

    Raises:
        DataError: there is nothing to learn.
        TrainingError: training cannot go on; a subclass says that Ctrl-C came.
        UsageError: settings that cannot be.
        OutputError: `out` holds something else, or the disk is full or too small for the features.
        BundleError: the base cannot be opened.
        MissingExtra: torch or its companions are not installed.
    """
    _need_libraries()
    check_target(out)
    from tetkik.caption.families import image_spec_of
    from tetkik.lab.caption.training.identity import identity
    from tetkik.lab.caption.training.lesson import check_prepared
    from tetkik.lab.caption.training.loop import part_size
    from tetkik.lab.caption.training.writing import write_bundle
    from tetkik.lab.engine.checkpoint import WorkFolder, room_on_disk

    image = image_spec_of(options.base, options.revision)
    check_prepared(prepared, image, options.tune)
    store = options.cache or out.parent / f".{out.name}.features"
    with accelerator_for(options.precision, threads=options.threads) as (accelerator, precision):
        options = replace(options, precision=precision)
        main = accelerator.is_main_process
        work = WorkFolder.beside(out)
        if main:
            with as_fault_of(out):
                work.begin(identity(prepared, options), options.resume)
        accelerator.wait_for_everyone()
        course = _Course(
            accelerator,
            prepared,
            image,
            options,
            store,
            work,
            progress if main else silence,
            tell if main else lambda _: None,
        )
        try:
            outcome = course.run()
            if main:
                with room_on_disk(out.parent):
                    write_bundle(outcome, out, course.progress, course.tell)
        except BaseException as fault:
            if main and not work.has_progress():
                work.remove()
            # What was computed is there for the next try, but not where none of it will be wanted.
            if main and isinstance(fault, UsageError) and options.cache is None:
                shutil.rmtree(store, ignore_errors=True)
            if out_of_memory(fault):
                raise TrainingError(
                    "The card has too little memory for {captions} captions at once; add --accumulation "
                    "{parts}, --checkpointing or --quantisation nf4, or ask --plan what fits.",
                    captions=part_size(options, accelerator.num_processes),
                    parts=2 * options.accumulation,
                ) from None
            raise
        if main:
            work.remove()
            if options.cache is None:
                shutil.rmtree(store, ignore_errors=True)
        accelerator.wait_for_everyone()
    return open_bundle(out, Task.CAPTION)


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """Everything between the prepared folder and the bundle."""

    accelerator: Any
    prepared: Prepared
    image: ImageSpec
    options: CaptionTraining
    store: Path
    work: WorkFolder
    progress: ProgressCallback
    tell: Tell

    def run(self) -> Outcome:
        """Settings tried, one network trained, its captions on validation read."""
        from tetkik.lab.caption.training.figures import validation_metrics
        from tetkik.lab.caption.training.identity import data_story, model_story, seen_prints
        from tetkik.lab.caption.training.making import whole_network
        from tetkik.lab.caption.training.weights import learned_weights
        from tetkik.lab.caption.training.writing import Outcome

        options = self.options
        trials: tuple[Trial, ...] = ()
        network = self._new(options)
        lesson = self._lesson(network)
        if options.tune:
            self._drop(network)
            del network
            options, trials = self._tuned(lesson)
            network = self._new(options)
        model = model_story(network, self.accelerator, options)
        self._say_what_learns(model.learned, model.weights)
        self._drop(network)
        story = self._train(network, lesson, options)
        judged = self._judged(network, lesson)
        if self._main and network_is_cut(options):
            weights = {name: weight.detach().cpu() for name, weight in learned_weights(network).items()}
            del network
            self.accelerator.free_memory()
            network = whole_network(weights, options, self.image, self.accelerator.device)
        return Outcome(
            network=network,
            story=story,
            trials=trials,
            options=options,
            model=model,
            data=data_story(self.prepared, options),
            metrics=validation_metrics(story, judged, options.data_name),
            judged=judged,
            seen=seen_prints(self.prepared),
        )

    @property
    def _main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def _new(self, options: CaptionTraining) -> CaptionNetwork:
        from tetkik.lab.caption.training.making import new_network

        return new_network(options, self.image, self.accelerator.device)

    def _lesson(self, network: CaptionNetwork) -> Lesson:
        from tetkik.lab.caption.training.material import make_lesson

        return make_lesson(
            self.accelerator,
            network,
            self.prepared,
            self.options,
            self.store,
            progress=self.progress,
            tell=self.tell,
        )

    def _drop(self, network: CaptionNetwork) -> None:
        if self.options.cache_features:
            network.drop_frozen()
            self.accelerator.free_memory()

    def _tuned(self, lesson: Lesson) -> tuple[CaptionTraining, tuple[Trial, ...]]:
        from tetkik.lab.caption.training.loop import CaptionLearner
        from tetkik.lab.caption.training.tune import tried_setting, tuned

        def run(tried: CaptionTraining) -> tuple[Epoch, ...]:
            self.tell(tried_setting(tried))
            # The network before must have gone before the next one is loaded.
            self.accelerator.free_memory()
            network = self._new(tried)
            self._drop(network)
            learner = CaptionLearner(
                self.accelerator, network, lesson, tried, run=_TRIAL, work=None, tell=self.tell
            )
            return tuple(learner.run(lambda _, done, total: self.progress("trial", done, total)).epochs)

        found = tuned(self.options, self.work, run, keep=self._main)
        self.accelerator.free_memory()
        return found

    def _train(self, network: CaptionNetwork, lesson: Lesson, options: CaptionTraining) -> Progress:
        """To the end, or take it up where it was left, or as it was finished."""
        from safetensors.torch import load_file

        from tetkik.lab.caption.training.loop import CaptionLearner
        from tetkik.lab.caption.training.progress import Progress
        from tetkik.lab.caption.training.weights import learned_weights, load_learned
        from tetkik.lab.engine.checkpoint import tensors_as_bytes

        finished = self.work.finished(_RUN)
        if finished is not None:
            load_learned(network, load_file(finished[0]))
            return Progress.from_json(finished[1])
        learner = CaptionLearner(
            self.accelerator, network, lesson, options, run=_RUN, work=self.work, tell=self.tell
        )
        story = learner.run(self.progress)
        if self._main:
            self.work.finish(_RUN, tensors_as_bytes(learned_weights(network)), asdict(story))
        self.accelerator.wait_for_everyone()
        return story

    def _judged(self, network: CaptionNetwork, lesson: Lesson) -> Judged | None:
        from tetkik.lab.caption.training.figures import Judged
        from tetkik.lab.caption.training.loop import part_size
        from tetkik.lab.caption.training.validation import made_captions

        if not len(lesson.validation):
            return None
        made = made_captions(
            self.accelerator,
            network,
            lesson.validation,
            lesson.judged,
            size=part_size(self.options, self.accelerator.num_processes),
            most=self.options.max_tokens,
            precision=self.options.precision,
        )
        return Judged(lesson.validation, lesson.judged, tuple(made))

    def _say_what_learns(self, learned: int, weights: int) -> None:
        self.tell(
            Sentence(
                "{learned:,} of {weights:,} weights learn ({share:.3%}).",
                {"learned": learned, "weights": weights, "share": learned / weights},
            )
        )


def out_of_memory(fault: BaseException) -> bool:
    """Whether a GPU had too little memory."""
    import torch

    return isinstance(fault, torch.OutOfMemoryError)


def network_is_cut(options: CaptionTraining) -> bool:
    """Whether whole weights are to be written and the frozen ones were dropped."""
    return options.cache_features and (options.merge or options.learning is Learning.FULL)


def _need_libraries() -> None:
    try:
        import accelerate  # noqa: F401
        import matplotlib as mpl  # noqa: F401
        import peft  # noqa: F401
        import safetensors  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "Training a captioner needs the package {name}; `pip install 'tetkik[caption]'`.", name=error.name
        ) from None
