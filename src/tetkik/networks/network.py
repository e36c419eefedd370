"""What every network here has: a feature map, a global average, one linear layer."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn


class Network(nn.Module):
    """A multi-label image classifier whose class activation maps are exact.

    The logit of a label is the mean over the map of its classifier row applied to the features, plus its
    bias, so that the map says where the logit comes from (Zhou et al., CVPR 2016).

    Attributes:
        features: (images, channels, rows, columns) to the last feature map (images, c, h, w), after its
            activation. Nothing in it works in place, so that a hook on any layer sees what the layer gave.
        dropout: before the classifier, in training only.
    """

    features: nn.Module
    classifier: nn.Linear

    def __init__(self, features: nn.Module, channels: int, labels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, labels)
        nn.init.zeros_(self.classifier.bias)

    def pooled(self, image: torch.Tensor) -> torch.Tensor:
        """The mean of the feature map: (images, c)."""
        return cast("torch.Tensor", self.features(image)).mean(dim=(2, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits: (images, labels)."""
        return cast("torch.Tensor", self.classifier(self.dropout(self.pooled(image))))

    def logits_and_maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (images, labels) and class activation maps (images, labels, h, w), without dropout.

        The mean of a map plus the bias of its label is the label's logit.
        """
        features: torch.Tensor = self.features(image)
        maps = nn.functional.conv2d(features, self.classifier.weight[:, :, None, None])
        return self.classifier(features.mean(dim=(2, 3))), maps

    def has_maps(self, _image: torch.Tensor) -> bool:
        """Whether `logits_and_maps` gives maps that mean to the logits: always."""
        return True


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
