"""The head of a checkpoint, rebuilt from its weights and, where these cannot say it, from the user's word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tetkik.errors import InputError, UsageError
from tetkik.networks.network import Network
from tetkik.networks.state import COUNTER, Parts, Tensors, check_weights, read_tensors

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
WITH_WEIGHTS = ("linear", "batchnorm", "layernorm")
WITHOUT_EFFECT = ("dropout", "flatten", "identity", "pool")
"""In use a dropout does nothing, and the features come pooled and flat."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands between the mean of the features and the outputs."""

    layers: tuple[str, ...]
    """Before the last linear layer, in order, without those that have no effect."""
    tensors: Tensors
    """`hidden.N.…` and `classifier.…`."""
    assumed: bool = False
    """Whether a layer without weights before a linear one was taken for a dropout."""

    @property
    def outputs(self) -> int:
        return len(self.tensors["classifier.weight"])


def parse_layers(text: str) -> tuple[str, ...]:
    """The layers of a head as a user names them: `linear,relu,dropout,linear`."""
    layers = tuple(part.strip().lower() for part in text.split(","))
    for layer in layers:
        if layer not in (*WITH_WEIGHTS, *ACTIVATIONS, *WITHOUT_EFFECT):
            raise UsageError(
                "--head: {layer} is no layer that is known; name each as one of {known}.",
                layer=layer,
                known=", ".join((*WITH_WEIGHTS, *ACTIVATIONS, *WITHOUT_EFFECT)),
            )
    last = [layer for layer in layers if layer not in WITHOUT_EFFECT][-1:]
    if last != ["linear"]:
        raise UsageError(
            "--head must end in linear; what makes probabilities of its outputs is --activation."
        )
    return layers


def read_head(
    file: Path, family: str, parts: Parts, channels: int, stated: Sequence[str] | None = None
) -> Head:
    """The head of a checkpoint whose features have so many `channels`.

    A state dict has no activations in it. One linear layer where the network has its own head, or one right
    after a batch norm, are taken as they are; of any other head the layers must be `stated`.

    Raises:
        InputError: there is none, or its layers are not stated, not known, or do not fit one another.
    """
    paths = sorted(parts.head, key=_natural)
    if not paths:
        raise InputError(
            "{file} holds the features of a {family} and no head; give the fine-tuned model.",
            file=file,
            family=family,
        )
    kinds = [_kind(file, path, parts.head[path]) for path in paths]
    places = _places(paths)
    assumed = stated is None
    if stated is None:
        stated = _plain(kinds, places) if parts.own else None
    if stated is None:
        raise InputError(
            "{file}: the weights do not say every layer of its head ({names}), for activations have no "
            "weights; name all that stands after the mean of the last feature map with --head, such as "
            "--head {example}.",
            file=file,
            names=", ".join(paths),
            example=",".join(_example(kinds, places)),
        )
    named = [(place, layer) for place, layer in enumerate(stated) if layer in WITH_WEIGHTS]
    if [layer for _, layer in named] != kinds or (places and [place for place, _ in named] != places):
        raise InputError(
            "{file}: --head {stated} does not fit the head of the checkpoint, which has {found}; correct it.",
            file=file,
            stated=",".join(stated),
            found=", ".join(f"{path} ({kind})" for path, kind in zip(paths, kinds, strict=True)),
        )
    tensors, layers = _joined(file, [parts.head[path] for path in paths], channels, stated)
    return Head(layers, tensors, assumed and "dropout" in stated)


def _natural(path: str) -> list[tuple[bool, int, str]]:
    """`fc.10` after `fc.9`."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", path)]


def _kind(file: Path, path: str, weights: Mapping[str, torch.Tensor]) -> str:
    shapes = {name: value.ndim for name, value in weights.items()}
    if shapes in ({"weight": 2}, {"weight": 2, "bias": 1}):
        return "linear"
    if shapes == {"weight": 1, "bias": 1, "running_mean": 1, "running_var": 1}:
        return "batchnorm"
    if shapes == {"weight": 1, "bias": 1}:
        return "layernorm"
    raise InputError(
        "{file}: the head has a layer ({path}) that is neither linear nor a norm; such a network cannot be "
        "imported as a checkpoint.",
        file=file,
        path=path,
    )


def _places(paths: Sequence[str]) -> list[int]:
    """The numbers of the layers in their `nn.Sequential`; empty where they have none."""
    last = [path.rpartition(".")[2] for path in paths]
    return [int(number) for number in last] if all(number.isdigit() for number in last) else []


def _plain(kinds: Sequence[str], places: Sequence[int]) -> tuple[str, ...] | None:
    """The layers where there is no doubt: one linear layer after a norm, after a dropout, or alone."""
    if list(kinds) == ["linear"] and (not places or places[0] <= 1):
        return (*("dropout",) * (places[0] if places else 0), "linear")
    return (
        ("batchnorm", "linear") if list(kinds) == ["batchnorm", "linear"] and list(places) == [0, 1] else None
    )


def _example(kinds: Sequence[str], places: Sequence[int]) -> list[str]:
    """Layers as they usually are, for a remedy."""
    if not places:
        layers = [layer for kind in kinds for layer in ([kind, "relu"] if kind == "linear" else [kind])]
        return layers[:-1]
    layers = ["dropout"] * (places[-1] + 1)
    for place, kind in zip(places, kinds, strict=True):
        layers[place] = kind
    for place in range(1, len(layers)):
        if layers[place] == "dropout" and layers[place - 1] in WITH_WEIGHTS:
            layers[place] = "relu"
    return layers


def _joined(
    file: Path, modules: Sequence[Mapping[str, torch.Tensor]], channels: int, stated: Sequence[str]
) -> tuple[Tensors, tuple[str, ...]]:
    layers = [layer for layer in stated if layer not in WITHOUT_EFFECT]
    tensors: Tensors = {}
    width, remaining = channels, list(modules)
    for number, layer in enumerate(layers):
        if layer not in WITH_WEIGHTS:
            continue
        weights = dict(remaining.pop(0))
        takes = weights["weight"].shape[-1]
        if takes != width:
            raise InputError(
                "{file}: a layer of the head takes {found} numbers and gets {given}; such a network (another "
                "pooling, or several inputs) cannot be imported as a checkpoint.",
                file=file,
                found=takes,
                given=width,
            )
        width = len(weights["weight"])
        last = number == len(layers) - 1
        if last:
            weights.setdefault("bias", torch.zeros(width))
        name = "classifier" if last else f"hidden.{number}"
        tensors |= {f"{name}.{key}": value for key, value in weights.items()}
    return tensors, tuple(layers[:-1])


def add_hidden(network: Network, layers: Sequence[str], tensors: Mapping[str, torch.Tensor]) -> None:
    """Give `network` the hidden layers of a `Head`, and a classifier, of the sizes of `tensors`."""
    made: list[nn.Module] = []
    for number, layer in enumerate(layers):
        weight = tensors.get(f"hidden.{number}.weight")
        if weight is None:
            made.append(ACTIVATIONS[layer]())
        elif layer == "linear":
            made.append(nn.Linear(weight.shape[1], len(weight), bias=f"hidden.{number}.bias" in tensors))
        else:
            made.append((nn.BatchNorm1d if layer == "batchnorm" else nn.LayerNorm)(len(weight)))
    network.hidden = nn.Sequential(*made) if made else nn.Identity()
    outputs, width = tensors["classifier.weight"].shape
    network.classifier = nn.Linear(width, outputs)


def restore(network: Network, file: Path, family: str, hidden: Sequence[str] = ()) -> None:
    """Fill `network` with weights that the `state_dict` of one with these hidden layers gave."""
    given = {key: value.float() for key, value in read_tensors(file).items() if COUNTER not in key}
    if "classifier.weight" in given and hidden:
        add_hidden(network, hidden, given)
    wanted = network.state_dict()
    if unknown := [key for key in given if key not in wanted]:
        raise InputError(
            "{file} has {count} weights that this {family} does not have, such as {name}; the bundle is "
            "damaged, import it again.",
            file=file,
            count=len(unknown),
            family=family,
            name=unknown[0],
        )
    check_weights(file, family, wanted, given)
    network.load_state_dict(given, strict=False)
