"""`tetkik caption train --test --plan`: the memory that judging the test split needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tetkik.caption.families.staged import CHUNK
from tetkik.caption.options import Learning, Quantisation
from tetkik.lab.caption.evaluate import EvaluationOptions
from tetkik.lab.caption.training.plan import CONTEXT, Card, Plan
from tetkik.lab.caption.training.plan_memory import (
    config_of,
    depth_of,
    frozen_bytes,
    pass_memory,
    planned_network,
)
from tetkik.lab.engine.precision import Precision, torch_type

_FP32, _HALF = 4, 2
_SEARCHED = 3
"""Tensors of a logit for each word and beam that a step of the search holds."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Bytes on the card.

    `captions` are decoded at once, each with `beams`; `keys` are the keys and values of all of them.
    """

    card: Card
    captions: int
    beams: int
    weights: int
    keys: int
    working: int

    @property
    def total(self) -> int:
        return self.weights + self.keys + self.working + CONTEXT


def plan_evaluation(plan: Plan) -> EvaluationPlan:
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
    before = network.stages()[-1].shape[0] + len(network._compose([], False)[0])
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
    return EvaluationPlan(
        plan.card,
        usual.batch_size,
        decoding.beams,
        images.frozen + sum(frozen.values()) + plan.setting.step.learned,
        keys,
        working,
    )
