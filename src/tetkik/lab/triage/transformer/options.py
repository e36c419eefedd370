"""The settings of one training of an encoder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tetkik.bundle import REFERENCE_COMPLAINTS
from tetkik.lab.engine.limits import check_least, check_rate
from tetkik.lab.engine.precision import Precision

BIOBERTURK = "hazal/BioBERTurkcased-con-trM"
"""BERTurk trained on with Turkish biomedical text (Türkmen et al., J Healthc Inform Res 7, 2023, 433)."""
BERTURK = "dbmdz/bert-base-turkish-cased"
"""BERTurk, general Turkish text; `dbmdz/bert-base-turkish-uncased` works too."""
DEFAULT_BASE = BIOBERTURK


class Imbalance(StrEnum):
    """What is done about departments with few complaints."""

    NONE = "none"
    """Nothing: plain cross-entropy."""
    WEIGHTS = "weights"
    """Each row weighs the inverse of its label's frequency."""
    LOGIT_ADJUSTMENT = "logit_adjustment"
    """The log of the label's frequency is added to its logit while training (Menon et al., 2021)."""
    FOCAL = "focal"
    """Rows that are already right weigh less (Lin et al., 2017)."""


@dataclass(frozen=True, slots=True)
class TransformerOptions:
    """How an encoder is fine-tuned."""

    base: str = DEFAULT_BASE  # a Hugging Face id or the path of a folder in its layout
    id: str | None = None  # name of the model; None takes the folder's
    licence: str = "unknown"
    data_name: str = "training table"
    epochs: int = 5
    # rows in one step of the optimiser, over all processes and all parts: the result does not depend on how
    # many GPUs share the work
    batch_size: int = 32
    # highest rate of AdamW; it rises over the first tenth of the steps and falls to 0
    learning_rate: float = 3e-5
    max_length: int = 256  # tokens read of a complaint; the rest is cut off
    imbalance: Imbalance = Imbalance.WEIGHTS
    patience: int = 2  # epochs without a better macro-F1 on validation before training stops
    seed: int = 0  # of the split, the head's first weights, the order of rows and dropout
    precision: Precision = Precision.AUTO
    accumulation: int = 1  # parts in which each process runs its share of a step, to save memory
    resume: bool = False
    tune: int = 0  # settings to try first, on validation; 0 tries none
    threads: int = 0  # CPU threads of each process; 0 leaves torch's own choice
    checkpoint_steps: int = 500  # steps between checkpoints inside an epoch
    # whether the bundle also gets the exported fp32 network (a small one always does)
    keep_fp32: bool = False
    # most complaints that the reference for drift is taken from; 0 writes none
    reference: int = REFERENCE_COMPLAINTS

    def __post_init__(self) -> None:
        object.__setattr__(self, "imbalance", Imbalance(self.imbalance))
        object.__setattr__(self, "precision", Precision(self.precision))
        one = ("epochs", "batch_size", "patience", "accumulation", "checkpoint_steps")
        none = ("tune", "threads", "reference")
        check_least(self, {"max_length": 8, **dict.fromkeys(one, 1), **dict.fromkeys(none, 0)})
        check_rate(self.learning_rate)

    def as_json(self) -> dict[str, Any]:
        """Every setting that can change the result, by name."""
        same_result = {"resume", "threads", "checkpoint_steps", "keep_fp32", "reference"}
        return {name: value for name, value in asdict(self).items() if name not in same_result}
