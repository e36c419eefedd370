"""The settings of one training of findings."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tetkik.bundle import REFERENCE_IMAGES
from tetkik.errors import UsageError
from tetkik.lab.engine.limits import check_least
from tetkik.lab.engine.precision import Precision
from tetkik.lab.findings.thresholds import Rule

REFERENCE_NETWORK = "densenet121"
IMAGENET = "imagenet"
RANDOM = "none"


class LossKind(StrEnum):
    """What is made small; all of them leave unknown labels out."""

    BCE = "bce"
    """Binary cross-entropy of each label."""
    FOCAL = "focal"
    """What is already right weighs less (Lin et al., ICCV 2017)."""
    ASYMMETRIC = "asymmetric"
    """Absences that are already right weigh less than presences (Ridnik et al., ICCV 2021)."""


class ClassWeights(StrEnum):
    """How much a presence weighs against an absence."""

    NONE = "none"
    BALANCED = "balanced"
    """Known absences over known presences of the label, up to a limit."""


class TeacherUse(StrEnum):
    """How a teacher's probabilities are learned."""

    HEAD = "head"
    """A second head over the same features learns the teacher's z-scored logits; the two are merged."""
    DISTIL = "distil"
    """The one head learns the teacher's probabilities by cross-entropy (Hinton et al., 2015)."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far a training image may be changed; each amount is drawn evenly up to these, either way.

    Attributes:
        rotation: degrees.
        scale: share of the size.
        shift: share of the side, along each axis.
        brightness: share of the range, added.
        contrast: share of the spread around the mean.
        flip: whether half of the images are mirrored. The heart has a side, so this is off.
    """

    rotation: float = 7.0
    scale: float = 0.1
    shift: float = 0.05
    brightness: float = 0.1
    contrast: float = 0.15
    gamma: float = 0.15
    flip: bool = False


NO_AUGMENTATION = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class TeacherOptions:
    """A teacher whose probabilities are learned beside the labels.

    Attributes:
        table: a CSV with the column `file` and one column a label, of probabilities.
        share: of the teacher's head in the final logit of each label that it knows; 1 takes it alone.
    """

    table: Path
    use: TeacherUse = TeacherUse.HEAD
    share: float = 0.5
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "use", TeacherUse(self.use))
        _within("teacher-share", self.share, 0, 1)
        _within("teacher-weight", self.weight, 0, 1000)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a network of findings is trained. The defaults are the documented reference.

    Attributes:
        network: a family of `tetkik.findings.networks`, or a Hugging Face id or folder.
        weights: a file with the weights to start from, `imagenet` for torchvision's, or `none` for random
            ones; a Hugging Face network comes with its own.
        size: side of the square in pixels; None takes the network's own.
        stretch: whether the 1st and 99th percentile of an image become black and white, so that exposure and
            window matter less.
        id: name of the model; None takes the folder's.
        batch_size: rows in one step of the optimiser, over all processes and all parts: the result does not
            depend on how many GPUs share the work.
        warm_up: share of the steps in which the rate rises; it falls to 0 as a cosine after that.
        patience: epochs without a better mean AUROC on validation before training stops.
        ema: decay of the moving average of the weights a step; 0 keeps none.
        accumulation: parts in which each process runs its share of a step, to save memory.
        freeze: stages of the network, from its input, that keep the weights they started with.
        members: networks with different seeds, averaged into one.
        ridge: whether one more member joins them: ridge regression on the grid means of the untrained
            network's stages (`tetkik.lab.findings.training.ridge`).
        folds: 0 splits into training, validation, calibration and test; 2 or more gives each component of
            patients to one of that many parts, measures out of fold, and trains the final network on all.
        min_positives: groups known to have a label, and as many known not to, below which it is not assessed.
        seed: of the split, the first weights, the order of rows, augmentation and dropout.
        tune: settings to try first, on validation; 0 tries none.
        resume: go on with the unfinished training of the same output.
        threads: CPU threads of each process; 0 leaves torch's own choice.
        checkpoint_steps: steps between checkpoints inside an epoch.
        cache: where decoded squares are kept for the next training; None keeps them beside `out` till its
            end.
        cache_limit: GiB above which squares are not kept but decoded anew in every epoch.
        half: whether `model.onnx` stores its kernels as fp16, in half the bytes.
        keep_torch: whether the bundle also gets the weights as safetensors.
        reference: most images that the reference for drift is taken from; 0 writes none.
    """

    network: str = REFERENCE_NETWORK
    weights: str = IMAGENET
    size: int | None = None
    stretch: bool = False
    id: str | None = None
    licence: str = "unknown"
    data_name: str = "training images"
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-4
    head_rate: float = 1.0
    weight_decay: float = 1e-5
    warm_up: float = 0.05
    loss: LossKind = LossKind.BCE
    class_weights: ClassWeights = ClassWeights.NONE
    class_weight_limit: float = 20.0
    patience: int = 5
    ema: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    precision: Precision = Precision.AUTO
    accumulation: int = 1
    freeze: int = 0
    members: int = 1
    ridge: bool = False
    folds: int = 0
    teacher: TeacherOptions | None = None
    min_positives: int = 30
    threshold: Rule = Rule.YOUDEN
    report_sources: tuple[str, ...] = ()
    seed: int = 0
    tune: int = 0
    resume: bool = False
    threads: int = 0
    checkpoint_steps: int = 500
    cache: Path | None = None
    cache_limit: float = 32.0
    half: bool = False
    keep_torch: bool = True
    reference: int = REFERENCE_IMAGES

    def __post_init__(self) -> None:
        kinds = {
            "loss": LossKind,
            "class_weights": ClassWeights,
            "precision": Precision,
            "threshold": Rule,
        }
        for name, kind in kinds.items():
            object.__setattr__(self, name, kind(getattr(self, name)))
        least = {
            "epochs": 1,
            "batch_size": 1,
            "patience": 1,
            "accumulation": 1,
            "freeze": 0,
            "members": 1,
            "folds": 0,
            "min_positives": 1,
            "seed": 0,
            "tune": 0,
            "threads": 0,
            "checkpoint_steps": 1,
            "reference": 0,
        }
        check_least(self, least)
        _within("learning-rate", self.learning_rate, 1e-9, 1)
        _within("head-rate", self.head_rate, 0.01, 1000)
        _within("weight-decay", self.weight_decay, 0, 1)
        _within("warm-up", self.warm_up, 0, 0.9)
        _within("ema", self.ema, 0, 0.99999)
        _within("class-weight-limit", self.class_weight_limit, 1, 10_000)
        _within("size", self.size or 224, 32, 2048)
        if self.folds == 1:
            raise UsageError("One fold leaves nothing to learn from; give --folds 2 or more, or none.")
        if self.folds and self.tune:
            raise UsageError(
                "--tune judges settings on validation rows, and with --folds every row is reported; tune "
                "without --folds first, then train with the settings found."
            )

    def as_json(self) -> dict[str, Any]:
        """Every setting that can change the result, by name; of a file its name alone."""
        same_result = {
            "resume",
            "threads",
            "checkpoint_steps",
            "cache",
            "cache_limit",
            "keep_torch",
            "reference",
        }
        values = {name: value for name, value in asdict(self).items() if name not in same_result}
        values["weights"] = Path(self.weights).name
        if self.teacher is not None:
            values["teacher"]["table"] = self.teacher.table.name
        folder = Path(self.network).expanduser()
        values["network"] = folder.resolve().name if folder.exists() else self.network
        return values


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(
            "--{name} cannot be {value}; give a number from {low} to {high}.",
            name=name,
            value=value,
            low=low,
            high=high,
        )
