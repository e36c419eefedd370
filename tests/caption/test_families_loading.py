"""Bases found, refused, pinned and quantised; and what their vision towers see."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.caption.tiny import SENTENCES, tiny_blip2, tiny_paligemma
from tetkik.caption.families import image_spec_of, load_base, loading, tokenizer_of
from tetkik.caption.network import DecodingOptions
from tetkik.caption.options import Quantisation
from tetkik.errors import BundleCorrupt, BundleNotFound, MissingExtra, UsageError
from tetkik.settings import settings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_blip2(tmp_path_factory.mktemp("bases") / "opt")


@pytest.fixture
def own(base: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(base, tmp_path / "own"))


def changed(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_folder_gives_a_frozen_network(base: Path):
    network = load_base(str(base))
    assert (network.family, network.base, network.revision) == ("blip2", "opt", None)
    assert not any(weight.requires_grad for weight in network.core.parameters())
    assert not network.core.training
    assert network.fingerprint == tokenizer_of(str(base)).fingerprint


def test_a_hub_id_is_pinned_to_its_commit(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From the hub's cache, which is all there is while the setting `offline` is on."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--owner--captioner"
    shutil.copytree(base, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    network = load_base("owner/captioner")
    assert (network.base, network.revision) == ("owner/captioner", COMMIT)
    assert load_base("owner/captioner", revision=COMMIT).revision == COMMIT
    assert image_spec_of("owner/captioner", "main").size == 28


@pytest.mark.filterwarnings("ignore:.*:UserWarning:huggingface_hub")
def test_nothing_is_fetched_while_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert settings().offline
    with pytest.raises(BundleNotFound, match="owner/none could not be had from the hub"):
        load_base("owner/none")
    assert not list(tmp_path.glob("models--*/snapshots/*"))


def test_a_folder_has_no_revisions(base: Path):
    with pytest.raises(UsageError, match="has no revisions"):
        load_base(str(base), revision="main")


@pytest.mark.parametrize("name", ["./none", "none"])
def test_a_base_that_is_not_there(name: str):
    with pytest.raises(BundleNotFound, match="There is no base model at"):
        load_base(name)


def test_pickled_weights_are_refused_with_the_remedy(own: Path):
    (own / "model.safetensors").rename(own / "pytorch_model.bin")
    with pytest.raises(BundleCorrupt, match="save_pretrained of transformers writes safetensors"):
        load_base(str(own))


def test_a_folder_without_configuration_is_refused(own: Path):
    (own / "config.json").unlink()
    with pytest.raises(BundleCorrupt, match=r"no config\.json"):
        load_base(str(own))
    (own / "config.json").write_text("{")
    with pytest.raises(BundleCorrupt, match=r"no readable config\.json"):
        load_base(str(own))


def test_an_unknown_family_is_told_the_known_ones(own: Path):
    changed(own / "config.json", model_type="kosmos-2")
    with pytest.raises(UsageError, match=r"type kosmos-2.*: blip-2, paligemma"):
        load_base(str(own))


def test_damaged_weights_are_refused(own: Path):
    file = own / "model.safetensors"
    file.write_bytes(file.read_bytes()[:4000])
    with pytest.raises(BundleCorrupt, match="cannot be loaded as Blip2ForConditionalGeneration"):
        load_base(str(own))


def test_missing_weights_are_named(own: Path):
    from safetensors.torch import load_file, save_file

    weights = load_file(own / "model.safetensors")
    del weights["language_projection.weight"]
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BundleCorrupt, match=r"such as language_projection\.weight"):
        load_base(str(own))


def test_a_base_without_tokenizer_is_refused(own: Path):
    (own / "tokenizer.json").unlink()
    with pytest.raises(BundleCorrupt, match="no tokenizer"):
        tokenizer_of(str(own))


def test_a_missing_package_is_named(base: Path, monkeypatch: pytest.MonkeyPatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "bitsandbytes" else find(name, *more)
    )
    with pytest.raises(MissingExtra, match=r"bitsandbytes; `pip install '\.\[caption\]'`"):
        load_base(str(base), quantisation=Quantisation.NF4)


def test_a_transformers_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tiny_paligemma(tmp_path / "paligemma")
    monkeypatch.setattr("transformers.__version__", "4.57.6")
    with pytest.raises(MissingExtra, match=r"needs transformers 5 or later, and 4\.57\.6 is installed"):
        load_base(str(folder))


def test_another_vision_tower_is_looked_up(own: Path, monkeypatch: pytest.MonkeyPatch):
    changed(own / "config.json", tetkik_vision="tower")
    with pytest.raises(UsageError, match="called tower"):
        load_base(str(own))
    monkeypatch.setitem(loading.VISION_TOWERS, "tower", f"{__name__}:OtherBlip2")
    usual = loading._imported
    monkeypatch.setattr(loading, "_imported", lambda place: OtherBlip2 if "Other" in place else usual(place))
    assert isinstance(load_base(str(own)).core, OtherBlip2)


class OtherBlip2(Blip2ForConditionalGeneration):  # type: ignore[misc]
    """As one with another vision tower would be."""


# Quantised.


@pytest.mark.parametrize("language", ["opt", "t5"])
@pytest.mark.parametrize(("quantisation", "layer"), [("nf4", "Linear4bit"), ("int8", "Linear8bitLt")])
def test_only_the_language_model_is_quantised(tmp_path: Path, language: str, quantisation: str, layer: str):
    folder = tiny_blip2(tmp_path / language, language)
    network = load_base(str(folder), quantisation=Quantisation(quantisation))
    kinds = {name: type(part).__name__ for name, part in network.core.named_modules()}
    quantised = {name for name, kind in kinds.items() if kind == layer}
    assert quantised
    assert all(name.startswith("language_model.") for name in quantised)
    assert not any(name.endswith(("lm_head", ".wo")) for name in quantised)
    plain = load_base(str(folder))
    whole = {name for name, part in plain.core.named_modules() if isinstance(part, torch.nn.Linear)}
    left = {name for name in whole - quantised if name.startswith("language_model.")}
    assert {name.rpartition(".")[2] for name in left} <= {"lm_head", "wo"}
    if quantisation == "nf4":
        state = network.core.get_submodule(min(quantised)).weight.quant_state
        assert (state.quant_type, state.nested) == ("nf4", True)
    # The frozen part before it is the same; the loss is near.
    pixels = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    features = network.frozen_features(pixels)
    torch.testing.assert_close(features, plain.frozen_features(pixels))
    batch = plain.batch(plain.encode(SENTENCES[:2]))
    losses = [
        float(each.trainable()(features, batch.ids, batch.mask, batch.targets).detach())
        for each in (network, plain)
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert len(network.generate(features, DecodingOptions(beams=2, max_tokens=4))) == 2


# What the vision tower sees.


def pictures() -> list[Image.Image]:
    noise = np.random.default_rng(0)
    return [
        Image.fromarray(noise.integers(0, 256, (40, 61, 3), np.uint8)),
        Image.fromarray(noise.integers(0, 256, (301, 200), np.uint8)),
        Image.fromarray(noise.integers(0, 256, (28, 28, 3), np.uint8)),
    ]


@pytest.mark.parametrize("family", ["blip2", "paligemma"])
@pytest.mark.parametrize("size", [28, 224])
def test_images_are_those_of_transformers(family: str, size: int, tmp_path: Path):
    make = tiny_blip2 if family == "blip2" else tiny_paligemma
    folder = make(tmp_path / family, size=28)
    changed(folder / "preprocessor_config.json", size={"height": size, "width": size})
    spec = image_spec_of(str(folder))
    assert spec.size == size
    processor = (BlipImageProcessorPil if family == "blip2" else SiglipImageProcessorPil).from_pretrained(
        folder
    )
    for picture in pictures():
        theirs = processor(picture.convert("RGB"), return_tensors="np")["pixel_values"][0]
        mine = spec.normalised(spec.square(picture)[None])[0]
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_the_size_may_stand_in_the_processor(own: Path):
    """transformers 5 writes the image processor into processor_config.json."""
    file = own / "preprocessor_config.json"
    (own / "processor_config.json").write_text(
        json.dumps({"processor_class": "Blip2Processor", "image_processor": json.loads(file.read_text())})
    )
    before = image_spec_of(str(own))
    file.unlink()
    assert image_spec_of(str(own)) == before


def test_without_a_processor_the_size_is_the_towers(own: Path):
    for name in ("preprocessor_config.json", "processor_config.json"):
        (own / name).unlink()
    assert image_spec_of(str(own)).size == 28


@pytest.mark.parametrize(
    "values",
    [
        {"size": {"shortest_edge": 28}},
        {"size": {"height": 28, "width": 30}},
        {"do_center_crop": True},
        {"do_normalize": False},
        {"rescale_factor": 1 / 127.5},
        {"image_mean": [0.5, 0.5]},
        {"image_mean": 3},
        {"image_std": [0.5, 0.5, 0.0]},
    ],
)
def test_what_is_not_followed_is_refused(own: Path, values: dict[str, Any]):
    changed(own / "preprocessor_config.json", **values)
    with pytest.raises(BundleCorrupt, match=r"preprocessor_config\.json that Tetkik cannot follow"):
        image_spec_of(str(own))
