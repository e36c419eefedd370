"""What a training came to, before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tetkik.lab.findings.training.options import TrainingOptions

if TYPE_CHECKING:
    from tetkik.lab.findings.training.held_out import HeldOut, OperatingPoints
    from tetkik.lab.findings.training.runs import Trained
    from tetkik.lab.findings.training.trainer import Epoch
    from tetkik.lab.findings.training.tuning import Trial


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What a training came to.

    Attributes:
        held_out: rows that were not learned, with an honest reading of them.
        trials: what `--tune` tried.
        options: the settings, those that `--tune` chose included.
    """

    members: tuple[Trained, ...]
    epochs: tuple[Epoch, ...]
    held_out: HeldOut
    points: OperatingPoints
    split: str
    trials: tuple[Trial, ...]
    options: TrainingOptions
