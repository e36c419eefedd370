"""The settings of one training of a captioner."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
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
    """How a captioner is trained; the help of `tetkik caption train` has each setting.

    A step of `batch_size` captions, over all processes, is run in `accumulation` parts. The learning rate is
    the highest, to which it rises over the share `warm_up` of the steps. `judged` validation captions are
    generated in each epoch for `cider` and `rouge_l`, and `patience` epochs without a gain end the training.
    None is the hub's present revision, the folder's name for `id`, the family's own prompt, and a cache
    beside the output; 0 leaves torch its own choice of threads.
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
        for item in fields(self):
            if isinstance(item.default, StrEnum):
                object.__setattr__(self, item.name, type(item.default)(getattr(self, item.name)))
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
