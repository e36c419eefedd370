"""What every network here has: a feature map, a global average, the layers of a head."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import nn


def answer_in_fp32() -> None:
    """Let no GPU round the numbers of a network to TF32, as torch does in convolutions unless told."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


class Network(nn.Module):
    """An image classifier whose class activation maps are exact where its head is one linear layer.

    The logit of a label is then the mean over the map of its classifier row applied to the features, plus its
    bias, so that the map says where the logit comes from (Zhou et al., CVPR 2016).

    Attributes:
        features: (images, channels, rows, columns) to the last feature map (images, c, h, w), after its
            activation. Nothing in it works in place, so that a hook on any layer sees what the layer gave.
        hidden: layers between the mean of the map and `classifier`: (images, c) to (images, d).
        dropout: before the classifier, in training only.
        exclusive: whether labels exclude one another (softmax); logits are then log-odds, so that their
            sigmoids are the softmax.
    """

    features: nn.Module
    hidden: nn.Module
    classifier: nn.Linear

    def __init__(self, features: nn.Module, channels: int, labels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = features
        self.hidden = nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, labels)
        self.exclusive = False
        nn.init.zeros_(self.classifier.bias)

    def pooled(self, image: torch.Tensor) -> torch.Tensor:
        """The mean of the feature map: (images, c)."""
        return cast("torch.Tensor", self.features(image)).mean(dim=(2, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits: (images, labels)."""
        logits: torch.Tensor = self.classifier(self.dropout(self.hidden(self.pooled(image))))
        return one_against_rest(logits) if self.exclusive else logits

    def logits_and_maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (images, labels) and class activation maps (images, labels, h, w), without dropout.

        The mean of a map plus the bias of its label is the label's logit. Only where `has_maps` says so.
        """
        features: torch.Tensor = self.features(image)
        maps = nn.functional.conv2d(features, self.classifier.weight[:, :, None, None])
        return self.classifier(features.mean(dim=(2, 3))), maps

    def has_maps(self, _image: torch.Tensor) -> bool:
        """Whether `logits_and_maps` gives maps that mean to the logits."""
        return isinstance(self.hidden, nn.Identity) and not self.exclusive


def one_against_rest(logits: torch.Tensor) -> torch.Tensor:
    """Log-odds of each class against all others, (images, labels): their sigmoid is the softmax."""
    itself = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = logits[:, None, :].masked_fill(itself, -torch.inf)
    return logits - others.logsumexp(dim=2)


def set_input_channels(network: Network, channels: int) -> None:
    """Let the first convolution of `network` take images of `channels`; where it did not, it is new."""
    for parent in network.features.modules():
        for name, part in parent.named_children():
            if isinstance(part, nn.Conv2d):
                if part.in_channels != channels:
                    shape: dict[str, Any] = {"stride": part.stride, "padding": part.padding}
                    shape |= {"kernel_size": part.kernel_size, "bias": part.bias is not None}
                    setattr(parent, name, type(part)(channels, part.out_channels, **shape))
                return


def as_feature_map(features: torch.Tensor) -> torch.Tensor:
    """Features as (images, c, h, w), the tokens of a transformer, (images, tokens, c), in their square.

    Tokens before the patches (class, distillation, registers) are left out.
    """
    if features.ndim == 4:
        return features
    side = math.isqrt(features.shape[1])
    patches = features[:, features.shape[1] - side * side :]
    return patches.transpose(1, 2).reshape(features.shape[0], features.shape[2], side, side)


def initialise(module: nn.Module) -> None:
    """He's initialisation for a network that starts from random weights (He et al., ICCV 2015)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
