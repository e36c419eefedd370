"""Networks by name: ours, and any image classifier of transformers by its id or folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tetkik.errors import UsageError
from tetkik.imaging.prepare import Preprocessing, Resample
from tetkik.networks.densenet import DENSENETS
from tetkik.networks.efficientnet import EFFICIENTNETS
from tetkik.networks.huggingface import model_folder, read_config
from tetkik.networks.mobilenet import mobilenet_v2, mobilenet_v2_bn
from tetkik.networks.network import Network
from tetkik.networks.resnet import RESNETS
from tetkik.networks.state import check_weights, read_tensors, take_apart
from tetkik.settings import settings

if TYPE_CHECKING:
    from tetkik.findings.networks.huggingface import HuggingFaceNetwork

IMAGENET = "imagenet"
"""As `weights`: those of torchvision, through torch's own client."""
_PUBLISHED = "https://download.pytorch.org/models/"


@dataclass(frozen=True, slots=True)
class Family:
    """One of our networks."""

    make: Callable[[int, float], Network]
    """(labels, dropout) to a network with random weights."""
    preprocessing: Preprocessing
    published: str | None
    """The file of its ImageNet weights at torchvision's address; its name ends in the first digits of its
    SHA-256, which torch checks. None where torchvision has none of this layout."""
    dropout: float = 0.0
    """Before the classifier, where none is named."""


_PUBLISHED_FILES = {
    "densenet121": "densenet121-a639ec97.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "mobilenet_v2_bn": "mobilenet_v2-b0353104.pth",
}
FAMILIES: Mapping[str, Family] = {
    "mobilenet_v2": Family(
        mobilenet_v2, Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)), published=None
    ),
    "mobilenet_v2_bn": Family(
        mobilenet_v2_bn, Preprocessing(), _PUBLISHED_FILES["mobilenet_v2_bn"], dropout=0.2
    ),
    **{
        name: Family(make, Preprocessing(), _PUBLISHED_FILES.get(name))
        for name, make in (DENSENETS | RESNETS | EFFICIENTNETS).items()
    },
}


def build(
    name: str,
    labels: Sequence[str],
    *,
    weights: str | Path | None = None,
    dropout: float | None = None,
) -> Network | HuggingFaceNetwork:
    """A network with one output a label, fp32, on the CPU, in training mode.

    Args:
        name: one of `FAMILIES`, or a Hugging Face id or folder of an image classifier, whose own weights are
            taken.
        labels: the outputs, in order. The head is new unless the weights have one of this size.
        weights: a checkpoint file, `"imagenet"` for torchvision's weights (from torch's cache, or from the
            network where the setting `offline` is off), or None for random ones.
        dropout: before the classifier; None takes the family's own.

    Raises:
        UsageError: no such network, or no such weights for it.
        InputError: the checkpoint does not fit.
    """
    family = FAMILIES.get(name)
    if family is None:
        from tetkik.findings.networks.huggingface import open_for_training

        if weights is not None:
            raise UsageError(
                "{name} is taken with its own weights; leave --weights out, or name one of {families}.",
                name=name,
                families=", ".join(FAMILIES),
            )
        return open_for_training(name, labels)
    network = family.make(len(labels), family.dropout if dropout is None else dropout)
    if weights is not None:
        file = imagenet_file(name) if weights == IMAGENET else Path(weights)
        parts = take_apart(file, read_tensors(file), name, network, head=False)
        wanted = {key: value for key, value in network.state_dict().items() if key.startswith("features.")}
        check_weights(file, name, wanted, parts.features)
        given = dict(parts.features)
        for head in parts.head.values():
            if {key: value.shape for key, value in head.items()} == {
                key: value.shape for key, value in network.classifier.state_dict().items()
            }:
                given |= {f"classifier.{key}": value for key, value in head.items()}
        network.load_state_dict(given, strict=False)
    return network


def preprocessing_of(name: str) -> Preprocessing:
    """What should be done to an image before the network `name` (as `build` takes it), to train it.

    A model of transformers gets the size and the scaling of its processor, but the whole image: the margin
    that its processor may cut off shows the costophrenic angles.
    """
    if name in FAMILIES:
        return FAMILIES[name].preprocessing
    from tetkik.findings.networks.huggingface import has_processor, read_preprocessing

    folder = model_folder(name)
    if not has_processor(folder):
        size = read_config(folder).get("image_size", Preprocessing().size)
        return Preprocessing(size=size[0] if isinstance(size, list) else size)
    return replace(read_preprocessing(folder), resized=None, resample=Resample.BILINEAR, eight_bit=False)


def imagenet_file(name: str) -> Path:
    """Torchvision's ImageNet weights of one of `FAMILIES`, from torch's cache or from the network."""
    published = FAMILIES[name].published
    if published is None:
        others = ", ".join(other for other, family in FAMILIES.items() if family.published)
        raise UsageError(
            "No ImageNet weights are published for {name}; give a file with --weights, or take one of "
            "{others}.",
            name=name,
            others=others,
        )
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = folder / published
    if file.is_file():
        return file
    if settings().offline:
        raise UsageError(
            "The ImageNet weights of {name} are not on this machine; set TETKIK_OFFLINE=false where there is "
            "a network, or fetch {address} and name the file with --weights.",
            name=name,
            address=_PUBLISHED + published,
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(
            _PUBLISHED + published, str(file), file.stem.rsplit("-", 1)[1], progress=False
        )
    # urllib's errors are OSErrors, a wrong hash a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise UsageError(
            "The ImageNet weights of {name} could not be fetched from {address} ({fault}); fetch the file "
            "another way and name it with --weights.",
            name=name,
            address=_PUBLISHED + published,
            fault=type(error).__name__,
        ) from None
    return file
