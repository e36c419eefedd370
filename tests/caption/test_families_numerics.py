"""Numbers that stay finite, memory that stays small, and noise only where something learns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.caption.network_kit import batch_of, learned, mean, opened, pixels, summed
from tests.caption.tiny import tiny_blip2
from tetkik.caption.adapters import add_adapter
from tetkik.caption.families import staged
from tetkik.caption.options import AdapterOptions


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {language: tiny_blip2(folder / language, language) for language in ("opt", "t5")}


@pytest.mark.parametrize("language", ["opt", "t5"])
def test_logits_are_made_of_caption_tokens_only(bases: dict[str, Path], language: str, monkeypatch: Any):
    network = opened(bases[language])
    add_adapter(network, AdapterOptions(dropout=0.0))
    features, batch = network.frozen_features(pixels()), batch_of(network)
    rows: list[int] = []
    network.core.language_model.lm_head.register_forward_hook(
        lambda _, inputs, __: rows.append(len(inputs[0].flatten(0, -2)))
    )
    whole = summed(network, features, batch)
    assert rows == [int((batch.targets != -100).sum())]
    whole.backward()
    gradients = [weight.grad.clone() for weight in learned(network)]
    # In chunks: never more than so many rows at once, and the same answer.
    rows.clear()
    monkeypatch.setattr(staged, "CHUNK", 8)
    network.model.zero_grad()
    parts = summed(network, features, batch)
    parts.backward()
    assert max(rows) == 8
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close([weight.grad for weight in learned(network)], gradients)


@pytest.mark.parametrize("language", ["opt", "t5"])
def test_checkpointing_gives_the_same_gradients(bases: dict[str, Path], language: str):
    def gradients(checkpointing: bool) -> list[torch.Tensor]:
        network = opened(bases[language])
        torch.manual_seed(0)
        add_adapter(network, AdapterOptions(dropout=0.0, qformer=True))
        if checkpointing:
            network.checkpoint_activations()
        passes = []
        layer = network.core.language_model.get_decoder().modules()
        attention = next(part for part in layer if type(part).__name__ in {"OPTAttention", "T5Attention"})
        attention.register_forward_hook(lambda *_: passes.append(1))
        module, batch = network.trainable().train(), batch_of(network)
        module(network.frozen_features(pixels()), batch.ids, batch.mask, batch.targets).backward()
        assert len(passes) == (2 if checkpointing else 1)
        return [weight.grad for weight in learned(network)]

    torch.testing.assert_close(gradients(True), gradients(False), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("language", ["opt", "t5"])
def test_frozen_parts_have_no_dropout_in_training(bases: dict[str, Path], language: str):
    """The configurations of OPT, T5 and the Q-Former all ask for 0.1."""
    network = opened(bases[language])
    add_adapter(network, AdapterOptions(dropout=0.0, qformer=True, projection=True))
    module, batch = network.trainable().train(), batch_of(network)
    features = network.frozen_features(pixels())
    first, second = (module(features, batch.ids, batch.mask, batch.targets) for _ in range(2))
    assert first == second == summed(network, features, batch)


def test_the_adapter_keeps_its_dropout(bases: dict[str, Path]):
    network = opened(bases["opt"])
    add_adapter(network, AdapterOptions(dropout=0.5))
    with torch.no_grad():
        for name, weight in network.model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.3)
    module, batch = network.trainable().train(), batch_of(network)
    features = network.frozen_features(pixels())
    first, second = (module(features, batch.ids, batch.mask, batch.targets) for _ in range(2))
    assert first != second
    module.eval()
    first, second = (module(features, batch.ids, batch.mask, batch.targets) for _ in range(2))
    assert first == second


def test_smoothing_reaches_the_loss(bases: dict[str, Path]):
    network = opened(bases["opt"])
    features, batch = network.frozen_features(pixels()), batch_of(network)
    plain = network.trainable()(features, batch.ids, batch.mask, batch.targets)
    smooth = network.trainable()(features, batch.ids, batch.mask, batch.targets, smoothing=0.2)
    assert plain != smooth


def test_the_loss_is_taken_in_fp32():
    """fp16 ends at 65,504: a softmax over large logits is not finite in it, or all are equal."""
    hidden = torch.full((3, 1), 6.0e4, dtype=torch.float16)
    wanted = torch.tensor([1, 0, 1])
    head = torch.tensor([[1.0], [-1.0]], dtype=torch.float16)
    losses = staged.token_losses(hidden, lambda part: part @ head.T, wanted)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, torch.tensor([119_936.0, 0.0, 119_936.0]), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_q_former_stays_fp32_in_a_half_model(bases: dict[str, Path], dtype: torch.dtype):
    network = opened(bases["opt"], dtype=dtype)
    assert {weight.dtype for weight in network.core.qformer.parameters()} == {torch.float32}
    assert network.core.query_tokens.dtype == torch.float32
    assert {weight.dtype for weight in network.core.language_model.parameters()} == {dtype}
    assert {weight.dtype for weight in network.core.vision_model.parameters()} == {dtype}


def test_large_numbers_within_the_q_former_stay_finite(bases: dict[str, Path]):
    """In fp16 they would not: its layers pass 65,504, before the norm that brings them back."""
    network = opened(bases["opt"], dtype=torch.float16)
    dense = network.core.qformer.encoder.layer[0].intermediate_query.dense
    dense.weight.data *= 1e5
    batch, features = batch_of(network), network.frozen_features(pixels())
    assert network.to_language(features).dtype == torch.float16
    assert bool(torch.isfinite(features.half()).all())
    loss = summed(network, features, batch)
    assert loss.dtype == torch.float32
    assert bool(torch.isfinite(loss))
    network.core.qformer.half()
    network.core.query_tokens.data = network.core.query_tokens.data.half()
    assert not bool(torch.isfinite(network.frozen_features(pixels())).all())


def test_the_layers_of_t5_that_overflow_in_fp16_stay_fp32(bases: dict[str, Path]):
    network = opened(bases["t5"], dtype=torch.float16)
    kept = {
        name.split(".")[-2]
        for name, weight in network.core.language_model.named_parameters()
        if weight.dtype == torch.float32
    }
    assert kept == {"wo"}
    batch, features = batch_of(network), network.frozen_features(pixels())
    single = opened(bases["t5"])
    exact = mean(single, single.frozen_features(pixels()), batch)
    assert mean(network, features, batch) == pytest.approx(exact, rel=2e-2)


def test_half_weights_with_an_fp32_adapter_learn(bases: dict[str, Path]):
    network = opened(bases["opt"], dtype=torch.float16)
    add_adapter(network, AdapterOptions(dropout=0.0, projection=True))
    assert {weight.dtype for weight in learned(network)} == {torch.float32}
    batch, features = batch_of(network), network.frozen_features(pixels())
    module = network.trainable().train()
    optimiser = torch.optim.AdamW(learned(network), lr=1e-2)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = module(features, batch.ids, batch.mask, batch.targets)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < 0.8 * losses[0]
