"""The settings of one training of findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from tetkik.bundle import REFERENCE_IMAGES
from tetkik.errors import UsageError
from tetkik.lab.engine.options import DataName, EngineOptions, Epochs, Patience, check_within
from tetkik.lab.engine.session import public_name
from tetkik.lab.findings.thresholds import ThresholdRule

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


class EncoderHead(StrEnum):
    """What is learned over a pretrained encoder."""

    LINEAR = "linear"
    """A linear layer on its summary of the image and the mean of its patches."""
    ATTENTION = "attention"
    """Attention over its patches, and a linear layer."""
    LORA = "lora"
    """The linear layer, and low-rank changes of its own layers (Hu et al., ICLR 2022)."""


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
        check_within("teacher-share", self.share, 0, 1)
        check_within("teacher-weight", self.weight, 0, 1000)


@dataclass(frozen=True, slots=True)
class TrainingOptions(EngineOptions):
    """How a network of findings is trained. The defaults are the documented reference.

    Attributes:
        network: a Hugging Face network comes with its own weights.
        stretch: so that exposure and window matter less.
        warm_up: share of the steps in which the rate rises; it falls to 0 as a cosine after that.
        patience: by the mean AUROC on validation.
        members: with different seeds.
        ridge: on the grid means of the stages (`tetkik.lab.findings.training.ridge`).
        folds: 0 splits into training, validation, calibration and test; 2 or more gives each component of
            patients to one of that many parts.
        cache: None keeps decoded squares beside the output till the training ends.
    """

    same_result: ClassVar[frozenset[str]] = EngineOptions.same_result | {
        "cache",
        "cache_limit",
        "keep_torch",
        "reference",
    }

    network: Annotated[
        str,
        Field(
            description="densenet121, mobilenet_v2, mobilenet_v2_bn, resnet18, or a Hugging Face id or "
            "folder of an image classifier."
        ),
    ] = REFERENCE_NETWORK
    weights: Annotated[str, Field(description="Weights to start from: imagenet, none, or a file.")] = IMAGENET
    size: Annotated[
        int | None, Field(description="Side of the network's square in pixels; without it its own.")
    ] = None
    encoder: Annotated[
        str | None,
        Field(
            description="Learn a head over this pretrained encoder: a Hugging Face id or folder, or one of "
            "our networks."
        ),
    ] = None
    encoder_head: Annotated[EncoderHead, Field(description="What is learned over the encoder.")] = (
        EncoderHead.LINEAR
    )
    lora_rank: Annotated[int, Field(ge=1, description="Of the low-rank changes of the encoder.")] = 8
    stretch: Annotated[
        bool, Field(description="Make the 1st and 99th percentile of each image black and white.")
    ] = False
    data_name: DataName = "training images"
    epochs: Epochs = 30
    batch_size: Annotated[int, Field(ge=1, description="Images in one step.")] = 32
    learning_rate: Annotated[float, Field(ge=0, description="Highest learning rate of AdamW.")] = 1e-4
    head_rate: Annotated[float, Field(description="How many times that rate the last layer gets.")] = 1.0
    weight_decay: Annotated[float, Field(description="Weight decay of AdamW.")] = 1e-5
    warm_up: float = 0.05
    loss: Annotated[LossKind, Field(description="What is made small.")] = LossKind.BCE
    class_weights: Annotated[ClassWeights, Field(description="How much a presence weighs.")] = (
        ClassWeights.NONE
    )
    class_weight_limit: float = 20.0
    ema: Annotated[float, Field(description="Decay of a moving average of the weights; 0 keeps none.")] = 0.0
    patience: Patience = 5
    augmentation: Augmentation = field(default_factory=Augmentation)
    freeze: Annotated[
        int, Field(ge=0, description="Stages of the network, from its input, that are not trained.")
    ] = 0
    ridge: Annotated[
        bool, Field(description="Add a member: ridge regression on the stages of the untrained network.")
    ] = False
    members: Annotated[int, Field(ge=1, description="Networks of different seeds, averaged into one.")] = 1
    folds: Annotated[
        int,
        Field(
            ge=0,
            description="Measure out of fold over so many parts, and train the final network on all rows.",
        ),
    ] = 0
    teacher: TeacherOptions | None = None
    min_positives: Annotated[
        int,
        Field(ge=1, description="Patients or groups known each way below which a label is not assessed."),
    ] = 30
    threshold: Annotated[ThresholdRule, Field(description="What makes a label's threshold the best.")] = (
        ThresholdRule.YOUDEN
    )
    report_sources: Annotated[
        tuple[str, ...],
        Field(alias="report-source", description="A source on whose rows alone figures are stated too."),
    ] = ()
    seed: Annotated[int, Field(ge=0, description="Of the split, the weights and the order of images.")] = 0
    cache: Annotated[
        Path | None, Field(description="A folder to keep the decoded images for the next time.")
    ] = None
    cache_limit: Annotated[
        float, Field(ge=0, description="GiB of decoded images above which they are decoded each time.")
    ] = 32.0
    half: Annotated[
        bool, Field(description="Store the kernels of model.onnx as fp16, in half the bytes.")
    ] = False
    keep_torch: Annotated[
        bool,
        Field(alias="keep-torch/--no-torch", description="Put the weights as safetensors in the bundle."),
    ] = True
    reference: Annotated[
        int,
        Field(
            ge=0, description="Most held-out images that the reference for drift is taken from; 0 for none."
        ),
    ] = REFERENCE_IMAGES

    def _check(self) -> None:
        check_within("learning-rate", self.learning_rate, 1e-9, 1)
        check_within("head-rate", self.head_rate, 0.01, 1000)
        check_within("weight-decay", self.weight_decay, 0, 1)
        check_within("warm-up", self.warm_up, 0, 0.9)
        check_within("ema", self.ema, 0, 0.99999)
        check_within("class-weight-limit", self.class_weight_limit, 1, 10_000)
        check_within("size", self.size or 224, 32, 2048)
        if self.encoder is not None and (
            self.network != REFERENCE_NETWORK or self.size is not None or self.freeze or self.ridge
        ):
            raise UsageError(
                "--encoder takes the place of --network, with the encoder's own size and nothing of it that "
                "learns but by --encoder-head; leave out --network, --size, --freeze and --ridge."
            )
        if self.folds == 1:
            raise UsageError("One fold leaves nothing to learn from; give --folds 2 or more, or none.")
        if self.folds and self.tune:
            raise UsageError(
                "--tune judges settings on validation rows, and with --folds every row is reported; tune "
                "without --folds first, then train with the settings found."
            )

    def as_json(self) -> dict[str, Any]:
        """Every setting that can change the result, by name; of a file its name alone."""
        values = EngineOptions.as_json(self)
        values["weights"] = Path(self.weights).name
        if self.teacher is not None:
            values["teacher"]["table"] = self.teacher.table.name
        unused = ["network"] if self.encoder else ["encoder", "encoder_head"]
        unused += [] if self.encoder and not self.frozen else ["lora_rank"]
        for name in unused + (["augmentation"] if self.frozen else []):
            del values[name]
        for name in ("network", "encoder"):
            if name in values:
                values[name] = public_name(values[name])
        return values

    @property
    def frozen(self) -> bool:
        """Whether a head alone is learned, over an encoder that stays as it is."""
        return self.encoder is not None and self.encoder_head is not EncoderHead.LORA
