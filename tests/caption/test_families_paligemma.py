"""PaliGemma of ours against transformers' own: another architecture behind the same protocol."""

from __future__ import annotations

import pytest
import torch

from tests.caption.tiny import SENTENCES, tiny_paligemma
from tetkik.caption.adapters import add_adapter, trainable_parameters
from tetkik.caption.families import load_base
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import CaptionBatch, Cut, DecodingOptions
from tetkik.caption.options import AdapterOptions, Quantisation
from tetkik.errors import UsageError

PATCHES = 16


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_paligemma(tmp_path_factory.mktemp("bases") / "paligemma"))


@pytest.fixture
def network(base: str) -> StagedNetwork:
    return load_base(base)


PIXELS = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(1))


def batch_of(network: StagedNetwork) -> CaptionBatch:
    return network.batch(network.encode(SENTENCES[:3]))


def mean(network: StagedNetwork, batch: CaptionBatch) -> float:
    features = network.frozen_features(PIXELS)
    loss = network.trainable()(features, batch.ids, batch.mask, batch.targets)
    return float(loss.detach()) / int((batch.targets != -100).sum())


@pytest.mark.parametrize("prompt", ["caption en", "describe the radiograph"])
def test_loss_is_that_of_transformers(network: StagedNetwork, prompt: str):
    network.prompt = prompt
    batch = batch_of(network)
    assert not bool(batch.mask.all())
    places = torch.full((3, PATCHES), network.core.config.image_token_index)
    result = network.core(
        pixel_values=PIXELS,
        input_ids=torch.cat([places, batch.ids], dim=1),
        attention_mask=torch.cat([torch.ones_like(places), batch.mask], dim=1),
        token_type_ids=torch.cat([torch.zeros_like(places), (batch.targets != -100).long()], dim=1),
        labels=torch.cat([torch.full_like(places, -100), batch.targets], dim=1),
    )
    assert mean(network, batch) == pytest.approx(float(result.loss.detach()), abs=1e-5)


def test_filling_on_the_left_changes_nothing(network: StagedNetwork):
    batch = batch_of(network)
    order = batch.mask.argsort(dim=1, stable=True)
    turned = CaptionBatch(*(part.gather(1, order) for part in (batch.ids, batch.mask, batch.targets)))
    assert not torch.equal(turned.ids, batch.ids)
    assert mean(network, turned) == pytest.approx(mean(network, batch), abs=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_captions_are_those_of_transformers(network: StagedNetwork, beams: int):
    options = DecodingOptions(beams=beams, max_tokens=9)
    mine = network.generate(network.frozen_features(PIXELS), options)
    places = torch.full((3, PATCHES), network.core.config.image_token_index)
    batch = batch_of(network)
    prompt = batch.ids[:, : int((batch.targets[0] != -100).int().argmax())]
    asked = torch.cat([places, prompt], dim=1)
    theirs = network.core.generate(
        pixel_values=PIXELS,
        input_ids=asked,
        attention_mask=torch.ones_like(asked),
        token_type_ids=torch.zeros_like(asked),
        max_new_tokens=9,
        min_new_tokens=1,
        num_beams=beams,
    )
    new = theirs[:, asked.shape[1] :].tolist()
    assert [one.text for one in mine] == [network.words.decode(row) for row in new]
    assert all(one.confidence is not None and 0 < one.confidence < 1 for one in mine)


@pytest.mark.parametrize("quantisation", list(Quantisation))
def test_it_learns_with_an_adapter(base: str, quantisation: Quantisation):
    network = load_base(base, quantisation=quantisation)
    add_adapter(network, AdapterOptions(rank=4, dropout=0.0, projection=True))
    # Gemma's alone: SigLIP has layers of the same names.
    names = [name for name, weight in network.model.named_parameters() if weight.requires_grad]
    assert all("language_model" in name or "multi_modal_projector" in name for name in names)
    assert network.cut is Cut.VISION
    learned, every = trainable_parameters(network)
    assert learned == 2 * (2 * 4 * 32 + 4 * (32 + 8)) + 16 * 32 + 32
    assert every > learned
    module, batch = network.trainable().train(), batch_of(network)
    features = network.frozen_features(PIXELS)
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-2)
    losses = []
    for _ in range(10):
        optimiser.zero_grad()
        loss = module(features, batch.ids, batch.mask, batch.targets)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_it_has_no_q_former(network: StagedNetwork):
    with pytest.raises(UsageError, match="no Q-Former"):
        add_adapter(network, AdapterOptions(qformer=True))
