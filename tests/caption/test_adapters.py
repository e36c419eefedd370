"""What learns, in which numbers, and where the cut then lies."""

from __future__ import annotations

import pytest
import torch

from tests.caption.tiny import SENTENCES, tiny_blip2
from tetkik.caption.adapters import add_adapter, make_trainable, trainable_parameters
from tetkik.caption.families import load_base
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import Cut
from tetkik.caption.options import AdapterOptions, Learning, Quantisation
from tetkik.errors import UsageError

ADAPTER, FULL = Learning.ADAPTER, Learning.FULL
PIXELS = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bases")
    return {language: str(tiny_blip2(folder / language, language)) for language in ("opt", "t5")}


def names_of(network: StagedNetwork) -> set[str]:
    """Layers that have an adapter."""
    return {
        name.partition(".lora_A")[0].removeprefix("base_model.model.")
        for name, _ in network.model.named_parameters()
        if "lora_A" in name
    }


def losses(network: StagedNetwork, steps: int = 10) -> list[float]:
    module = network.trainable().train()
    batch, features = network.batch(network.encode(SENTENCES[:3])), network.frozen_features(PIXELS)
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-2)
    result = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = module(features, batch.ids, batch.mask, batch.targets)
        loss.backward()
        assert all(weight.grad is not None for weight in weights)
        optimiser.step()
        result.append(float(loss.detach()))
    return result


@pytest.mark.parametrize(
    ("language", "ends", "number"), [("opt", {"q_proj", "v_proj"}, 4), ("t5", {"q", "v"}, 12)]
)
def test_the_family_has_its_own_targets(bases: dict[str, str], language: str, ends: set[str], number: int):
    network = load_base(bases[language])
    make_trainable(network, ADAPTER, AdapterOptions())
    assert {name.rpartition(".")[2] for name in names_of(network)} == ends
    assert all(name.startswith("language_model.") for name in names_of(network))
    assert len(names_of(network)) == number
    assert network.cut is Cut.BRIDGE


def test_targets_may_be_named(bases: dict[str, str]):
    network = load_base(bases["opt"])
    add_adapter(network, AdapterOptions(targets=("fc1", "language_model.model.decoder.layers.1.fc2")))
    layers = "language_model.model.decoder.layers"
    assert names_of(network) == {f"{layers}.0.fc1", f"{layers}.1.fc1", f"{layers}.1.fc2"}


def test_a_full_name_may_be_outside_the_language_model(bases: dict[str, str]):
    network = load_base(bases["opt"])
    add_adapter(network, AdapterOptions(targets=("vision_model.encoder.layers.1.self_attn.qkv",)))
    assert names_of(network) == {"vision_model.encoder.layers.1.self_attn.qkv"}
    assert network.cut is Cut.NOTHING


def test_a_target_that_no_layer_has_is_told_what_there_is(bases: dict[str, str]):
    network = load_base(bases["opt"])
    with pytest.raises(UsageError, match="called qkv; choose from: fc1, fc2, k_proj, lm_head"):
        add_adapter(network, AdapterOptions(targets=("q_proj", "qkv")))
    assert network.model is network.core


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        (AdapterOptions(), Cut.BRIDGE),
        (AdapterOptions(projection=True), Cut.BRIDGE),
        (AdapterOptions(qformer=True), Cut.VISION),
        (AdapterOptions(qformer=True, projection=True), Cut.VISION),
    ],
)
def test_the_cut_moves_before_what_learns(bases: dict[str, str], options: AdapterOptions, cut: Cut):
    network = load_base(bases["opt"])
    add_adapter(network, options)
    assert network.cut is cut
    assert network.frozen_features(PIXELS).shape[1:] == network.feature_shape()
    assert {name.partition(".")[0] for name in names_of(network)} == (
        {"language_model", "qformer"} if options.qformer else {"language_model"}
    )
    result = losses(network)
    assert result[-1] < result[0]


def test_only_the_attention_of_the_q_former_gets_an_adapter(bases: dict[str, str]):
    network = load_base(bases["opt"])
    add_adapter(network, AdapterOptions(qformer=True))
    bridge = {name for name in names_of(network) if name.startswith("qformer.")}
    # Two layers with self-attention, of which one also looks at the image.
    assert len(bridge) == 6
    assert all(".attention.attention." in name or ".crossattention.attention." in name for name in bridge)


@pytest.mark.parametrize("quantisation", list(Quantisation))
@pytest.mark.parametrize(
    "options",
    [
        AdapterOptions(dropout=0.0),
        AdapterOptions(rslora=True, dropout=0.0),
        AdapterOptions(dora=True, dropout=0.0),
    ],
    ids=["lora", "rslora", "dora"],
)
def test_every_kind_learns_beside_every_kind_of_weights(
    bases: dict[str, str], quantisation: Quantisation, options: AdapterOptions
):
    network = load_base(bases["opt"], quantisation=quantisation)
    frozen = {
        name: weight.detach().clone()
        for name, weight in network.core.named_parameters()
        if ".self_attn." in name and name.endswith("weight")
    }
    add_adapter(network, options)
    assert {weight.dtype for weight in network.model.parameters() if weight.requires_grad} == {torch.float32}
    result = losses(network)
    assert result[-1] < 0.98 * result[0]
    after = dict(network.core.named_parameters())
    for name, weight in frozen.items():
        now = after.get(name, after.get(name.replace(".weight", ".base_layer.weight")))
        assert now is not None
        assert torch.equal(now, weight)


def test_the_scale_of_rslora_grows_with_the_root_of_the_rank(bases: dict[str, str]):
    scales = []
    for rslora in (False, True):
        network = load_base(bases["opt"])
        add_adapter(network, AdapterOptions(rank=4, alpha=8, rslora=rslora))
        scales.append(network.core.language_model.model.decoder.layers[0].self_attn.q_proj.scaling["default"])
    assert scales == [2.0, 4.0]


def test_a_fresh_adapter_changes_nothing(bases: dict[str, str]):
    network = load_base(bases["opt"])
    batch, features = network.batch(network.encode(SENTENCES[:3])), network.frozen_features(PIXELS)
    before = network.trainable()(features, batch.ids, batch.mask, batch.targets)
    add_adapter(network, AdapterOptions())
    after = network.trainable()(features, batch.ids, batch.mask, batch.targets)
    assert float(after.detach()) == float(before)


def test_weights_are_counted_as_they_were_before_packing(bases: dict[str, str]):
    """4 bits pack two numbers in a byte; the count is of numbers."""
    counts = []
    for quantisation in Quantisation:
        network = load_base(bases["opt"], quantisation=quantisation)
        add_adapter(network, AdapterOptions(rank=4))
        counts.append(trainable_parameters(network))
    assert counts[0] == counts[1] == counts[2]
    # Two layers with two projections of 32 x 32 and two matrices of rank 4 each.
    assert counts[0][0] == 2 * 2 * 2 * 4 * 32


def test_all_weights_after_the_vision_tower_may_learn(bases: dict[str, str]):
    network = load_base(bases["opt"], dtype=torch.bfloat16)
    make_trainable(network, FULL, AdapterOptions())
    assert network.cut is Cut.VISION
    assert network.model is network.core
    learned, every = trainable_parameters(network)
    assert learned == every - sum(weight.numel() for weight in network.core.vision_model.parameters())
    assert {weight.dtype for weight in network.trainable().parameters()} == {torch.float32}
    # What learns keeps the dropout that its configuration asks for.
    assert network.core.qformer.dropout.p == 0.1
    result = losses(network)
    assert result[-1] < 0.7 * result[0]


def test_quantised_weights_do_not_learn(bases: dict[str, str]):
    network = load_base(bases["opt"], quantisation=Quantisation.NF4)
    with pytest.raises(UsageError, match="Quantised weights cannot learn"):
        make_trainable(network, FULL, AdapterOptions())
