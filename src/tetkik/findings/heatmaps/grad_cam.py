"""Grad-CAM for any network of torch: convolutional, or a transformer with its patches in a square."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tetkik.findings.heatmaps.method import Method, onto_image, scaled
from tetkik.imaging.prepare import Preprocessing, normalise
from tetkik.networks.network import as_feature_map
from tetkik.values import Fit

_KEPT = 48
"""Layers that are kept, counted from the last: the last useful one lies among them."""
_SPECIAL = 8
"""Most tokens before the patches (class, distillation, registers)."""


class GradCam:
    """Grad-CAM (Selvaraju et al., ICCV 2017) on the last layer that the label's logit depends on everywhere.

    For a convolutional network that is its last feature map. For a transformer that reads its class token it
    is the normalisation before the last attention: after that the patches no longer reach the logit.
    """

    method = Method.GRAD_CAM

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        self._network = network
        self._preprocessing = preprocessing

    def maps(self, square: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.float32]:
        """(labels, h, w) with h and w of the layer; see `Heatmaps.maps`."""
        device = next(self._network.parameters()).device
        image = torch.from_numpy(normalise(square[None], self._preprocessing)).to(device).requires_grad_()
        # Gradients are needed whether or not the caller, or a part of the network, has switched them off.
        with torch.enable_grad(), _watched(self._network) as layers:
            logits = self._network(image)[0]
            return _stacked([scaled(_map(logits[label], layers)) for label in labels])


def _stacked(maps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Maps of one size, though a label may depend on another layer, or on none."""
    largest = max((heat.shape for heat in maps), key=math.prod)
    return np.stack(
        [
            heat if heat.shape == largest else onto_image(heat, largest[0], largest[1], Fit.SQUASH)
            for heat in maps
        ]
    )


def _map(logit: torch.Tensor, layers: Sequence[torch.Tensor]) -> NDArray[np.float32]:
    if not layers:
        return np.zeros((1, 1), np.float32)
    gradients = torch.autograd.grad(logit, list(layers), retain_graph=True, allow_unused=True)
    for layer, gradient in zip(reversed(layers), reversed(gradients), strict=True):
        if gradient is None:
            continue
        features, slope = (as_feature_map(values)[0] for values in (layer.detach(), gradient))
        if bool((slope != 0).any()):
            weights = slope.mean(dim=(1, 2), keepdim=True)
            heat: NDArray[np.float32] = (weights * features).sum(dim=0).float().cpu().numpy()
            return heat
    # A logit that depends on no layer: nothing speaks for it anywhere.
    return np.zeros((1, 1), np.float32)


@contextmanager
def _watched(network: nn.Module) -> Iterator[Sequence[torch.Tensor]]:
    """Collects what the layers give while the network runs, in the order in which they end."""
    layers: deque[torch.Tensor] = deque(maxlen=_KEPT)

    def keep(layer: nn.Module, _given: Any, gave: Any) -> Any:
        if not isinstance(gave, torch.Tensor) or not gave.requires_grad or not _is_map(layer, gave):
            return gave
        layers.append(gave)
        # A copy goes on, so that an activation that works in place (torchvision's DenseNet) leaves this one.
        return gave.clone()

    hooks = [layer.register_forward_hook(keep) for layer in network.modules()]
    try:
        yield layers
    finally:
        for hook in hooks:
            hook.remove()


def _is_map(layer: nn.Module, gave: torch.Tensor) -> bool:
    """Whether a layer's output has a place for each part of the image."""
    if gave.ndim == 4:
        return min(gave.shape[2:]) > 1
    if gave.ndim != 3 or not isinstance(layer, nn.LayerNorm):
        return False
    side = math.isqrt(gave.shape[1])
    return side > 1 and gave.shape[1] - side * side <= _SPECIAL
