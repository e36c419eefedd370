"""The settings of one training of a captioner."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tetkik.caption.options import AdapterOptions, Learning, Quantisation
from tetkik.errors import UsageError
from tetkik.lab.engine.limits import check_least, check_rate
from tetkik.lab.engine.precision import Precision
from tetkik.lab.engine.schedule import ScheduleKind

DEFAULT_BASE = "Salesforce/blip2-opt-6.7b"


class OptimizerKind(StrEnum):
    """What changes the weights."""

    ADAMW = "adamw"
    ADAMW_8BIT = "adamw_8bit"
    """AdamW with its state in 8 bits (bitsandbytes); needs a GPU."""
    ADAFACTOR = "adafactor"
    SGD = "sgd"


class StopBy(StrEnum):
    """What is watched on validation for the best epoch and for early stopping."""

    LOSS = "loss"
    CIDER = "cider"
    ROUGE_L = "rouge_l"


@dataclass(frozen=True, slots=True)
class CaptionTraining:
    """How a captioner is trained.

    Attributes:
        base: a Hugging Face id or a folder in its layout.
        revision: commit of the hub's repository; None takes the one the hub names now, which the card states.
        id: name of the model; None takes the folder's.
        adapter: how, with `Learning.ADAPTER`.
        prompt: words before the caption; None takes the family's own.
        batch_size: captions in one step of the optimiser, over all processes and all parts.
        accumulation: parts in which each process runs its share of a step, to save memory.
        learning_rate: the highest; it rises over `warm_up` of the steps.
        warm_up: share of the steps.
        checkpointing: compute activations again in the backward pass instead of keeping them.
        cache_features: compute the frozen features once and keep them on disk, instead of in every epoch.
        cache: the folder for them; None is beside the output.
        judged: validation captions that are generated in each epoch, with `cider` and `rouge_l`.
        patience: epochs without a gain before training stops.
        precision: numbers to compute in; what learns stays fp32.
        seed: of first weights, order of rows and dropout.
        merge: write whole weights instead of an adapter, so that the model stands alone.
        resume: go on with the unfinished training of the same output.
        threads: CPU threads of each process; 0 leaves torch's own choice.
        checkpoint_steps: steps between checkpoints inside an epoch.
    """

    base: str = DEFAULT_BASE
    revision: str | None = None
    id: str | None = None
    licence: str = "unknown"
    data_name: str = "captioned images"
    learning: Learning = Learning.ADAPTER
    adapter: AdapterOptions = field(default_factory=AdapterOptions)
    quantisation: Quantisation = Quantisation.NONE
    prompt: str | None = None
    max_tokens: int = 96
    epochs: int = 5
    batch_size: int = 16
    accumulation: int = 1
    learning_rate: float = 2e-4
    warm_up: float = 0.05
    weight_decay: float = 0.0
    optimizer: OptimizerKind = OptimizerKind.ADAMW
    schedule: ScheduleKind = ScheduleKind.COSINE
    smoothing: float = 0.0
    checkpointing: bool = False
    cache_features: bool = True
    cache: Path | None = None
    stop_by: StopBy = StopBy.LOSS
    judged: int = 200
    patience: int = 2
    precision: Precision = Precision.AUTO
    seed: int = 0
    tune: int = 0
    merge: bool = False
    resume: bool = False
    threads: int = 0
    checkpoint_steps: int = 200

    def __post_init__(self) -> None:
        kinds = {
            "learning": Learning,
            "quantisation": Quantisation,
            "optimizer": OptimizerKind,
            "schedule": ScheduleKind,
            "stop_by": StopBy,
            "precision": Precision,
        }
        for name, kind in kinds.items():
            object.__setattr__(self, name, kind(getattr(self, name)))
        least = {
            "max_tokens": 4,
            "epochs": 1,
            "batch_size": 1,
            "accumulation": 1,
            "judged": 1,
            "patience": 1,
            "tune": 0,
            "threads": 0,
            "checkpoint_steps": 1,
        }
        check_least(self, least)
        for name, highest in {"warm_up": 1.0, "smoothing": 0.9, "weight_decay": 1.0}.items():
            if not 0 <= getattr(self, name) <= highest:
                raise UsageError(
                    "The training option {name} cannot be {value}; it lies between 0 and {highest}.",
                    name=name,
                    value=getattr(self, name),
                    highest=highest,
                )
        check_rate(self.learning_rate)
        if self.learning is Learning.FULL and self.quantisation is not Quantisation.NONE:
            raise UsageError(
                "Quantised weights cannot learn, and --learning full asks for it; use an adapter or "
                "--quantisation none."
            )

    def as_json(self) -> dict[str, Any]:
        """Every setting that can change the result, by name."""
        same_result = {"resume", "threads", "checkpoint_steps", "cache", "merge"}
        return {name: value for name, value in asdict(self).items() if name not in same_result}
