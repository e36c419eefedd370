"""How the weights of a captioner are kept and adapted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
    """Low-rank adapters, on the family's own `targets` where none are named.

    The update is scaled by alpha / rank, with `rslora` by alpha / sqrt(rank) (Kalajdzievski, 2023). With
    `qformer` and `projection` these learn as well; `dora` keeps magnitude and direction apart (Liu et al.,
    2024).
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ()
    qformer: bool = False
    projection: bool = False
    rslora: bool = False
    dora: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0 or not 0 <= self.dropout < 1:
            raise UsageError(
                "An adapter of rank {rank}, alpha {alpha} and dropout {dropout} cannot be; rank is 1 or "
                "more, alpha above 0 and dropout below 1.",
                rank=self.rank,
                alpha=self.alpha,
                dropout=self.dropout,
            )
