"""What a plan says is what a training takes: against steps whose tensors were counted, or a known size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tetkik.caption.options import AdapterOptions, Quantisation
from tetkik.errors import UsageError
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind
from tetkik.lab.caption.training.plan import (
    GIB,
    StepMemory,
    _Planner,
    card_of,
    config_of,
    frozen_bytes,
    optimizer_bytes,
    packed_bytes,
    planned_network,
)
from tetkik.lab.caption.training.trainer import make_optimizer
from tetkik.lab.engine.precision import Precision

TOKENS = 97
OPT, T5 = "Salesforce/blip2-opt-6.7b", "Salesforce/blip2-flan-t5-xl"
CPU = torch.device("cpu")


def planned(options: CaptionTraining, captions: int) -> StepMemory:
    return _Planner(config_of(options.base), card_of("80GB"), TOKENS).step(options, captions)


def bytes_of(tensors: list[torch.Tensor]) -> int:
    return sum(item.numel() * item.element_size() for item in tensors)


# Counted tensor by tensor in a step of 8 captions of 97 tokens in fp16, played through without numbers: bytes
# beyond weights, gradients, optimiser and batch, in MiB.
@pytest.mark.parametrize(
    ("base", "changes", "working"),
    [
        (OPT, {}, 4959),
        (OPT, {"checkpointing": True}, 578),
        (OPT, {"quantisation": Quantisation.NF4}, 5999),
        (OPT, {"quantisation": Quantisation.NF4, "checkpointing": True}, 852),
        (OPT, {"quantisation": Quantisation.INT8}, 8055),
        (OPT, {"adapter": AdapterOptions(qformer=True)}, 5345),
        (T5, {}, 5186),
    ],
)
def test_the_plan_is_near_a_counted_step(base, changes, working):
    plan = planned(CaptionTraining(base=base, precision=Precision.FP16, **changes), 8)
    counted = plan.peak - plan.working + working * 2**20
    assert plan.peak == pytest.approx(counted, rel=0.05)
    assert plan.working == pytest.approx(working * 2**20, rel=0.25)


@pytest.mark.parametrize("kind", [OptimizerKind.ADAMW, OptimizerKind.SGD, OptimizerKind.ADAFACTOR])
def test_the_state_of_an_optimiser_has_the_size_it_has(kind):
    weights = [torch.nn.Parameter(torch.ones(shape)) for shape in ((40, 30), (50,))]
    optimizer = make_optimizer(weights, CaptionTraining(optimizer=kind), CPU)
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    tensors = [
        item
        for values in optimizer.state.values()
        for item in values.values()
        if isinstance(item, torch.Tensor)
    ]
    expected = optimizer_bytes([(40, 30), (50,)], kind)
    # Adafactor also keeps one number a weight.
    assert bytes_of(tensors) == pytest.approx(expected, abs=16)


def test_a_state_in_8_bits_takes_a_quarter_of_one_in_32():
    shapes: list[tuple[int, ...]] = [(4096, 16), (16, 4096)]
    ratio = optimizer_bytes(shapes, OptimizerKind.ADAMW_8BIT) / optimizer_bytes(shapes, OptimizerKind.ADAMW)
    assert ratio == pytest.approx(0.25, rel=0.02)
    assert optimizer_bytes([(64, 8)], OptimizerKind.ADAMW_8BIT) == 2 * 4 * 64 * 8  # small ones stay in 32


def test_four_bits_take_a_little_more_than_half_a_byte():
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = torch.randn(256, 512)
    packed, state = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    second = state.state2
    parts = [packed, state.absmax, state.code, state.offset, second.absmax, second.code]
    assert packed_bytes(256, 512, Quantisation.NF4) == bytes_of(parts)
    assert packed_bytes(4096, 4096, Quantisation.NF4) / 4096**2 == pytest.approx(0.516, abs=0.001)
    assert packed_bytes(4096, 4096, Quantisation.INT8) == 4096 * 4096 + 4 * 4096


@pytest.mark.parametrize(
    ("base", "billions"),
    [
        ("Salesforce/blip2-opt-2.7b", 3.74),
        ("Salesforce/blip2-opt-6.7b", 7.75),
        ("Salesforce/blip2-flan-t5-xl", 3.94),
        ("Salesforce/blip2-flan-t5-xxl", 12.2),
    ],
)
def test_published_sizes_need_no_download(base, billions):
    options = CaptionTraining(base=base)
    network = planned_network(options, config_of(base), torch.float16)
    learned = sum(item.numel() for item in network.core.parameters() if item.requires_grad)
    every = sum(item.numel() for item in network.core.parameters())
    assert (every - learned) / 1e9 == pytest.approx(billions, rel=0.02)
    assert learned > 0


def test_opt_in_four_bits_is_as_small_as_it_should_be():
    base = "Salesforce/blip2-opt-6.7b"
    options = CaptionTraining(base=base, quantisation=Quantisation.NF4)
    network = planned_network(options, config_of(base), torch.float16)
    found = frozen_bytes(network, Quantisation.NF4)
    # 32 layers of 4 * 4096² + 8 * 4096² weights at 0.516 bytes.
    assert found["nf4"] == pytest.approx(32 * 12 * 4096**2 * 0.516, rel=0.001)
    assert found["float16"] == pytest.approx(2 * 4096 * (50304 + 2050 + 768), rel=0.02)


def test_a_base_without_known_sizes_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TETKIK_OFFLINE", "true")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="someone/else"):
        config_of("someone/else")


@pytest.mark.parametrize(("name", "gib"), [(None, 14.72), ("16GB", 14.72), ("24 GiB", 22.08), ("7.5gb", 6.9)])
def test_cards_by_size(name, gib):
    assert card_of(name).memory / GIB == pytest.approx(gib, abs=0.01)


@pytest.mark.parametrize("name", ["t4", "0GB", "-1GB", "16", "GB"])
def test_what_is_no_size_is_refused(name):
    with pytest.raises(UsageError, match="such as 16GB"):
        card_of(name)


def test_more_captions_take_more_and_checkpoints_less():
    options = CaptionTraining(base=OPT, precision=Precision.FP32)
    two, eight = planned(options, 2), planned(options, 8)
    lean = planned(replace(options, checkpointing=True), 8)
    assert two.working < eight.working
    assert lean.working < eight.working
