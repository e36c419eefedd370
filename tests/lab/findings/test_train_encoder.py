"""Heads over pretrained encoders of transformers, tiny ones with random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.lab.findings.train_kit import draw, quick_options, silent
from tests.tiny_bert import write_bert
from tetkik.bundle import Bundle, Task, open_bundle
from tetkik.errors import BundleCorrupt, BundleMismatch, TrainingError, UsageError
from tetkik.findings.heatmaps import Method, heatmaps_for
from tetkik.findings.networks.encoder import (
    Encoder,
    Pooling,
    embed,
    encoder_preprocessing,
    open_encoder,
    restored_encoder,
)
from tetkik.findings.predict import load_findings, load_model
from tetkik.imaging.prepare import Preprocessing, prepare, to_square
from tetkik.imaging.read import read_image
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.precision import Precision, accelerator_for
from tetkik.lab.engine.session import Session
from tetkik.lab.findings.data import LabelledImages, read_labels
from tetkik.lab.findings.train import plan_training, train_findings
from tetkik.lab.findings.training import bundle as written
from tetkik.lab.findings.training.decoded_images import CachedImages, open_images
from tetkik.lab.findings.training.encoders import over_encoder, pooling_of, standardise
from tetkik.lab.findings.training.fit import TrainingResult, fit
from tetkik.lab.findings.training.options import REFERENCE_NETWORK, EncoderHead, TrainingOptions
from tetkik.lab.findings.training.runs import (
    RunConfig,
    embedded_images,
    label_network,
    prepare_training,
    shipped_networks,
    with_encoder,
)
from tetkik.lab.findings.training.trainer import keep_frozen_still
from tetkik.settings import settings

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
PATCHES = {"image_size": 32, "patch_size": 8, **SMALL}


def write_encoder(folder: Path, kind: str) -> Path:
    """A DINOv2, a SigLIP with its reader of texts, ViTs or a ConvNeXt, with a processor that crops."""
    import transformers

    torch.manual_seed(0)
    model: Any
    if kind == "dinov2":
        del (values := dict(PATCHES))["intermediate_size"]
        model = transformers.Dinov2Model(transformers.Dinov2Config(**values))
    elif kind == "siglip":
        text = {"vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2, **SMALL}
        model = transformers.SiglipModel(transformers.SiglipConfig(vision_config=PATCHES, text_config=text))
    elif kind == "vit":
        model = transformers.ViTModel(transformers.ViTConfig(**PATCHES), add_pooling_layer=False)
    elif kind == "vit_mae":
        model = transformers.ViTMAEModel(transformers.ViTMAEConfig(**PATCHES))
    else:
        stages = {"num_stages": 2, "depths": [1, 1], "hidden_sizes": [8, 16]}
        model = transformers.ConvNextModel(transformers.ConvNextConfig(image_size=32, **stages))
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, torch.nn.Linear):
                part.weight.normal_(0, 0.5)
    model.save_pretrained(folder)
    processor = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 40}, "resample": 3}
    processor |= {"crop_size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    folder = draw(tmp_path_factory.mktemp("drawn"), 160).parent
    return read_labels(folder / "labels.csv", folder)


def options_for(encoder: Path | str, head: EncoderHead, **changes: Any) -> TrainingOptions:
    chosen = quick_options(
        network=REFERENCE_NETWORK, weights="imagenet", encoder=str(encoder), encoder_head=head
    )
    made: TrainingOptions = replace(chosen, precision=Precision.FP32, **changes)
    return made


def torch_logits(bundle: Bundle, encoder: Path, images: torch.Tensor) -> torch.Tensor:
    """The encoder as transformers has it, and the attention head by hand."""
    from safetensors.torch import load_file
    from transformers import Dinov2Model

    patches = Dinov2Model.from_pretrained(encoder)(pixel_values=images).last_hidden_state[:, 1:]
    head = load_file(bundle.path / "heads.safetensors")
    scaled = (patches - head["0.mean"]) / head["0.deviation"]
    weights = (scaled @ head["0.queries.weight"].T).softmax(dim=1)
    means = torch.cat([(weights[:, :, [query]] * scaled).sum(dim=1) for query in range(4)], dim=1)
    return means @ head["0.classifier.weight"].T + head["0.classifier.bias"]


def test_a_bundle_over_a_frozen_encoder_is_one_like_any_other(images, tmp_path):
    encoder = write_encoder(tmp_path / "dino", "dinov2")
    options = options_for(encoder, EncoderHead.ATTENTION, epochs=8, learning_rate=1e-2, batch_size=16)
    bundle = train_findings(images, tmp_path / "over", options, silent)
    manifest = bundle.manifest
    assert (manifest.kind, manifest.training["encoder"]) == ("encoder", "dino")
    assert (manifest.training["encoder_head"], "network" in manifest.training) == ("attention", False)
    assert "weights" not in manifest.training
    assert {"learned.npz", "preprocessor_config.json", "model.onnx"} <= set(manifest.files)
    card = (bundle.path / "README.md").read_text("utf-8")
    assert "dino, which stayed as it was" in card and "had itself been pretrained on is not known" in card
    model, on_torch = (load_model(str(bundle.path), on_torch=way) for way in (False, True))
    # As the encoder's own processor makes them of an 8-bit file.
    batch = np.stack(
        [prepare(read_image(file), encoder_preprocessing(str(encoder))) for file in images.files]
    )
    with torch.no_grad():
        expected = torch_logits(bundle, encoder, torch.from_numpy(batch[:40])).sigmoid().numpy()
    assert expected.std(axis=0).max() > 0.02
    for one in (model, on_torch):
        scores, maps = one.scores_and_maps(batch[:40])
        assert np.abs(scores - expected).max() < 1e-4
        assert maps is not None and maps.shape[2:] == (4, 4)
    square = to_square(read_image(images.files[0]), model.preprocessing)
    shown = heatmaps_for(model).maps(square, [0, 1])
    assert np.abs(shown - heatmaps_for(on_torch).maps(square, [0, 1])).max() < 1e-3
    learned = [manifest.labels.index(label) for label in ("Mass", "Effusion")]
    assert heatmaps_for(on_torch, Method.GRAD_CAM).maps(square, learned).any()
    assert manifest.training["held_out_difference"] < 1e-3  # of patches in half precision
    assert (
        load_findings(open_bundle(bundle.path, Task.FINDINGS), gate=False).predict(images.files[0]).suitable
    )


def test_what_an_encoder_says_is_computed_once(images, tmp_path):
    name = str(write_encoder(tmp_path / "siglip", "siglip"))
    preprocessing = encoder_preprocessing(name)
    encoder, other = open_encoder(name, preprocessing), open_encoder(name, preprocessing)
    assert encoder.summary == encoder.width == 16  # of SigLIP's own pooling, not of its reader of texts
    store = tmp_path / "store"
    files = (*images.files[:20], images.files[3])
    squares = open_images(files, preprocessing, store, limit=1.0, progress=silent)
    seen: list[int] = []
    torch.backends.cudnn.allow_tf32 = True
    encoder.register_forward_hook(lambda _part, given, _gave: seen.append(len(given[0])))
    options = options_for(name, EncoderHead.LINEAR, batch_size=256)

    def embedded(rows: int, by: Encoder, head: EncoderHead = EncoderHead.LINEAR) -> CachedImages:
        pooling = pooling_of(replace(options, encoder_head=head))
        return embedded_images(
            by,
            pooling,
            squares.only(np.arange(rows)),
            files[:rows],
            preprocessing,
            store,
            options=options,
            device=torch.device("cpu"),
            progress=silent,
        )

    first = embedded(12, encoder)
    assert not torch.backends.cudnn.allow_tf32
    assert sum(seen) == 1 + 12  # one blank image tells the shape
    whole = embedded(21, encoder)
    assert sum(seen) == 13 + 1 + 8  # the last is the fourth again
    assert (first.batch(np.arange(12)) == whole.batch(np.arange(12))).all()
    pixels = np.stack([prepare(read_image(file), preprocessing) for file in files])
    fresh = embed(other, Pooling.LINEAR, torch.from_numpy(pixels)).detach().numpy()
    assert np.abs(whole.batch(np.arange(21)) - fresh).max() < 1e-5 < fresh.std(axis=0).min()
    tokens = embedded(21, encoder, EncoderHead.ATTENTION)
    assert tokens.store.shape[1:] == (16, 16) and tokens.store.dtype == np.float16
    with torch.no_grad():
        for part in other.parameters():
            part.add_(torch.randn(part.shape, generator=torch.Generator().manual_seed(2)))
    changed = embedded(12, other).batch(np.arange(12))
    assert np.abs(changed - first.batch(np.arange(12))).max() > 1e-3
    assert max(seen) == 16  # the size of a head's batch is not the encoder's
    options = replace(options, cache_limit=(13 + 0.5) * 32 * 4 / 2**30)
    with pytest.raises(UsageError, match="more than --cache-limit"):  # 12 are there, 8 are missing
        embedded(21, other)
    options = replace(options, cache_limit=0.0)
    assert (embedded(12, other).batch(np.arange(12)) == changed).all()  # nothing is missing
    with torch.no_grad():
        encoder.model.post_layernorm.weight.fill_(1e6)
    options = replace(options, cache_limit=1.0)
    with pytest.raises(TrainingError, match="numbers beyond float16"):
        embedded(4, encoder, EncoderHead.ATTENTION)


def fitted(
    images: LabelledImages, options: TrainingOptions, folder: Path
) -> tuple[RunConfig, TrainingResult]:
    """A training without its bundle."""
    folder.mkdir()
    with accelerator_for(Precision.FP32, threads=1) as (accelerator, _):
        work = WorkFolder.beside(folder / "model")
        work.begin({}, resume=False)
        prepared = prepare_training(images, options, folder, silent)
        prepared = with_encoder(prepared, folder, accelerator.device, silent)
        return prepared.config, fit(Session(accelerator, options, work, silent), prepared)


def test_lora_changes_the_encoder_and_ships_in_its_weights(images, tmp_path):
    name = str(write_encoder(tmp_path / "siglip", "siglip"))
    options = options_for(name, EncoderHead.LORA, epochs=2, lora_rank=2)
    config, result = fitted(images, options, tmp_path / "work")
    assert config.encoder is not None and config.embeddings is None
    before = config.encoder.model.state_dict()
    network: Any
    (network,) = shipped_networks(config, result.members)
    after = network.encoder.model.state_dict()
    assert set(after) == set(before)  # nothing of LoRA is left beside the weights
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert any("q_proj" in key for key in changed)
    assert all(key.endswith("weight") and before[key].ndim == 2 for key in changed)
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    unmerged = over_encoder(config.encoder, options, len(config.labels))
    unmerged.load_state_dict(result.members[0].weights)
    with torch.no_grad():
        assert torch.allclose(network(noise), unmerged.eval()(noise), atol=1e-5)


def test_heads_of_several_seeds_share_one_encoder(images, tmp_path, monkeypatch):
    name = str(write_encoder(tmp_path / "convnext", "convnext"))
    options = options_for(name, EncoderHead.LINEAR, epochs=2, members=2)
    config, result = fitted(images, options, tmp_path / "work")
    assert config.encoder is not None
    network: Any
    (network,) = shipped_networks(config, result.members)
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        read = embed(config.encoder, Pooling.LINEAR, noise)
        mean = torch.stack([label_network(config, one)(read) for one in result.members]).mean(dim=0)
        logits, maps = network.logits_and_maps(noise)
        assert torch.allclose(network(noise), mean, atol=1e-5) and network.has_maps(noise)
        bias = torch.stack([head.classifier.bias for head in network.heads]).mean(dim=0)
    assert torch.allclose(maps.mean(dim=(2, 3)) + bias, logits, atol=1e-4)

    class Exported:
        shift = 0.0

        def __init__(self, _file: Path) -> None: ...

        def run(self, _names: tuple[str, ...], batch: np.ndarray) -> tuple[Any]:
            with torch.no_grad():
                return (network(torch.from_numpy(batch)).sigmoid().numpy() + self.shift,)

    monkeypatch.setattr(written, "OrtSession", Exported)
    prepared: list[Any] = [SimpleNamespace(config=config, parts=parts) for parts in (None, ...)]
    assert max(written.check_scores(one, result, tmp_path) for one in prepared) < 1e-5
    Exported.shift = 0.1
    for one in prepared:
        with pytest.raises(TrainingError, match="images otherwise than the one"):
            written.check_scores(one, result, tmp_path)
    planned = plan_training(("Mass",), options)
    assert planned.parameters == 2 * 16 - 15 and planned.weights > 4 * sum(
        part.numel() for part in config.encoder.parameters()
    )


def test_a_channel_that_was_silent_in_training_does_not_explode(tmp_path):
    encoder = open_encoder(str(write_encoder(tmp_path / "convnext", "convnext")), Preprocessing(size=32))
    head: Any = over_encoder(encoder, options_for("x", EncoderHead.LINEAR), 2)
    store = np.random.default_rng(0).normal(0, 3, (40, 16)).astype(np.float32)
    store[:, 5] = 0.25
    rows = np.arange(40)
    standardise(head, CachedImages(store, rows), rows, Preprocessing(), torch.device("cpu"))
    assert not head.classifier.weight.any()
    torch.nn.init.ones_(head.classifier.weight)
    awake = torch.from_numpy(store[:1]).clone()
    awake[0, 5] += 3
    with torch.no_grad():
        change = (head(awake) - head(torch.from_numpy(store[:1]))).abs().max()
    assert 0.5 < change < 2


def test_batch_norm_of_a_frozen_encoder_stays_as_it_was():
    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.own = torch.nn.BatchNorm2d(2).requires_grad_(False), torch.nn.BatchNorm2d(2)

    block = Block()
    keep_frozen_still(block.train())
    assert (block.norm.training, block.own.training) == (False, True)


def test_rows_of_which_the_encoder_said_nothing_are_not_learned():
    store = np.zeros((2, 4), np.float32)
    images = CachedImages(np.zeros((3, 32, 32), np.uint8), np.arange(3))
    config: Any = RunConfig(
        ("Mass",),
        images,
        np.ones((3, 1), np.int8),
        np.ones(3, np.float32),
        None,
        Preprocessing(size=32),
        options_for("x", EncoderHead.LINEAR),
        None,  # type: ignore[arg-type]
        embeddings=CachedImages(store, np.array([0, -1, 1])),
    )
    assert config.learnable(np.arange(3)).tolist() == [0, 2]


def test_a_vit_without_pooling_is_summed_up_by_its_class_token(tmp_path):
    name = str(write_encoder(tmp_path / "vit", "vit"))
    encoder = open_encoder(name, Preprocessing(size=32))
    noise = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        summary, patches = encoder(noise)
        hidden = encoder.model(pixel_values=noise).last_hidden_state
    assert torch.equal(summary, hidden[:, 0]) and torch.equal(patches, hidden[:, 1:])


def test_a_resume_knows_the_weights_of_its_encoder(images, tmp_path, monkeypatch):
    name = write_encoder(tmp_path / "convnext", "convnext")
    options = options_for(name, EncoderHead.LINEAR, epochs=1, folds=2)

    def stop(*_given: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(written, "to_onnx", stop)
        train_findings(images, tmp_path / "over", options, silent)
    weights = load_file(name / "model.safetensors")
    other = {key: value * 1.5 for key, value in weights.items()}
    save_file(other, name / "model.safetensors", {"format": "pt"})
    with pytest.raises(TrainingError, match="begun with other data or settings"):
        train_findings(images, tmp_path / "over", replace(options, resume=True), silent)
    save_file(weights, name / "model.safetensors", {"format": "pt"})
    monkeypatch.setenv("TETKIK_DEVICE", "cuda")  # which is not here, and not needed at the end of a training
    settings.cache_clear()
    bundle = train_findings(images, tmp_path / "over", replace(options, resume=True, reference=4), silent)
    # A linear head's bundle, opened again by torch alone.
    square = np.zeros((2, 3, 32, 32), np.float32)
    model, on_torch = (load_model(str(bundle.path), on_torch=way) for way in (False, True))
    assert np.abs(model.scores(square) - on_torch.scores(square)).max() < 1e-5
    assert bundle.manifest.training["held_out_difference"] < 1e-4
    for broken in ({}, {"0.mean": torch.zeros(3)}):
        save_file(broken, bundle.path / "heads.safetensors")
        with pytest.raises(BundleCorrupt, match="cannot be put together"):
            restored_encoder(bundle)


def test_our_own_networks_are_encoders_too():
    for name in ("mobilenet_v2", "resnet18"):
        preprocessing = replace(encoder_preprocessing(name), size=64)
        encoder = open_encoder(name, preprocessing)
        assert encoder.summary == 0 and encoder.width >= 512
        summary, patches = encoder(torch.zeros(1, 3, 64, 64))
        assert summary.shape == (1, 0) and patches.shape == (1, 4, encoder.width)


def test_what_is_no_encoder_is_refused(tmp_path):
    clip = tmp_path / "BiomedCLIP"
    clip.mkdir()
    (clip / "open_clip_config.json").write_text("{}")
    with pytest.raises(BundleMismatch, match="is a model of open_clip"):
        encoder_preprocessing(str(clip))
    text = tmp_path / "bert"
    write_bert(text, ["a"], layers=1, max_length=8)
    with pytest.raises(BundleMismatch, match="no encoder of images"):
        open_encoder(str(text), Preprocessing(size=32))
    vit = write_encoder(tmp_path / "dino", "dinov2")
    with pytest.raises(UsageError, match="leave --weights out"):
        open_encoder(str(vit), Preprocessing(size=32), "weights.pt")
    weights = load_file(vit / "model.safetensors")
    del weights["layernorm.weight"]
    save_file(weights, vit / "model.safetensors", {"format": "pt"})
    with pytest.raises(BundleCorrupt, match=r"lacks weights of its encoder, such as layernorm\.weight"):
        open_encoder(str(vit), Preprocessing(size=32))
    masked = write_encoder(tmp_path / "masked", "vit_mae")
    with pytest.raises(BundleMismatch, match="answers the same image differently each time"):
        open_encoder(str(masked), Preprocessing(size=32))
    with pytest.raises(UsageError, match="takes the place of --network"):
        TrainingOptions(encoder="x", ridge=True)
    with pytest.raises(UsageError, match="no linear layers that LoRA could change"):
        network = open_encoder("mobilenet_v2", Preprocessing(size=32))
        over_encoder(network, options_for("mobilenet_v2", EncoderHead.LORA), 2)
