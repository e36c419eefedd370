"""The settings of one training of an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from tetkik.bundle import REFERENCE_COMPLAINTS
from tetkik.lab.engine.options import DataName, EngineOptions

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
class TransformerOptions(EngineOptions):
    """How an encoder is fine-tuned.

    Attributes:
        learning_rate: of AdamW; it rises over the first tenth of the steps and falls to 0.
        patience: by the macro-F1 on validation.
        keep_fp32: a small bundle always does.
    """

    same_result: ClassVar[frozenset[str]] = EngineOptions.same_result | {"keep_fp32", "reference"}

    base: Annotated[
        str, Field(description="Transformer: a Hugging Face id or a path; without it BioBERTurk.")
    ] = DEFAULT_BASE
    data_name: DataName = "training table"
    batch_size: Annotated[int, Field(ge=1, description="Transformer: rows in one step.")] = 32
    learning_rate: Annotated[float, Field(ge=0, description="Transformer: highest learning rate.")] = 3e-5
    max_length: Annotated[int, Field(ge=8, description="Transformer: tokens read of a complaint.")] = 256
    imbalance: Annotated[
        Imbalance, Field(description="Transformer: what is done about rare departments.")
    ] = Imbalance.WEIGHTS
    seed: Annotated[int, Field(ge=0, description="Transformer: of the split and the weights.")] = 0
    keep_fp32: Annotated[
        bool, Field(description="Transformer: put the fp32 network into the bundle too.")
    ] = False
    reference: Annotated[
        int,
        Field(
            ge=0,
            description="Most held-out complaints that the reference for drift is taken from; 0 for none.",
        ),
    ] = REFERENCE_COMPLAINTS
