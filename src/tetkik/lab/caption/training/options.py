"""The settings of one training of a captioner."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from tetkik.caption.options import AdapterOptions, Learning, Quantisation
from tetkik.errors import UsageError
from tetkik.lab.engine.options import DataName, EngineOptions, ScheduleKind

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
class CaptionTraining(EngineOptions):
    """How a captioner is trained.

    Attributes:
        revision: None takes the one the hub names now, which the card states.
        adapter: how, with `Learning.ADAPTER`.
        cache_features: else they are computed in every epoch.
        cache: None is beside the output.
        judged: captions are generated in each epoch with `cider` and `rouge_l` alone.
        merge: instead of an adapter.
    """

    same_result: ClassVar[frozenset[str]] = EngineOptions.same_result | {"cache", "merge"}

    base: Annotated[str, Field(description="The model to start from: a Hugging Face id or a folder.")] = (
        DEFAULT_BASE
    )
    revision: Annotated[
        str | None,
        Field(description="Commit of the base on the hub; without it the one the hub names now."),
    ] = None
    data_name: DataName = "captioned images"
    learning: Annotated[
        Learning, Field(description="What learns: an adapter, or all weights after the vision tower.")
    ] = Learning.ADAPTER
    adapter: AdapterOptions = field(default_factory=AdapterOptions)
    quantisation: Annotated[
        Quantisation, Field(description="Numbers of the frozen language model: 8 or 4 bits save memory.")
    ] = Quantisation.NONE
    prompt: Annotated[
        str | None, Field(description="Words before the caption; without it the family's own.")
    ] = None
    max_tokens: Annotated[int, Field(ge=4, description="A caption is cut after so many tokens.")] = 96
    batch_size: Annotated[int, Field(ge=1, description="Captions in one step, over all processes.")] = 16
    checkpointing: Annotated[
        bool, Field(description="Compute activations again in the backward pass, to save memory.")
    ] = False
    learning_rate: Annotated[float, Field(description="The highest learning rate.")] = 2e-4
    warm_up: Annotated[
        float, Field(ge=0, le=1, description="Share of the steps in which the rate rises.")
    ] = 0.05
    schedule: Annotated[ScheduleKind, Field(description="How the learning rate falls afterwards.")] = (
        ScheduleKind.COSINE
    )
    optimizer: Annotated[OptimizerKind, Field(description="What changes the weights.")] = OptimizerKind.ADAMW
    weight_decay: Annotated[float, Field(ge=0, le=1, description="Weight decay of matrices.")] = 0.0
    smoothing: Annotated[float, Field(ge=0, le=0.9, description="Label smoothing.")] = 0.0
    stop_by: Annotated[
        StopBy, Field(description="What validation chooses the epoch by, and when to stop.")
    ] = StopBy.LOSS
    judged: Annotated[
        int, Field(ge=1, description="Validation images to caption, in each epoch and at the end.")
    ] = 200
    cache_features: Annotated[
        bool,
        Field(
            alias="feature-cache/--no-feature-cache",
            description="Compute the frozen image features once and keep them on disk.",
        ),
    ] = True
    cache: Annotated[
        Path | None, Field(description="A folder to keep the image features for the next time.")
    ] = None
    merge: Annotated[bool, Field(description="Write whole weights, so that the model needs no base.")] = False
    seed: Annotated[int, Field(ge=0, description="Of first weights, order of images and dropout.")] = 0
    checkpoint_steps: Annotated[
        int, Field(ge=1, description="Steps between checkpoints within an epoch.")
    ] = 200

    def _check(self) -> None:
        EngineOptions._check(self)
        if self.learning is Learning.FULL and self.quantisation is not Quantisation.NONE:
            raise UsageError(
                "Quantised weights cannot learn, and --learning full asks for it; use an adapter or "
                "--quantisation none."
            )
