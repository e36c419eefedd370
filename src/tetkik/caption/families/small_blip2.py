"""MobileNetV2 (Sandler et al., CVPR 2018) as the vision tower of BLIP-2: an image becomes a grid of tokens.

Where there is too little data to train a vision transformer, a network that knows ImageNet's textures is the
better eye, and 2 million weights run on any CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2Config, Blip2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tetkik.caption.image_spec import ImageSpec
from tetkik.networks.mobilenet import CHANNELS, mobilenet_v2

_MIDDLE = 96
"""Channels of the last stage on the grid of twice the resolution."""
_WAVES = 4
"""Wavelengths of the position code, each as sine and cosine in both directions."""
STRIDE = 32
"""Pixels between the centres of two tokens."""
WIDTH = CHANNELS + 4 * _MIDDLE + 4 * _WAVES
"""Of a token."""


class MobileNetTower(nn.Module):
    """MobileNetV2 with batch norm folded into its 52 convolutions, in the place of `Blip2VisionModel`.

    A token is a place of the last grid: its 1,280 channels, the 4 x 96 channels of the same area on the grid
    of twice the resolution, where small things are still seen, and where it lies (sines and cosines). Each
    part is normalised by its mean and standard deviation, without weights.
    """

    def __init__(self) -> None:
        super().__init__()
        # Named as in findings, so that one reader of checkpoints serves both.
        self.features = nn.Sequential(*mobilenet_v2(1).features.children())

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Tokens, (images, (size / 32)^2, `WIDTH`), from (images, 3, size, size) normalised as for BLIP-2.

        What else a vision tower of transformers accepts is taken and ignored.
        """
        image = _to_one(pixel_values).to(next(self.parameters()).dtype)
        middle = image
        for layer in self.features:
            image = layer(image)
            if image.shape[1] == _MIDDLE:
                middle = image
        last = image
        finer = functional.pixel_unshuffle(middle, 2)
        parts = [_normalised(last), _normalised(finer), _places(last)]
        tokens = torch.cat(parts, dim=-1)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, pooler_output=tokens.mean(dim=1))


def _to_one(pixels: Tensor) -> Tensor:
    """Pixels from -1 to 1, as this network was trained, so that any prepared image fits every BLIP-2."""
    spec = ImageSpec()
    mean, std = (pixels.new_tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    return (pixels * std + mean) * 2 - 1


def _normalised(grid: Tensor) -> Tensor:
    """(images, channels, rows, columns) to (images, rows x columns, channels)."""
    tokens = grid.flatten(2).transpose(1, 2)
    return functional.layer_norm(tokens, tokens.shape[-1:])


def _places(grid: Tensor) -> Tensor:
    """Where each token lies, (images, rows x columns, 16)."""
    count, _, rows, columns = grid.shape
    codes = []
    for side in (rows, columns):
        turn = torch.arange(side, device=grid.device, dtype=torch.float32) * (torch.pi / side)
        waves = torch.stack([turn * 2.0**wave for wave in range(_WAVES)], dim=1)
        codes.append(torch.cat([waves.sin(), waves.cos()], dim=1))
    high = codes[0][:, None].expand(-1, columns, -1)
    wide = codes[1][None].expand(rows, -1, -1)
    code = torch.cat([high, wide], dim=-1).flatten(0, 1).to(grid.dtype)
    return code.expand(count, -1, -1)


class SmallBlip2(Blip2ForConditionalGeneration):  # type: ignore[misc]
    """BLIP-2 with `MobileNetTower` in the place of the vision transformer; all else is the parent's.

    Its configuration says `tetkik_vision: mobilenet_v2`. The parent builds a vision transformer of no layers
    before it is replaced.
    """

    def __init__(self, config: Blip2Config) -> None:
        super().__init__(config)
        self.vision_model = MobileNetTower()
