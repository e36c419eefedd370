"""Checkpoints of others: read without running their code, their keys brought to ours, misfits named."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tetkik.errors import InputError
from tetkik.networks.network import Network

Tensors = dict[str, torch.Tensor]

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a family's weights are called in the checkpoints that exist."""

    anchors: tuple[str, ...]
    """A key that every checkpoint of one layout has; what stands before it (`module.`, `densenet121.`) is
    taken from every key."""
    renames: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
    """What is replaced in a key, one after the other: regular expressions and what they become."""


def _folded_layer(match: re.Match[str]) -> str:
    """Where the convolution of that number lies: two in the first block, three in each of the others."""
    block, part = divmod(int(match[1]) - 3, 3)
    others = {0: "0.0", 1: "1.conv.0.0", 2: "1.conv.1", 51: "18.0"}
    place = others.get(int(match[1]), f"{block + 2}.conv." + ("0.0", "1.0", "2")[part])
    return f"features.{place}."


_HEAD = (r"^classifier\.\d+\.", "classifier.")
LAYOUTS: Mapping[str, Layout] = {
    # Torchvision's keys of today and of before 2019 (`norm.1`), MONAI's (`layers.norm1`), CheXNet's head.
    "densenet121": Layout(
        ("features.conv0.weight",),
        (
            (r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2."),
            (r"\.layers\.", "."),
            (r"^(?:classifier\.\d+|class_layers\.out|fc)\.", "classifier."),
        ),
    ),
    # The flat list `convs.0` … `convs.51` in the order of the layers; a 1,001-class head is not ours.
    "mobilenet_v2": Layout(
        ("convs.0.weight", "features.0.0.weight"),
        ((r"^convs\.(\d+)\.", _folded_layer), (r"^fc\.", "classifier."), _HEAD),
    ),
    "mobilenet_v2_bn": Layout(("features.0.0.weight",), (_HEAD,)),
    "resnet18": Layout(
        ("features.layer1.0.conv1.weight", "layer1.0.conv1.weight"),
        ((r"^fc\.(?:\d+\.)?", "classifier."), (r"^(?!features\.|classifier\.)", "features.")),
    ),
}


def family_of(tensors: Tensors) -> str:
    """Which of our networks a checkpoint is of, by its keys; `densenet121` where none fits."""
    # A MobileNetV2 with biases instead of batch norm.
    folded = any(re.search(r"(convs\.0|features\.0\.0)\.bias$", key) for key in tensors)
    for family, layout in LAYOUTS.items():
        if _prefix(tensors, layout.anchors) is not None and (family != "mobilenet_v2" or folded):
            return family
    return "densenet121"


def read_tensors(file: Path) -> Tensors:
    """The tensors of a checkpoint: safetensors, or what `torch.save` wrote, a state dict or wrapped in one.

    A pickle is read by torch's restricted unpickler (`weights_only=True`), which builds tensors and plain
    containers and runs nothing else.

    Raises:
        InputError: not readable, code in it, or no state dict in it.
    """
    if not file.is_file():
        raise InputError("There is no file {file}; check the path.", file=file)
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            "{file} cannot be read as plain weights: it holds code or whole objects, which could run "
            "anything, or it is damaged; save model.state_dict() with torch.save, or as safetensors.",
            file=file,
        ) from None
    except OSError:
        raise
    # A file that is no checkpoint makes torch raise whatever its first bytes lead to.
    except Exception as error:
        raise _unreadable(file, error) from None
    return _unwrapped(file, content)


def _read_safetensors(file: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except (SafetensorError, ValueError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(
        "{file} is not a checkpoint that can be read ({fault}); give a state dict that torch.save wrote, or "
        "safetensors.",
        file=file,
        fault=type(error).__name__,
    )


def _unwrapped(file: Path, content: Any) -> Tensors:
    for _ in range(3):
        if isinstance(content, Mapping):
            wrapped = (content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping))
            content = next(wrapped, content)
    found = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(key): value for key, value in found if isinstance(value, torch.Tensor)}
    if not tensors:
        raise InputError(
            "{file} holds no state dict ({found}); save model.state_dict() with torch.save.",
            file=file,
            found=type(content).__name__,
        )
    return tensors


def to_our_keys(file: Path, tensors: Tensors, family: str) -> Tensors:
    """`tensors` under the keys of our network `family`, float32."""
    layout = LAYOUTS[family]
    prefix = _prefix(tensors, layout.anchors)
    if prefix is None:
        raise InputError(
            "{file} is no {family}: it lacks the weight {name}; give a checkpoint of that network.",
            file=file,
            family=family,
            name=layout.anchors[0],
        )
    renamed = {}
    for key, value in tensors.items():
        if _COUNTER not in key:
            name = key.removeprefix(prefix)
            for pattern, replacement in layout.renames:
                name = re.sub(pattern, replacement, name)
            renamed[name] = value
    for key, value in renamed.items():
        if not torch.isfinite(value).all():
            raise InputError(
                "{file}: the weight {name} holds values that are no numbers; the training that wrote it "
                "failed, give an earlier checkpoint.",
                file=file,
                name=key,
            )
    return {key: value.float() for key, value in renamed.items()}


def _prefix(tensors: Tensors, anchors: tuple[str, ...]) -> str | None:
    keys = ((key, anchor) for anchor in anchors for key in tensors if f".{key}".endswith(f".{anchor}"))
    return next((key.removesuffix(anchor) for key, anchor in keys), None)


def fill(network: Network, file: Path, tensors: Tensors, family: str, *, head: bool) -> None:
    """Put a checkpoint's tensors (our keys) of the family `family` into `network`.

    With `head` the classifier must fit too; otherwise it is taken where it has this network's shape, and left
    as it is where not. An InputError where a weight is missing, has another shape, or is not known.
    """
    wanted = {key: value for key, value in network.state_dict().items() if _COUNTER not in key}
    given = dict(tensors)
    if not head:
        for key in ("classifier.weight", "classifier.bias"):
            if key not in given or given[key].shape != wanted[key].shape:
                given[key] = wanted[key]
        # The heads of other tasks: several layers, or classes of ImageNet.
        given = {key: value for key, value in given.items() if key.startswith("features.") or key in wanted}
    if missing := [key for key in wanted if key not in given]:
        raise InputError(
            "{file} lacks {count} weights of a {family}, such as {name}; give a checkpoint of that network.",
            file=file,
            count=len(missing),
            family=family,
            name=missing[0],
        )
    if unknown := [key for key in given if key not in wanted]:
        raise InputError(
            "{file} has {count} weights that a {family} does not have, such as {name}; give a checkpoint of "
            "that network.",
            file=file,
            count=len(unknown),
            family=family,
            name=unknown[0],
        )
    for key, value in given.items():
        if value.shape != wanted[key].shape:
            raise InputError(
                "{file}: the weight {name} has the shape {found}, and a {family} needs {wanted}; give a "
                "checkpoint of that network.",
                file=file,
                name=key,
                found=_shape(value),
                family=family,
                wanted=_shape(wanted[key]),
            )
    network.load_state_dict(given, strict=False)


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(str(side) for side in tensor.shape) or "1"
