"""A captioner written and read back: by us, by peft and by transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoProcessor, Blip2ForConditionalGeneration, PaliGemmaForConditionalGeneration

from tests.caption.tiny import SENTENCES, tiny_blip2, tiny_paligemma
from tetkik.bundle import Bundle, Manifest, Task, open_bundle, write_manifest
from tetkik.caption.adapters import make_trainable, suppress_peft_warnings
from tetkik.caption.families import load_base
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import DecodingOptions, Generated
from tetkik.caption.options import AdapterOptions, Learning, Quantisation
from tetkik.caption.predict import load_caption
from tetkik.caption.storage import load_captioner, preprocessing_of, write_network
from tetkik.errors import BundleCorrupt, BundleMismatch, UsageError
from tetkik.language import Language
from tetkik.settings import settings

PIXELS = torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(1))
DECODING = DecodingOptions(beams=2, max_tokens=12)
ALL_PARTS = AdapterOptions(qformer=True, projection=True)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("bases")
    made = {
        "opt": tiny_blip2(folder / "opt"),
        "t5": tiny_blip2(folder / "t5", "t5"),
        "old": tiny_blip2(folder / "old", placeholders=False),
        "paligemma": tiny_paligemma(folder / "paligemma"),
    }
    return {name: str(path) for name, path in made.items()}


def trained(
    base: str, learning: Learning = Learning.ADAPTER, options: AdapterOptions | None = None, **more: Any
) -> StagedNetwork:
    """A few steps on three captions."""
    network = load_base(base, **more)
    torch.manual_seed(0)
    make_trainable(network, learning, options or AdapterOptions())
    module = network.trainable()
    batch, features = network.batch(network.encode(SENTENCES[:3])), network.frozen_features(PIXELS)
    optimiser = torch.optim.AdamW([weight for weight in module.parameters() if weight.requires_grad], lr=2e-2)
    for _ in range(6):
        optimiser.zero_grad()
        module(features, batch.ids, batch.mask, batch.targets).backward()
        optimiser.step()
    module.eval()
    return network


def bundled(network: StagedNetwork, folder: Path, *, merge: bool = False, **training: Any) -> Bundle:
    folder.mkdir()
    write_network(network, folder, merge=merge)
    manifest = Manifest(
        id="captioner",
        version="1.0",
        task=Task.CAPTION,
        kind=network.family,
        labels=("caption",),
        preprocessing=preprocessing_of(network),
        training={
            "base": network.base,
            "revision": network.revision,
            "quantisation": network.quantisation.value,
            **training,
        },
        created="2026-01-01",
    )
    write_manifest(folder, manifest)
    return open_bundle(folder, Task.CAPTION)


def said(network: StagedNetwork) -> list[Generated]:
    return network.generate(network.frozen_features(PIXELS), DECODING)


def loss_of(network: StagedNetwork) -> float:
    batch = network.batch(network.encode(SENTENCES[:3]))
    module = network.trainable().eval()
    loss = module(network.frozen_features(PIXELS), batch.ids, batch.mask, batch.targets)
    return float(loss.detach())


@pytest.mark.parametrize("family", ["opt", "t5", "paligemma"])
@pytest.mark.parametrize("merge", [False, True])
def test_reloaded_it_says_the_same(bases: dict[str, str], family: str, merge: bool, tmp_path: Path):
    options = AdapterOptions(projection=True) if family == "paligemma" else ALL_PARTS
    network = trained(bases[family], options=options)
    network.prompt = "The picture shows"
    assert loss_of(network) != pytest.approx(loss_of(load_base(bases[family])), rel=1e-3)
    bundle = bundled(network, tmp_path / "bundle", merge=merge)
    again = load_captioner(bundle, base=None if merge else bases[family])
    assert again.prompt == "The picture shows"
    assert again.image == network.image
    assert loss_of(again) == pytest.approx(loss_of(network), rel=1e-5)
    assert [one.text for one in said(again)] == [one.text for one in said(network)]
    assert not any(weight.requires_grad for weight in again.model.parameters())


@pytest.mark.parametrize("options", [AdapterOptions(dora=True), AdapterOptions(rslora=True)])
def test_every_kind_of_adapter_merges(bases: dict[str, str], options: AdapterOptions, tmp_path: Path):
    from peft import PeftModel

    network = trained(bases["opt"], options=options)
    before = loss_of(network)
    again = load_captioner(bundled(network, tmp_path / "bundle", merge=True))
    assert loss_of(again) == pytest.approx(before, rel=1e-5)
    # It may be trained further: nothing of it was merged.
    assert loss_of(network) == before
    assert isinstance(network.model, PeftModel)


def test_peft_opens_an_adapter(bases: dict[str, str], tmp_path: Path):
    from peft import PeftModel

    network = trained(bases["opt"], options=ALL_PARTS)
    bundle = bundled(network, tmp_path / "bundle")
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} < set(bundle.manifest.files)
    assert "model.safetensors" not in bundle.manifest.files
    plain = Blip2ForConditionalGeneration.from_pretrained(bases["opt"])
    with suppress_peft_warnings():
        model = PeftModel.from_pretrained(plain, bundle.path)
    names = dict(model.named_parameters())
    for name, weight in network.model.named_parameters():
        torch.testing.assert_close(names[name], weight)


def test_nothing_of_this_computer_is_in_a_bundle(bases: dict[str, str], tmp_path: Path):
    for merge in (False, True):
        bundle = bundled(trained(bases["opt"]), tmp_path / f"bundle-{merge}", merge=merge)
        for name in bundle.manifest.files:
            assert str(Path(bases["opt"]).parent).encode() not in bundle.file(name).read_bytes()
    config = json.loads((tmp_path / "bundle-False" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "opt"


@pytest.mark.parametrize("family", ["opt", "t5", "paligemma", "old"])
def test_transformers_opens_a_whole_model(bases: dict[str, str], family: str, tmp_path: Path):
    network = trained(bases[family])
    bundle = bundled(network, tmp_path / "bundle", merge=True)
    kind = PaliGemmaForConditionalGeneration if family == "paligemma" else Blip2ForConditionalGeneration
    model, report = kind.from_pretrained(bundle.path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    processor = AutoProcessor.from_pretrained(bundle.path)
    images = PIXELS
    if family == "paligemma":
        asked = network.batch(network.encode(SENTENCES[:1])).ids[:, :1]
        places = torch.full((3, 16), model.config.image_token_index)
        ids = torch.cat([places, asked.expand(3, -1)], dim=1)
        assert model.generate(pixel_values=images, input_ids=ids, max_new_tokens=4).shape[0] == 3
        assert processor.image_seq_length == 16
        return
    # As its own processor makes the input: placeholders, then the beginning of the text.
    assert processor.num_query_tokens == 4
    assert model.config.image_token_index == processor.tokenizer.convert_tokens_to_ids("<image>")
    mine = network.generate(network.frozen_features(images), DECODING)
    theirs = model.generate(pixel_values=images, max_new_tokens=12, min_new_tokens=1, num_beams=2)
    before = 1 if family == "t5" else 5
    assert [network.words.decode(row) for row in theirs[:, before:].tolist()] == [one.text for one in mine]


def test_an_old_checkpoint_keeps_its_own_words(bases: dict[str, str], tmp_path: Path):
    """`<image>` joins the vocabulary of what is written, not of the network that goes on."""
    network = trained(bases["old"], Learning.FULL)
    before, size = loss_of(network), len(network.words.tokenizer)
    again = load_captioner(bundled(network, tmp_path / "bundle", merge=True))
    assert len(network.words.tokenizer) == size
    assert network.core.config.image_token_index is None
    assert again.core.config.image_token_index == size
    assert loss_of(network) == before
    # The row of zeros takes a little probability: there was no free row in this vocabulary.
    assert loss_of(again) == pytest.approx(before, rel=2e-3)


def test_a_whole_training_is_written_whole(bases: dict[str, str], tmp_path: Path):
    network = trained(bases["opt"], Learning.FULL)
    words, before = said(network), loss_of(network)
    network.drop_frozen()
    again = load_captioner(bundled(network, tmp_path / "bundle"))
    assert loss_of(again) == pytest.approx(before, rel=1e-5)
    assert [one.text for one in said(again)] == [one.text for one in words]
    assert again.fingerprint == network.fingerprint


def test_what_was_dropped_comes_back_when_merged(bases: dict[str, str], tmp_path: Path):
    network = trained(bases["opt"], options=AdapterOptions(projection=True))
    before = loss_of(network)
    network.drop_frozen()
    again = load_captioner(bundled(network, tmp_path / "bundle", merge=True))
    assert loss_of(again) == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("quantisation", [Quantisation.INT8, Quantisation.NF4])
def test_quantised_weights_are_taken_back_when_merged(
    bases: dict[str, str], quantisation: Quantisation, tmp_path: Path
):
    network = trained(bases["opt"], quantisation=quantisation)
    folder = tmp_path / "written"
    folder.mkdir()
    (remark,) = write_network(network, folder, merge=True)
    assert f"trained on weights in {quantisation.value}" in remark.in_language(Language.EN)
    assert "float32" in remark.in_language(Language.TR)
    bundle = bundled(network, tmp_path / "bundle", merge=True)
    assert "quantization_config" not in json.loads(bundle.file("config.json").read_text())
    again = load_captioner(bundle, quantisation=Quantisation.NONE)
    # As the adapter was trained, not beside the unquantised weights.
    assert loss_of(again) == pytest.approx(loss_of(network), rel=1e-3)
    assert not write_network(trained(bases["opt"]), folder, merge=True)


@pytest.mark.parametrize("quantisation", [Quantisation.INT8, Quantisation.NF4])
def test_an_adapter_may_be_used_beside_quantised_weights(
    bases: dict[str, str], quantisation: Quantisation, tmp_path: Path
):
    network = trained(bases["opt"], quantisation=quantisation)
    bundle = bundled(network, tmp_path / "bundle")
    again = load_captioner(bundle, base=bases["opt"], quantisation=quantisation)
    assert loss_of(again) == pytest.approx(loss_of(network), rel=1e-4)
    # Without a GPU and a word on it, unquantised ones are faster.
    assert load_captioner(bundle, base=bases["opt"]).quantisation is Quantisation.NONE


def test_the_base_of_an_adapter_may_be_a_setting(
    bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    network = trained(bases["opt"])
    bundle = bundled(network, tmp_path / "bundle")
    with pytest.raises(UsageError, match="adapter to opt, whose place on this computer is not known"):
        load_captioner(bundle)
    monkeypatch.setenv("TETKIK_CAPTION_BASE", bases["opt"])
    settings.cache_clear()
    assert loss_of(load_caption(bundle).network) == pytest.approx(loss_of(network), rel=1e-5)


def test_another_base_is_refused(bases: dict[str, str], tmp_path: Path):
    bundle = bundled(trained(bases["opt"]), tmp_path / "bundle")
    for other in ("t5", "paligemma", "old"):
        with pytest.raises(BundleMismatch, match=r"is an adapter to opt, and .* is another model"):
            load_captioner(bundle, base=bases[other])


@pytest.mark.parametrize("change", [{"hidden_size": 16, "word_embed_proj_dim": 16}, {"num_hidden_layers": 3}])
def test_a_base_of_other_sizes_is_refused(bases: dict[str, str], change: dict[str, int], tmp_path: Path):
    """The same tokenizer, another width or depth."""
    bundle = bundled(trained(bases["opt"]), tmp_path / "bundle")
    other = Path(shutil.copytree(bases["opt"], tmp_path / "other"))
    config = Blip2ForConditionalGeneration.config_class.from_pretrained(other)
    for name, value in change.items():
        setattr(config.text_config, name, value)
    Blip2ForConditionalGeneration(config).save_pretrained(other)
    with pytest.raises(BundleMismatch, match="is another model"):
        load_captioner(bundle, base=str(other))


def test_a_strange_adapter_is_refused(bases: dict[str, str], tmp_path: Path):
    bundle = bundled(trained(bases["opt"]), tmp_path / "bundle")
    file = bundle.file("adapter_config.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "peft_type": "NOVEL"}))
    with pytest.raises(BundleCorrupt, match=r"adapter_config\.json that peft cannot follow"):
        load_captioner(bundle, base=bases["opt"])
