"""`tetkik caption train --test --plan`: what judging the test split needs and how long it takes.

For every token of a batch the language model's weights are read once, and each beam computes with all of
them; the baseline puts the training and the test images through the vision tower once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tetkik.caption.families.numerics import CHUNK
from tetkik.caption.options import Learning, Quantisation
from tetkik.caption.prompt_words import context_length
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.evaluate import EvaluationOptions
from tetkik.lab.caption.training.plan import (
    CONTEXT,
    Card,
    Plan,
    hours_of_bytes,
    hours_of_flops,
    unpacked_bytes,
)
from tetkik.lab.caption.training.plan_memory import (
    config_of,
    depth_of,
    frozen_bytes,
    pass_memory,
    planned_network,
)
from tetkik.lab.engine.precision import Precision, torch_type

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Prepared

ROCOV2_TEST = 9_927
_FP32, _HALF = 4, 2
_SEARCHED = 3
"""Tensors of a logit for each word and beam that a step of the search holds."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Bytes on the card, and hours on one card, None where its speed is not known.

    `captions` are decoded at once, each with `beams` of at most `tokens`; `keys` are the keys and values of
    all of them. `looked_at` are the images that the baseline compares.
    """

    card: Card
    rows: int
    looked_at: int
    captions: int
    beams: int
    tokens: int
    weights: int
    keys: int
    working: int
    decoding: float | None
    looking: float | None

    @property
    def total(self) -> int:
        return self.weights + self.keys + self.working + CONTEXT

    def all(self, cards: int) -> float:
        """Hours on so many cards, which share both."""
        assert self.decoding is not None and self.looking is not None
        return (self.decoding + self.looking) / cards


def plan_evaluation(plan: Plan, prepared: Prepared | None) -> EvaluationPlan:
    """Plan `caption evaluate` of the test split with its usual settings, after the training of `plan`."""
    usual = EvaluationOptions()
    decoding = usual.decoding
    half = Precision.BF16 if plan.card.bf16 else Precision.FP16
    # Whole weights are loaded in 16 bits, and an adapter counts little.
    options = replace(plan.setting.options, precision=half, learning=Learning.ADAPTER)
    config = config_of(options.base, options.revision)
    network = planned_network(options, config, torch_type(half))
    images = pass_memory(network, config, images=usual.batch_size, precision=half)
    frozen = frozen_bytes(network, options.quantisation)
    width = int(getattr(config.text_config, "hidden_size", 0) or config.text_config.d_model)
    vocabulary = network.core.get_output_embeddings().weight.shape[0]
    context = [0] * context_length(options.neighbours, options.concepts)
    before = network.stages()[-1].shape[0] + len(network._compose([], False, context)[0])
    length = before + decoding.max_tokens
    beams = usual.batch_size * decoding.beams
    keys = 2 * depth_of(config) * width * beams * length * _HALF
    first = beams * before * 12 * width * _HALF
    search = _SEARCHED * beams * vocabulary * _FP32
    confidence = 2 * min(usual.batch_size * decoding.max_tokens, CHUNK) * vocabulary * _FP32
    working = max(images.working, first + search, confidence)
    if options.quantisation is not Quantisation.NONE:
        # One matrix at a time is written out to be multiplied.
        working += 4 * width * width * _HALF
    rows = ROCOV2_TEST if prepared is None else prepared.rows(Split.TEST)
    looked_at = rows + plan.rows.train
    decoded = looked = None
    if plan.card.flops is not None:
        weights = sum(item.numel() for item in network.language_model.parameters())
        # The confidence is counted in one more pass.
        flops = rows * (2.0 * weights * (decoding.beams + 1) * length + images.flops)
        moved = rows / usual.batch_size * decoding.max_tokens
        moved *= sum(frozen.values()) + unpacked_bytes(frozen) + keys
        decoded = hours_of_flops(plan.card, flops) + hours_of_bytes(plan.card, moved)
        looked = hours_of_flops(plan.card, looked_at * images.flops)
    return EvaluationPlan(
        plan.card,
        rows,
        looked_at,
        usual.batch_size,
        decoding.beams,
        decoding.max_tokens,
        images.frozen + sum(frozen.values()) + plan.setting.step.learned,
        keys,
        working,
        decoded,
        looked,
    )
