"""BLIP-2 of ours against transformers' own, on the same weights and inputs."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.caption.network_kit import batch_of, mean, opened, pixels, summed
from tests.caption.tiny import SENTENCES, tiny_blip2
from tetkik.caption.adapters import add_adapter, make_trainable
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import CaptionBatch, Cut, DecodingOptions
from tetkik.caption.options import AdapterOptions, Learning
from tetkik.errors import UsageError

QUERIES = 4


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {language: tiny_blip2(folder / language, language) for language in ("opt", "t5")}


def of_transformers(network: StagedNetwork, images: torch.Tensor, batch: CaptionBatch) -> float:
    """`Blip2ForConditionalGeneration.forward(...).loss`, with placeholders as its processor writes them."""
    core = network.core
    places = torch.full((len(images), QUERIES), core.config.image_token_index)
    ignored = torch.full_like(places, -100)
    if not core.config.use_decoder_only_language_model:
        prompt = [*network.words.encode([network.prompt])[0].tolist(), 1]
        received = torch.cat([places, torch.tensor([prompt] * len(images))], dim=1)
        return float(core(pixel_values=images, input_ids=received, labels=batch.targets).loss.detach())
    return float(
        core(
            pixel_values=images,
            input_ids=torch.cat([places, batch.ids], dim=1),
            attention_mask=torch.cat([torch.ones_like(places), batch.mask], dim=1),
            labels=torch.cat([ignored, batch.targets], dim=1),
        ).loss.detach()
    )


@pytest.mark.parametrize("language", ["opt", "t5"])
@pytest.mark.parametrize("prompt", ["", "The picture shows"])
def test_loss_is_that_of_transformers(bases: dict[str, Path], language: str, prompt: str):
    network = opened(bases[language])
    network.prompt = prompt
    batch = batch_of(network)
    assert not bool(batch.mask.all()), "some captions are filled up"
    features = network.frozen_features(pixels())
    assert features.shape == (3, *network.feature_shape())
    assert mean(network, features, batch) == pytest.approx(
        of_transformers(network, pixels(), batch), abs=1e-5
    )


def test_filling_on_the_left_changes_nothing(bases: dict[str, Path]):
    """OPT counts positions from the mask, so words keep theirs wherever the filling stands."""
    network = opened(bases["opt"])
    batch = batch_of(network)
    length = batch.ids.shape[1]

    def left(values: torch.Tensor, filling: int) -> torch.Tensor:
        rows = [row[mask.bool()] for row, mask in zip(values, batch.mask, strict=True)]
        return torch.stack([torch.cat([row.new_full((length - len(row),), filling), row]) for row in rows])

    turned = CaptionBatch(left(batch.ids, 1), left(batch.mask, 0), left(batch.targets, -100))
    assert not torch.equal(turned.ids, batch.ids)
    features = network.frozen_features(pixels())
    assert mean(network, features, turned) == pytest.approx(mean(network, features, batch), abs=1e-5)


@pytest.mark.parametrize("language", ["opt", "t5"])
def test_a_caption_has_the_loss_it_has_alone(bases: dict[str, Path], language: str):
    network = opened(bases[language])
    features = network.frozen_features(pixels())
    together = summed(network, features, batch_of(network))
    alone = sum(
        float(summed(network, features[i : i + 1], network.batch(network.encode([SENTENCES[i]]))))
        for i in range(3)
    )
    assert float(together) == pytest.approx(alone, rel=1e-5)


def test_only_the_caption_and_its_end_are_learned(bases: dict[str, Path]):
    network = opened(bases["opt"])
    network.prompt = "A picture of"
    (row,) = network.encode([SENTENCES[0]])
    batch = network.batch([row])
    learned = batch.targets[0][batch.targets[0] != -100].tolist()
    # The published OPT checkpoints end a caption with a line break.
    assert learned == [*row.tolist(), network.words.tokenizer.convert_tokens_to_ids("Ċ")]
    assert batch.ids[0, 0] == 2
    assert network.words.decode(batch.ids[0].tolist()) == f"A picture of {SENTENCES[0]}"


@pytest.mark.parametrize("language", ["opt", "t5"])
def test_checkpoints_without_image_token_are_the_same(bases: dict[str, Path], language: str, tmp_path: Path):
    """Before transformers 4.46: no `image_token_index`, and no `num_query_tokens` in the processor."""
    old = tmp_path / "old"
    shutil.copytree(bases[language], old)
    config = json.loads((old / "config.json").read_text())
    config["image_token_index"] = None
    (old / "config.json").write_text(json.dumps(config))
    (old / "processor_config.json").unlink()
    new, without = opened(bases[language]), opened(old)
    batch, features = batch_of(new), new.frozen_features(pixels())
    torch.testing.assert_close(without.frozen_features(pixels()), features)
    assert summed(without, features, batch) == summed(new, features, batch)
    options = DecodingOptions(beams=2, max_tokens=8)
    assert without.generate(features, options) == new.generate(features, options)


def test_a_caption_that_spells_special_tokens_is_not_given_them(bases: dict[str, Path]):
    network = opened(bases["opt"])
    (row,) = network.encode(["An <image> of </s> something<pad>."])
    assert not {1, 2, network.core.config.image_token_index} & set(row.tolist())
    assert row.dtype == np.int32
    assert network.encode([]) == []


DECODINGS: dict[str, tuple[DecodingOptions, dict[str, Any]]] = {
    "greedy": (DecodingOptions(beams=1, max_tokens=10, min_tokens=3), {}),
    "beams": (DecodingOptions(beams=3, max_tokens=10, min_tokens=3), {"num_beams": 3}),
    "long": (
        DecodingOptions(beams=3, max_tokens=10, min_tokens=3, length_penalty=2.0),
        {"num_beams": 3, "length_penalty": 2.0},
    ),
}


@pytest.mark.parametrize("language", ["opt", "t5"])
@pytest.mark.parametrize("decoding", DECODINGS)
def test_captions_are_those_of_transformers(bases: dict[str, Path], language: str, decoding: str):
    network = opened(bases[language])
    options, same = DECODINGS[decoding]
    mine = network.generate(network.frozen_features(pixels()), options)
    theirs = network.core.generate(pixel_values=pixels(), max_new_tokens=10, min_new_tokens=3, **same)
    # Before the new tokens: placeholders and the beginning; T5's decoder starts with one.
    before = 1 if language == "t5" else QUERIES + 1
    assert [one.text for one in mine] == [network.words.decode(row) for row in theirs[:, before:].tolist()]
    assert all(one.text for one in mine)


def test_draws_follow_the_seed_and_leave_the_generator_alone(bases: dict[str, Path]):
    network = opened(bases["opt"])
    features = network.frozen_features(pixels())
    options = DecodingOptions(beams=1, sample=True, top_p=1.0, max_tokens=12)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = network.generate(features, options)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.generate(features, options) == first
    assert network.generate(features, replace(options, seed=1)) != first


def test_impossible_decoding_is_refused(bases: dict[str, Path]):
    network = opened(bases["opt"])
    features = network.frozen_features(pixels(1))
    with pytest.raises(UsageError, match="Sampling takes no beams"):
        network.generate(features, DecodingOptions(beams=2, sample=True))
    with pytest.raises(UsageError, match="at least 9 tokens"):
        network.generate(features, DecodingOptions(max_tokens=4, min_tokens=9))


def test_repetition_is_avoided_where_asked(bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    network = opened(bases["opt"])
    features = network.frozen_features(pixels())
    said: list[list[int]] = []

    def received(row: list[int]) -> str:
        said.append(row)
        return ""

    monkeypatch.setattr(network.words, "decode", received)
    network.generate(features, DecodingOptions(beams=2, max_tokens=20))
    assert any(len(row) != len(set(row)) for row in said)
    said.clear()
    network.generate(features, DecodingOptions(beams=2, max_tokens=20, no_repeat=1))
    assert all(len(row) == len(set(row)) > 0 for row in said)


@pytest.mark.parametrize("language", ["opt", "t5"])
@pytest.mark.parametrize("beams", [1, 3])
def test_confidence_is_the_models_own_probability(bases: dict[str, Path], language: str, beams: int):
    """The geometric mean over the tokens that transformers' own scores give."""
    network = opened(bases[language])
    images = pixels()
    mine = network.generate(
        network.frozen_features(images), DecodingOptions(beams=beams, max_tokens=8, min_tokens=0)
    )
    result = network.core.generate(
        pixel_values=images,
        max_new_tokens=8,
        num_beams=beams,
        return_dict_in_generate=True,
        output_scores=True,
    )
    scores = network.core.language_model.compute_transition_scores(
        result.sequences, result.scores, getattr(result, "beam_indices", None), normalize_logits=True
    )
    for number, one in enumerate(mine):
        row = scores[number][torch.isfinite(scores[number]) & (scores[number] != 0)]
        assert one.confidence == pytest.approx(math.exp(float(row.mean())), rel=1e-4)


def test_features_at_every_cut_give_the_same_loss(bases: dict[str, Path]):
    losses, shapes = {}, {}
    for name in (None, "language_projection", "qformer", "vision_model"):
        network = opened(bases["opt"])
        if name is None:
            # As if the language model were as narrow as the Q-Former; else it is cut before the projection.
            assert network.cut is Cut.BRIDGE
            network.core.config.text_config.hidden_size = 24
        else:
            network.part(name).requires_grad_(True)
        features = network.frozen_features(pixels())
        shapes[network.cut] = tuple(features.shape[1:])
        losses[network.cut] = mean(network, features, batch_of(network))
        if network.cut not in {Cut.NOTHING, Cut.PROJECTION}:
            assert tuple(features.shape[1:]) == network.feature_shape()
    assert set(losses) == set(Cut)
    assert max(losses.values()) - min(losses.values()) < 1e-5
    assert shapes == {
        Cut.PROJECTION: (QUERIES, 32),
        Cut.BRIDGE: (QUERIES, 24),
        Cut.VISION: (17, 16),
        Cut.NOTHING: (3, 28, 28),
    }


def test_what_is_dropped_is_not_needed(bases: dict[str, Path]):
    network = opened(bases["opt"])
    make_trainable(network, Learning.ADAPTER, AdapterOptions())
    features, batch = network.frozen_features(pixels()), batch_of(network)
    before = mean(network, features, batch)
    network.drop_frozen()
    assert all(weight.is_meta for weight in network.core.vision_model.parameters())
    assert mean(network, features, batch) == before
    assert network.generate(features, DecodingOptions(max_tokens=4))


def test_captions_between_steps_leave_training_mode_as_it_was(bases: dict[str, Path]):
    network = opened(bases["opt"])
    add_adapter(network, AdapterOptions())
    module = network.trainable().train()
    before = {name: part.training for name, part in network.core.named_modules()}
    assert any(before.values())
    network.generate(network.frozen_features(pixels(1)), DecodingOptions(max_tokens=3))
    assert {name: part.training for name, part in network.core.named_modules()} == before
    assert module.training
