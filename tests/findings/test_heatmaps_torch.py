"""Grad-CAM finds what a network of torch looks at, whatever its kind, and survives activations in place."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from tests.findings.bundles import PREPROCESSING, SIZE, blob_filter, blob_image
from tetkik.findings.heatmaps import Method, onto_image
from tetkik.findings.heatmaps.grad_cam import GradCam
from tetkik.imaging.prepare import to_square
from tetkik.values import Fit

PLACES = [(0.25, 0.25), (0.3, 0.75), (0.7, 0.4)]


class Blobs(nn.Module):
    """The blob network of the ONNX tests in torch; its activation may work in place."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.filter = nn.Conv2d(3, 1, 11, stride=2, padding=5)
        with torch.no_grad():
            self.filter.weight[:] = torch.from_numpy(blob_filter())[None, None] / 3
            nn.init.constant_(cast("torch.Tensor", self.filter.bias), -0.05)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, image):
        mean = self.relu(self.filter(image)).mean(dim=(1, 2, 3))
        return torch.stack([4000 * mean - 2, 2 - 4000 * mean], dim=1)


class Looker(nn.Module):
    """A tiny transformer with hand-set weights: a class token that attends to the brightest patch."""

    def __init__(self, cells: int = 8) -> None:
        super().__init__()
        self.cells = cells
        self.norm = nn.LayerNorm(2, elementwise_affine=False, eps=1e-3)
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.head.weight[:] = torch.tensor([[4.0, -4.0], [-4.0, 4.0]])
            self.head.bias[:] = 0

    def forward(self, image):
        light = nn.functional.adaptive_avg_pool2d(image.mean(1, keepdim=True), self.cells).flatten(1)
        patches = torch.stack([light, torch.full_like(light, -0.4)], dim=2)
        tokens = self.norm(torch.cat([torch.zeros_like(patches[:, :1]), patches], dim=1))
        attention = torch.softmax(3 * tokens[:, :, 0], dim=1)
        # Only the class token goes on: the patches reach the logit through the attention alone.
        return self.head((attention[:, :, None] * tokens).sum(dim=1))


def heat_of(network, image, label=0):
    square = to_square(image, PREPROCESSING)
    (heat,) = GradCam(network.eval(), PREPROCESSING).maps(square, [label])
    return onto_image(heat, SIZE, SIZE, Fit.SQUASH)


def peak(heat):
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    return (row + 0.5) / heat.shape[0], (column + 0.5) / heat.shape[1]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("inplace", [True, False])
def test_a_convolutional_network(place, inplace):
    heat = heat_of(Blobs(inplace), blob_image(*place))
    assert heat.max() > 0.7
    assert peak(heat) == pytest.approx(place, abs=0.04)


def test_an_activation_in_place_changes_nothing():
    image = blob_image(0.4, 0.6)
    np.testing.assert_array_equal(heat_of(Blobs(True), image), heat_of(Blobs(False), image))


@pytest.mark.parametrize("place", [(3 / 16, 5 / 16), (9 / 16, 13 / 16), (11 / 16, 3 / 16)])  # in one patch
def test_a_transformer_that_reads_its_class_token(place):
    heat = heat_of(Looker(), blob_image(*place))
    assert heat.max() > 0.7
    assert peak(heat) == pytest.approx(place, abs=0.04)


def test_what_speaks_against_a_label_is_not_shown():
    assert heat_of(Blobs(False), blob_image(0.4, 0.6), label=1).max() == 0


def test_several_labels_at_once_and_gradients_switched_off():
    network, square = Blobs(False).eval(), to_square(blob_image(0.4, 0.6), PREPROCESSING)
    with torch.no_grad():
        maps = GradCam(network, PREPROCESSING).maps(square, [0, 1, 0])
    np.testing.assert_array_equal(maps[0], maps[2])
    assert maps.shape[0] == 3 and maps.dtype == np.float32
    assert GradCam(network, PREPROCESSING).method is Method.GRAD_CAM


def test_no_hook_and_no_gradient_is_left_behind():
    network = Blobs(False).eval()
    heat_of(network, blob_image(0.4, 0.6))
    assert not any(layer._forward_hooks for layer in network.modules())
    assert all(weights.grad is None for weights in network.parameters())


def test_a_network_that_sees_nothing_draws_nothing():
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.ones(2))

        def forward(self, image):
            return self.bias + 0 * image.mean(dim=(1, 2, 3), keepdim=False)[:, None]

    assert heat_of(Blind(), blob_image(0.4, 0.6)).max() == 0


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v2", "resnet18"])
def test_our_networks_with_random_weights(name):
    from tetkik.findings.networks import build

    torch.manual_seed(0)
    network = build(name, ["Mass", "Nodule"]).eval()
    maps = GradCam(network, PREPROCESSING).maps(to_square(blob_image(0.4, 0.6), PREPROCESSING), [0, 1])
    assert maps.shape == (2, 2, 2)
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("kind", ["ViT", "Swin", "ConvNext"])
def test_networks_of_transformers(kind):
    import transformers

    kinds: dict[str, dict[str, Any]] = {
        "ViT": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
        "Swin": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
        "ConvNext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    }
    small = kinds[kind]
    sizes: dict[str, Any] = (
        {} if kind == "ConvNext" else {"image_size": SIZE, "patch_size": 8 if kind == "ViT" else 4}
    )
    torch.manual_seed(0)
    configuration = getattr(transformers, f"{kind}Config")(num_labels=2, **small, **sizes)
    classifier = getattr(transformers, f"{kind}ForImageClassification")(configuration).eval()

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = classifier

        def forward(self, image):
            return self.model(pixel_values=image).logits

    maps = GradCam(Logits(), PREPROCESSING).maps(to_square(blob_image(0.4, 0.6), PREPROCESSING), [0, 1])
    assert maps.shape[1] == maps.shape[2] > 1
    assert maps.max() > 0, "the last layer on which the logit depends everywhere was found"
