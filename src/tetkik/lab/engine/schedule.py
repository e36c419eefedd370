"""Learning-rate schedules."""

from __future__ import annotations

import math
from enum import StrEnum


class ScheduleKind(StrEnum):
    """How the learning rate changes after its warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


def learning_rate_factor(
    step: int, steps: int, warm_up: float, kind: ScheduleKind = ScheduleKind.COSINE
) -> float:
    """The share of the highest learning rate at a step (from 0): a linear warm-up, then as `kind` says.

    Cosine and linear end at 0, one step after the last.
    """
    rising = math.ceil(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    gone = (step - rising) / max(1, steps - rising)
    match kind:
        case ScheduleKind.COSINE:
            return 0.5 * (1 + math.cos(math.pi * gone))
        case ScheduleKind.LINEAR:
            return 1 - gone
        case ScheduleKind.CONSTANT:
            return 1.0
