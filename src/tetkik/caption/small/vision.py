"""MobileNetV2 (Sandler et al., CVPR 2018) as the vision tower of BLIP-2: an image becomes a grid of tokens.

Where there is too little data to train a vision transformer, a network that knows ImageNet's textures is the
better eye, and 2 million weights run on any CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2Config, Blip2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from tetkik.caption.images import ImageSpec
from tetkik.errors import InputError

# Of each stage: expansion, channels, blocks, stride of the first block (table 2 of the paper).
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_CHANNELS = 1280
_MIDDLE = 96
"""Channels of the last stage on the grid of twice the resolution."""
_WAVES = 4
"""Wavelengths of the position code, each as sine and cosine in both directions."""
STRIDE = 32
"""Pixels between the centres of two tokens."""
WIDTH = _CHANNELS + 4 * _MIDDLE + 4 * _WAVES
"""Of a token."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1; added to the input where the shapes allow."""

    inputs: int
    outputs: int
    stride: int
    expansion: int

    @property
    def added(self) -> bool:
        return self.stride == 1 and self.inputs == self.outputs

    def convolutions(self) -> list[_SameConv]:
        wide = self.inputs * self.expansion
        first = [_SameConv(self.inputs, wide, 1)] if self.expansion > 1 else []
        return [
            *first,
            _SameConv(wide, wide, 3, self.stride, groups=wide),
            _SameConv(wide, self.outputs, 1),
        ]


class _SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's `same` does: where the two sides differ, the far one gets more."""

    def forward(self, image: Tensor) -> Tensor:
        """(images, channels, rows, columns) to the same divided by the stride, rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads: list[int] = []
        for side in (image.shape[3], image.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(image, pads) if any(pads) else image)


def _blocks() -> tuple[_Block, ...]:
    blocks, channels = [], 32
    for expansion, outputs, count, first_stride in _STAGES:
        for number in range(count):
            blocks.append(_Block(channels, outputs, first_stride if number == 0 else 1, expansion))
            channels = outputs
    return tuple(blocks)


_BLOCKS = _blocks()


class MobileNetTower(nn.Module):
    """MobileNetV2 with batch norm folded into its 52 convolutions, in the place of `Blip2VisionModel`.

    A token is a place of the last grid: its 1,280 channels, the 4 x 96 channels of the same area on the grid
    of twice the resolution, where small things are still seen, and where it lies (sines and cosines). Each
    part is normalised by its mean and standard deviation, without weights.
    """

    def __init__(self) -> None:
        super().__init__()
        convs: list[_SameConv] = [_SameConv(3, 32, 3, 2)]
        for block in _BLOCKS:
            convs += block.convolutions()
        # Called as in the published checkpoints with folded batch norm.
        self.convs = nn.ModuleList([*convs, _SameConv(_BLOCKS[-1].outputs, _CHANNELS, 1)])

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Tokens, (images, (size / 32)^2, `WIDTH`), from (images, 3, size, size) normalised as for BLIP-2.

        What else a vision tower of transformers may be told is taken and left.
        """
        convs = iter(self.convs)
        scaled = _to_one(pixel_values).to(next(self.parameters()).dtype)
        image = functional.relu6(next(convs)(scaled))
        middle = image
        for block in _BLOCKS:
            image = _through(block, convs, image)
            if block.outputs == _MIDDLE:
                middle = image
        last = functional.relu6(next(convs)(image))
        finer = functional.pixel_unshuffle(middle, 2)
        parts = [_normalised(last), _normalised(finer), _places(last)]
        tokens = torch.cat(parts, dim=-1)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, pooler_output=tokens.mean(dim=1))


def _to_one(pixels: Tensor) -> Tensor:
    """Pixels from -1 to 1, as this network was trained, so that any prepared image fits every BLIP-2."""
    spec = ImageSpec()
    mean, std = (pixels.new_tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    return (pixels * std + mean) * 2 - 1


def _through(block: _Block, convs: Iterator[Any], image: Tensor) -> Tensor:
    out = image
    if block.expansion > 1:
        out = functional.relu6(next(convs)(out))
    out = functional.relu6(next(convs)(out))
    narrow: Tensor = next(convs)(out)
    return image + narrow if block.added else narrow


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


def read_backbone(file: Path) -> dict[str, Tensor]:
    """The convolutions of a MobileNetV2 checkpoint, float32, as `MobileNetTower` calls them.

    A pickle is read by torch's restricted unpickler (`weights_only=True`), which runs nothing.

    Raises:
        InputError: not readable, or of another network or layout.
    """
    if not file.is_file():
        raise InputError("There is no file {file}; check the path.", file=file)
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
        found = {str(key): value.float() for key, value in content.items() if str(key).startswith("convs.")}
        MobileNetTower().load_state_dict(found)
    except OSError:
        raise
    # A file that is something else makes torch raise whatever its first bytes lead to.
    except Exception as error:
        raise InputError(
            "{file} holds no MobileNetV2 with folded batch norm ({fault}); give a state dict with the "
            "weights convs.0 to convs.51.",
            file=file,
            fault=type(error).__name__,
        ) from None
    return found
