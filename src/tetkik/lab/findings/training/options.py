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
    """How far a training image may be changed; each amount is drawn evenly up to these, either way."""

    rotation: float = 7.0
    """Degrees."""
    scale: float = 0.1
    shift: float = 0.05
    """Share of the side, along each axis."""
    brightness: float = 0.1
    """Share of the range, added."""
    contrast: float = 0.15
    """Share of the spread around the mean."""
    gamma: float = 0.15
    flip: bool = False
    """Whether half of the images are mirrored. The heart has a side, so this is off."""


NO_AUGMENTATION = Augmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class TeacherOptions:
    """A teacher whose probabilities are learned beside the labels."""

    table: Path
    """A CSV with the column `file` and one column a label, of probabilities."""
    use: TeacherUse = TeacherUse.HEAD
    share: float = 0.5
    """Of the teacher's head in the final logit of each label that it knows; 1 takes it alone."""
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "use", TeacherUse(self.use))
        _within("teacher-share", self.share, 0, 1)
        _within("teacher-weight", self.weight, 0, 1000)


_KINDS = {"loss": LossKind, "class_weights": ClassWeights, "precision": Precision, "threshold": Rule}
_POSITIVE = ("epochs", "batch_size", "patience", "accumulation", "members", "min_positives")
_LEAST = {
    **dict.fromkeys((*_POSITIVE, "checkpoint_steps"), 1),
    **dict.fromkeys(("freeze", "folds", "seed", "tune", "threads", "reference"), 0),
}
_RANGES = {
    "learning_rate": (1e-9, 1),
    "head_rate": (0.01, 1000),
    "weight_decay": (0, 1),
    "warm_up": (0, 0.9),
    "ema": (0, 0.99999),
    "class_weight_limit": (1, 10_000),
}
_SAME_RESULT = {"resume", "threads", "checkpoint_steps", "cache", "cache_limit", "keep_torch", "reference"}


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a network of findings is trained. The defaults are the documented reference.

    `tetkik findings train --help` says what each is; here stands what it does not.
    """

    network: str = REFERENCE_NETWORK
    weights: str = IMAGENET
    """A file with the weights to start from, `imagenet` for torchvision's, or `none` for random ones; a
    Hugging Face network comes with its own."""
    size: int | None = None
    stretch: bool = False
    """Whether the 1st and 99th percentile of an image become black and white, so that exposure and window
    matter less."""
    id: str | None = None
    licence: str = "unknown"
    data_name: str = "training images"
    epochs: int = 30
    batch_size: int = 32
    """Rows in one step of the optimiser, over all processes and all parts: the result does not depend on how
    many GPUs share the work."""
    learning_rate: float = 1e-4
    head_rate: float = 1.0
    weight_decay: float = 1e-5
    warm_up: float = 0.05
    """Share of the steps in which the rate rises; it falls to 0 as a cosine after that."""
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
    """Steps between checkpoints inside an epoch."""
    cache: Path | None = None
    """Where decoded squares are kept for the next training; None keeps them beside `out` till its end."""
    cache_limit: float = 32.0
    half: bool = False
    keep_torch: bool = True
    reference: int = REFERENCE_IMAGES

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            object.__setattr__(self, name, kind(getattr(self, name)))
        check_least(self, _LEAST)
        for name, (low, high) in _RANGES.items():
            _within(name.replace("_", "-"), getattr(self, name), low, high)
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
        values = {name: value for name, value in asdict(self).items() if name not in _SAME_RESULT}
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
