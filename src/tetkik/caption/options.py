"""How the weights of a captioner are kept and adapted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tetkik.errors import UsageError


class Learning(StrEnum):
    """Which weights learn."""

    ADAPTER = "adapter"
    """Low-rank adapters beside frozen weights (LoRA, Hu et al., 2022)."""
    FULL = "full"
    """All weights after the cut: for small models, and for those with random weights."""


class Quantisation(StrEnum):
    """In which numbers the frozen weights of the language model are kept."""

    NONE = "none"
    INT8 = "int8"
    """LLM.int8 (Dettmers et al., 2022)."""
    NF4 = "nf4"
    """4 bits with double quantisation, as in QLoRA (Dettmers et al., 2023)."""


@dataclass(frozen=True, slots=True)
class AdapterOptions:
    """Low-rank adapters.

    Attributes:
        targets: empty takes the family's own.
        projection: as a whole.
        rslora: Kalajdzievski, 2023.
        dora: Liu et al., 2024.
    """

    rank: Annotated[int, Field(ge=1, description="Rank of the adapter.")] = 16
    alpha: Annotated[float, Field(description="The adapter is scaled by alpha / rank.")] = 32.0
    dropout: Annotated[float, Field(ge=0, le=0.9, description="Dropout at the adapter's input.")] = 0.05
    targets: Annotated[
        tuple[str, ...],
        Field(
            alias="target",
            description="A linear layer that gets an adapter, such as q_proj; may be given several times. "
            "Without it the query and value projections.",
        ),
    ] = ()
    qformer: Annotated[
        bool, Field(description="Adapters in the Q-Former too; the features to cache are then much larger.")
    ] = False
    projection: Annotated[bool, Field(description="Train the projection into the language model too.")] = (
        False
    )
    rslora: Annotated[bool, Field(description="Scale the adapter by alpha / sqrt(rank).")] = False
    dora: Annotated[bool, Field(description="Learn magnitude and direction apart; slower.")] = False

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0 or not 0 <= self.dropout < 1:
            raise UsageError(
                "An adapter of rank {rank}, alpha {alpha} and dropout {dropout} cannot be; rank is 1 or "
                "more, alpha above 0 and dropout below 1.",
                rank=self.rank,
                alpha=self.alpha,
                dropout=self.dropout,
            )
