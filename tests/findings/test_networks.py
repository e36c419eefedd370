"""Our own networks: shapes, exact maps, torchvision's layout."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

from tetkik.errors import BundleNotFound, UsageError
from tetkik.findings.networks import FAMILIES, build, preprocessing_of
from tetkik.imaging.prepare import IMAGENET_MEAN
from tetkik.networks.mobilenet import SameConv
from tetkik.networks.state import LAYOUTS
from tetkik.settings import settings
from tetkik.values import FINDING_LABELS

NOISE = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=FAMILIES)
def network(request):
    torch.manual_seed(0)
    return build(request.param, FINDING_LABELS).eval()


def test_it_has_features_a_linear_classifier_and_logits(network):
    with torch.no_grad():
        features, logits = network.features(NOISE), network(NOISE)
    assert features.ndim == 4 and features.shape[0] == 2
    assert isinstance(network.classifier, nn.Linear)
    assert network.classifier.in_features == features.shape[1]
    assert logits.shape == (2, len(FINDING_LABELS))
    assert logits.std() > 0


def test_the_mean_of_a_map_and_the_bias_are_the_logit(network):
    with torch.no_grad():
        network.classifier.bias.copy_(torch.arange(float(len(FINDING_LABELS))))
        logits, maps = network.logits_and_maps(NOISE)
        expected = network(NOISE)
    assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(maps.mean(dim=(2, 3)) + network.classifier.bias, expected, rtol=1e-3, atol=1e-3)


def test_nothing_changes_what_a_layer_gave(network):
    given = []
    hooks = [
        part.register_forward_hook(lambda _, __, output: given.append((output, output.clone())))
        for part in network.features.modules()
        if not list(part.children())
    ]
    with torch.no_grad():
        network(NOISE)
    for hook in hooks:
        hook.remove()
    assert len(given) > 20
    assert all(torch.equal(output, copy) for output, copy in given)


# The counts that torchvision publishes for its weights of 1,000 classes.
@pytest.mark.parametrize(
    ("name", "count"),
    [("densenet121", 7_978_856), ("mobilenet_v2_bn", 3_504_872), ("resnet18", 11_689_512)],
)
def test_the_parameters_are_as_many_as_torchvision_publishes(name, count):
    network = build(name, [str(number) for number in range(1000)])
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_the_keys_of_densenet_are_torchvisions():
    network = build("densenet121", FINDING_LABELS)
    state = network.state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes["features.conv0.weight"] == (64, 3, 7, 7)
    assert shapes["features.denseblock1.denselayer1.norm1.weight"] == (64,)
    assert shapes["features.denseblock1.denselayer1.conv1.weight"] == (128, 64, 1, 1)
    assert shapes["features.denseblock4.denselayer16.conv2.weight"] == (32, 128, 3, 3)
    assert shapes["features.transition3.conv.weight"] == (512, 1024, 1, 1)
    assert shapes["features.norm5.running_var"] == (1024,)
    assert shapes["classifier.weight"] == (len(FINDING_LABELS), 1024)
    assert len(state) == 727
    part = r"(conv0|norm0|norm5|transition[123]\.(norm|conv)|denseblock[1-4]\.denselayer\d+\.(norm|conv)[12])"
    assert all(re.match(rf"features\.{part}\.|classifier\.", key) for key in state)


def test_a_dense_layer_adds_what_it_gives_to_what_it_got():
    network: Any = build("densenet121", ["A"]).eval()
    block = network.features.denseblock1
    image = torch.randn(1, 64, 8, 8)
    with torch.no_grad():
        out = block(image)
        first = block["denselayer1"](image)
    assert out.shape == (1, 256, 8, 8)
    assert torch.equal(out[:, :64], image)
    assert torch.equal(out[:, 64:96], first)


@pytest.mark.parametrize(("side", "padded"), [(8, (0, 1)), (7, (1, 1))])
def test_same_padding_puts_the_odd_pixel_at_the_far_end(side, padded):
    conv = SameConv(1, 1, 3, 2, bias=False)
    image = torch.randn(1, 1, side, side)
    expected = nn.functional.conv2d(nn.functional.pad(image, padded * 2), conv.weight, stride=2)
    assert torch.equal(conv(image), expected)


def test_the_flat_list_of_convolutions_fills_the_folded_mobilenet(tmp_path):
    source: Any = build("mobilenet_v2", ["A"])
    convs = [part for part in source.features.modules() if isinstance(part, nn.Conv2d)]
    assert len(convs) == 52
    flat = {
        f"convs.{i}.{name}": value
        for i, conv in enumerate(convs)
        for name, value in conv.state_dict().items()
    }
    flat |= {"fc.weight": torch.randn(1001, 1280), "fc.bias": torch.randn(1001)}
    torch.save(flat, tmp_path / "imagenet.pt")
    network: Any = build("mobilenet_v2", FINDING_LABELS, weights=tmp_path / "imagenet.pt")
    for key, value in source.features.state_dict().items():
        assert torch.equal(network.features.state_dict()[key], value), key
    assert network.classifier.weight.shape == (len(FINDING_LABELS), 1280)


def test_every_family_has_a_layout_and_a_preprocessing():
    assert set(LAYOUTS) == set(FAMILIES)
    assert preprocessing_of("densenet121").mean == IMAGENET_MEAN
    assert preprocessing_of("mobilenet_v2").std == (0.5, 0.5, 0.5)


def test_imagenet_weights_come_from_the_cache_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"TETKIK_OFFLINE=false .* or fetch https://\S+/resnet18-\S+\.pth"):
        build("resnet18", ["A"], weights="imagenet")
    source: Any = build("resnet18", [str(number) for number in range(1000)])
    old = {
        key.removeprefix("features.").replace("classifier", "fc"): value
        for key, value in source.state_dict().items()
    }
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(old, folder / FAMILIES["resnet18"].published)
    network: Any = build("resnet18", FINDING_LABELS, weights="imagenet")
    assert torch.equal(network.features.layer4[1].conv2.weight, source.features.layer4[1].conv2.weight)
    assert network.classifier.out_features == len(FINDING_LABELS)


def test_imagenet_weights_that_cannot_be_fetched_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("TETKIK_OFFLINE", "false")
    monkeypatch.setattr("tetkik.findings.networks._PUBLISHED", (tmp_path / "none").as_uri() + "/")
    settings.cache_clear()
    with pytest.raises(UsageError, match="could not be fetched"):
        build("resnet18", ["A"], weights="imagenet")
    assert not list((tmp_path / "hub" / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("name", "weights", "error", "sentence"),
    [
        ("mobilenet_v2", "imagenet", UsageError, "No ImageNet weights are published for mobilenet_v2"),
        ("densenet999", None, BundleNotFound, "There is no network called densenet999"),
        ("owner/model", "imagenet", UsageError, "own weights; leave --weights out"),
        ("owner/model", None, BundleNotFound, "TETKIK_OFFLINE=false"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(name, weights, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        build(name, ["A"], weights=weights)
