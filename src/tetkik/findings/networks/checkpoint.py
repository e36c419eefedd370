"""A checkpoint file of others becomes one of our networks, exactly, or is refused with the reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tetkik.errors import InputError
from tetkik.findings.networks import FAMILIES
from tetkik.networks.network import Network, set_input_channels
from tetkik.networks.state import (
    Parts,
    Tensors,
    add_hidden,
    anchored,
    check_weights,
    is_ignored,
    read_head,
    read_tensors,
    take_apart,
)

_OPERATING_POINTS = "op_threshs"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network read from a file, with what the file says of it."""

    family: str
    network: Network
    hidden_layers: tuple[str, ...]
    """Between the mean of the features and the classifier, as `tetkik.networks.state` names them."""
    head_assumed: bool
    channels: int
    left_out: tuple[str, ...]
    """Keys of the file that were not used."""
    xrv: bool
    """Whether it is of torchxrayvision, which saves thresholds beside the weights."""
    operating_points: tuple[float | None, ...] | None
    """Its thresholds of the outputs, None for one that was not taught; None where they are ignored, or not
    as many as there are outputs."""

    @property
    def outputs(self) -> int:
        return self.network.classifier.out_features


def read_checkpoint(
    file: Path, ignored: Sequence[str] = (), stated: Sequence[str] | None = None
) -> Checkpoint:
    """The network whose weights `file` holds, in evaluation mode.

    Args:
        ignored: keys, or what stands before a dot in them, that are not to be used.
        stated: the layers of the head; None where the weights are to say them.

    Raises:
        InputError: the file cannot be read, its network is not known, or its head is in doubt.
    """
    tensors = read_tensors(file)
    family, parts = _family(file, tensors, ignored)
    network = FAMILIES[family].make(1, 0.0)
    channels = parts.features[_first_convolution(network)].shape[1]
    set_input_channels(network, channels)
    head = read_head(file, family, parts, network.classifier.in_features, stated)
    add_hidden(network, head.layers, head.tensors)
    given = parts.features | head.tensors
    check_weights(file, family, network.state_dict(), given)
    network.load_state_dict(given, strict=False)
    names = [key for key in tensors if key.rpartition(".")[2] == _OPERATING_POINTS]
    points = None
    if len(names) == 1 and _OPERATING_POINTS not in ignored and not is_ignored(names[0], ignored):
        points = _operating_points(tensors[names[0]], network.classifier.out_features)
    return Checkpoint(
        family,
        network.eval(),
        head.layers,
        head.assumed,
        channels,
        tuple(key for key in parts.left_out if points is None or key not in names),
        bool(names),
        points,
    )


def _family(file: Path, tensors: Tensors, ignored: Sequence[str]) -> tuple[str, Parts]:
    """The family that the weights are of; where they are of none, the nearest says what is wrong."""
    faults: list[tuple[int, InputError]] = []
    for family in anchored(tensors):
        with torch.device("meta"):
            network = FAMILIES[family].make(1, 0.0)
        try:
            parts = take_apart(file, tensors, family, network, ignored)
            first = parts.features.get(_first_convolution(network))
            if first is not None and first.ndim == 4 and first.shape[1] == 1:
                with torch.device("meta"):
                    set_input_channels(network, 1)
            wanted = network.features.state_dict(prefix="features.")
            check_weights(file, family, wanted, parts.features)
        except InputError as error:
            count = error.values.get("count")
            faults.append((count if isinstance(count, int) else 0, error))
        else:
            return family, parts
    if faults:
        raise min(faults, key=lambda fault: fault[0])[1]
    raise InputError(
        "{file} is of no network that is known ({families}); give a state dict of one of them with "
        "torchvision's keys, or a model in the format of transformers.",
        file=file,
        families=", ".join(FAMILIES),
    )


def _first_convolution(network: Network) -> str:
    modules = network.named_modules()
    return next(f"{name}.weight" for name, part in modules if isinstance(part, nn.Conv2d))


def _operating_points(values: torch.Tensor, outputs: int) -> tuple[float | None, ...] | None:
    found = tuple(None if math.isnan(value) else value for value in values.flatten().tolist())
    return found if len(found) == outputs else None
