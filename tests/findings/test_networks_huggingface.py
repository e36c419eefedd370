"""Image classifiers of transformers: labels by name, features as a map, what cannot be used said."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.findings.small_classifiers import MULTI, NAMES, SHARED, SINGLE, write_classifier
from tetkik.errors import BundleCorrupt, BundleMismatch, BundleNotFound, MissingExtra
from tetkik.findings.label_names import to_shared
from tetkik.findings.networks import build, huggingface, preprocessing_of
from tetkik.findings.networks.huggingface import (
    PROCESSOR,
    activation_of,
    label_names,
    open_classifier,
    processor_settings,
    read_preprocessing,
)
from tetkik.imaging.prepare import Resample, prepare
from tetkik.language import Language
from tetkik.networks.huggingface import model_folder
from tetkik.networks.network import one_against_rest
from tetkik.values import FINDING_LABELS, NIH_LABELS, FileFormat, Fit, Radiograph

NOISE = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers")
    return {kind: write_classifier(folder / kind, kind) for kind in ("resnet", "vit", "swin", "convnext")}


@pytest.mark.parametrize(
    ("kind", "shape", "exact"),
    [
        ("resnet", (2, 16, 4, 4), True),
        ("swin", (2, 16, 4, 4), True),
        ("vit", (2, 16, 4, 4), False),
        ("convnext", (2, 16, 4, 4), False),
    ],
)
def test_features_are_a_map_and_maps_are_given_where_exact(folders, kind, shape, exact):
    network = open_classifier(str(folders[kind]))
    with torch.no_grad():
        logits = network(NOISE)
        assert network.features(NOISE).shape == shape
        assert torch.equal(logits, network.model(pixel_values=NOISE).logits)
        assert network.has_maps(torch.zeros_like(NOISE)) is exact
        if exact:
            again, maps = network.logits_and_maps(NOISE)
            assert maps.shape == (2, 5, *shape[2:])
            assert torch.allclose(again, logits, atol=1e-5)
            assert torch.allclose(maps.mean(dim=(2, 3)) + network.classifier.bias, logits, atol=1e-4)


def test_labels_that_mean_a_shared_one_get_its_name(folders):
    assert label_names(open_classifier(str(folders["vit"])).model.config) == SHARED


def test_every_shared_label_is_known_in_other_spellings():
    spelt = [label.replace("_", " ").replace("-", "_").upper() for label in FINDING_LABELS]
    assert to_shared(spelt) == FINDING_LABELS
    assert to_shared(["Effusion", "Pleural Effusion", "Lung Opacity"]) == (
        "Effusion",
        "Pleural Effusion",
        "Lung Opacity",
    )


@given(st.lists(st.text(min_size=1), unique=True))
def test_labels_stay_as_many_and_distinct_shared_ones_are_never_given_twice(names):
    found = to_shared(names)
    assert len(found) == len(names)
    shared = [new for old, new in zip(names, found, strict=True) if old != new]
    assert len(shared) == len(set(shared))


@pytest.mark.parametrize(
    ("names", "problem", "exclusive"),
    [
        (NAMES, MULTI, False),
        (NAMES, SINGLE, True),
        (NAMES, None, True),
        (NIH_LABELS[:7], None, False),
        (NIH_LABELS[:6], None, True),
        (NIH_LABELS, SINGLE, True),
    ],
)
def test_exclusive_labels_are_told(tmp_path, names, problem, exclusive):
    folder = write_classifier(tmp_path / "model", names=names, problem=problem)
    network = open_classifier(str(folder))
    assert activation_of(network.model.config).exclusive is exclusive
    with torch.no_grad():
        scores, own = network(NOISE).sigmoid(), network.model(pixel_values=NOISE).logits
    expected = own.softmax(dim=1) if exclusive else own.sigmoid()
    assert torch.allclose(scores, expected, atol=1e-6)
    assert open_classifier(str(folder), exclusive=not exclusive).exclusive is not exclusive


def test_odds_against_the_rest_are_finite_for_a_sure_answer():
    logits = torch.tensor([[80.0, 0.0, -40.0]])
    assert torch.isfinite(one_against_rest(logits)).all()
    assert torch.allclose(one_against_rest(logits).sigmoid(), logits.softmax(dim=1))


def test_a_head_is_kept_only_for_the_same_labels(folders):
    own = open_classifier(str(folders["resnet"])).classifier.weight
    kept = build(str(folders["resnet"]), SHARED)
    new: Any = build(str(folders["resnet"]), FINDING_LABELS)
    renamed = build(str(folders["resnet"]), SHARED[::-1])
    assert torch.equal(kept.classifier.weight, own)
    assert new.classifier.weight.shape == (len(FINDING_LABELS), 16)
    assert not torch.equal(renamed.classifier.weight, own)
    assert new.training and not new.exclusive
    assert new(NOISE).shape == (2, len(FINDING_LABELS))
    encoder = {key: value for key, value in new.model.state_dict().items() if "classifier" not in key}
    old = open_classifier(str(folders["resnet"])).model.state_dict()
    floats = [key for key in encoder if "running" not in key and "tracked" not in key]
    assert all(torch.equal(encoder[key], old[key]) for key in floats)


def test_the_activation_comes_with_its_reason(tmp_path):
    def reason(names=NAMES, problem=None, labels=None):
        folder = write_classifier(tmp_path / f"{len(names)}{problem}", names=names, problem=problem)
        chosen = activation_of(open_classifier(str(folder)).model.config, labels)
        return f"{chosen.name}: {chosen.reason.in_language(Language.EN)}"

    assert reason(problem=MULTI) == f"sigmoid: its problem_type is {MULTI}"
    assert reason() == "softmax: its problem_type is not set, and transformers takes this one then"
    unnamed = [f"LABEL_{number}" for number in range(14)]
    assert reason(unnamed).startswith("softmax: its problem_type is not set")
    # The labels that are given count, not those of the configuration.
    assert (
        reason(unnamed, labels=NIH_LABELS)
        == "sigmoid: 14 of the labels are findings of NIH, which occur together"
    )
    with pytest.raises(BundleMismatch, match="problem_type is regression"):
        reason(problem="regression")


SQUARE = {"size": {"height": 48, "width": 48}}
SHORTEST = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}
MINUS_ONE_TO_ONE = {
    "rescale_factor": 1 / 127.5,
    "do_normalize": True,
    "image_mean": [1] * 3,
    "image_std": [1] * 3,
}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}


@pytest.mark.parametrize("agreed", huggingface._TRIED)
def test_a_processor_that_agrees_on_one_image_only_is_refused(tmp_path, monkeypatch, agreed):
    folder = write_classifier(tmp_path / "model", "vit")
    followed = huggingface._open(folder)

    class Other:
        def __getattr__(self, name):
            return getattr(followed, name)

        def __call__(self, picture, **how):
            turned = picture if picture.size[::-1] == agreed else picture.rotate(180)
            return followed(turned, **how)

    monkeypatch.setattr(huggingface, "_open", lambda _: Other())
    with pytest.raises(BundleCorrupt, match="does what Tetkik cannot do"):
        read_preprocessing(folder)


def image_of(rows, columns):
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    noise = np.random.default_rng(0).normal(0, 30, (rows, columns))
    pixels = np.clip(120 + 90 * np.sin(x / 9) * np.cos(y / 7) + noise, 0, 255).astype(np.uint8)
    return Radiograph(pixels, 255, FileFormat.PNG, "")


@pytest.mark.parametrize(
    ("kind", "settings", "found"),
    [
        ("ViT", SQUARE | HALF, (48, None, Fit.SQUASH, Resample.BILINEAR)),
        ("ViT", SQUARE | {"resample": 3, "do_normalize": False}, (48, None, Fit.SQUASH, Resample.BICUBIC)),
        ("ViT", SQUARE | MINUS_ONE_TO_ONE, (48, None, Fit.SQUASH, Resample.BILINEAR)),
        ("ViT", SQUARE | {"do_rescale": False}, (48, None, Fit.SQUASH, Resample.BILINEAR)),
        ("DeiT", SQUARE | {"crop_size": {"height": 40, "width": 40}}, (40, 48, Fit.SQUASH, Resample.BICUBIC)),
        ("ConvNext", {"size": {"shortest_edge": 56}}, (56, 64, Fit.CROP, Resample.BICUBIC)),
        ("ConvNext", {"size": {"shortest_edge": 50}, "crop_pct": 0.8}, (50, 62, Fit.CROP, Resample.BICUBIC)),
        ("ConvNext", {"size": {"shortest_edge": 384}}, (384, None, Fit.SQUASH, Resample.BICUBIC)),
        ("Bit", SHORTEST | {"resample": 2}, (32, 40, Fit.CROP, Resample.BILINEAR)),
        ("CLIP", SHORTEST, (32, 40, Fit.CROP, Resample.BICUBIC)),
        ("EfficientNet", {"size": {"height": 33, "width": 33}}, (33, None, Fit.SQUASH, Resample.BICUBIC)),
        ("PoolFormer", {"size": {"shortest_edge": 36}, "crop_size": {"height": 36, "width": 36}}, None),
        ("Siglip", SQUARE, (48, None, Fit.SQUASH, Resample.BICUBIC)),
    ],
)
def test_an_image_processor_is_followed_exactly(tmp_path, kind, settings, found):
    from transformers import AutoImageProcessor

    settings = {"image_processor_type": f"{kind}ImageProcessor", **settings}
    (tmp_path / PROCESSOR).write_text(json.dumps(settings), encoding="utf-8")
    ours = read_preprocessing(tmp_path)
    if found is not None:
        assert (ours.size, ours.resized, ours.fit, ours.resample) == found
    own = processor_settings(ours)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / PROCESSOR).write_text(json.dumps(own), encoding="utf-8")
    for folder in (tmp_path, tmp_path / "own"):
        processor = AutoImageProcessor.from_pretrained(folder)
        for shape in ((301, 420), (417, 305), (44, 40)):
            image = image_of(*shape)
            picture = Image.fromarray(image.pixels).convert("RGB")
            expected = processor(picture, return_tensors="np")["pixel_values"][0]
            assert np.abs(prepare(image, ours) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_model_is_trained_on_the_whole_image(tmp_path):
    folder = write_classifier(
        tmp_path / "model", "vit", processor={**SHORTEST, "image_processor_type": "BitImageProcessor"}
    )
    found = preprocessing_of(str(folder))
    assert (found.size, found.resized, found.fit, found.eight_bit) == (32, None, Fit.CROP, False)
    (folder / PROCESSOR).unlink()
    assert preprocessing_of(str(folder)).size == 32


@pytest.mark.parametrize(
    "processor",
    [
        '{"size": {"height": 32, "width": 64}}',
        '{"size": {"longest_edge": 3}}',
        '{"image_processor_type": "CLIPImageProcessor", "do_center_crop": false}',
        '{"image_processor_type": "ViTImageProcessor", "do_resize": false}',
        '{"image_processor_type": "NoImageProcessor"}',
        '{"image_std": [0, 1, 1]}',
        "{",
        "[1]x",
        None,
    ],
)
def test_a_processor_that_cannot_be_followed_is_one_sentence(tmp_path, processor):
    folder = write_classifier(tmp_path / "model", "vit")
    (folder / PROCESSOR).unlink()
    if processor is not None:
        (folder / PROCESSOR).write_text(processor, encoding="utf-8")
    with pytest.raises(BundleCorrupt, match=r"preprocessor_config\.json.*\.$"):
        read_preprocessing(folder)


@pytest.mark.parametrize(
    ("config", "error", "sentence"),
    [
        ({"model_type": "bert"}, BundleMismatch, "a model of the type bert, which is no image classifier"),
        (
            {"model_type": "timm_wrapper", "architecture": "resnet18"},
            MissingExtra,
            "the package timm is not installed",
        ),
        ({"architecture": "resnet18", "num_classes": 5}, MissingExtra, "the package timm is not installed"),
        ({"model_type": "invented"}, BundleCorrupt, "transformers cannot read"),
        ({}, BundleCorrupt, "transformers cannot read"),
        (None, BundleCorrupt, "no readable config.json"),
    ],
)
def test_what_is_no_image_classifier_is_one_sentence(tmp_path, config, error, sentence):
    text = "{" if config is None else json.dumps(config)
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=re.escape(sentence)):
        open_classifier(str(tmp_path))


def test_an_encoder_alone_is_not_taken_for_a_model(folders, tmp_path):
    folder = write_classifier(tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    save_file(
        {k: v for k, v in state.items() if "classifier" not in k},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(BundleCorrupt, match="lacks weights of its network, such as classifier"):
        open_classifier(str(folder))


def test_a_damaged_weight_file_is_one_sentence(tmp_path):
    folder = write_classifier(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(BundleCorrupt, match="whose weights cannot be loaded"):
        open_classifier(str(folder))


def test_an_id_is_not_looked_for_where_there_is_no_network():
    with pytest.raises(BundleNotFound, match="TETKIK_OFFLINE=false"):
        model_folder("owner/model")
