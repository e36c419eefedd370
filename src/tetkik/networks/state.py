"""Checkpoints of others: read without running their code, their keys brought to ours, misfits named."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tetkik.errors import InputError, UsageError
from tetkik.networks.densenet import DENSENETS
from tetkik.networks.efficientnet import EFFICIENTNETS
from tetkik.networks.network import Network
from tetkik.networks.resnet import RESNETS

Tensors = dict[str, torch.Tensor]

COUNTER = "num_batches_tracked"
_DEEPEST = 3
_OTHER_PARTS = re.compile(r"optim|sched|lr_|scaler|callback|loop|loss|criterion|metric|hyper|args|history")
"""Parts of a training's checkpoint that hold tensors and are no network."""
_NOT_OF_THE_NETWORK = re.compile(
    r"(?:^|\.)(?:criterion|loss(?:_\w+)?|\w+_loss(?:_\w+)?|metrics?|\w+_metrics?|(?:train|val|valid|test)_\w+"
    r"|auroc|accuracy|confmat|pos_weight|class_weights?|op_threshs)(?:\.|$)"
)
"""Keys of losses, metrics and thresholds, which a Lightning module saves beside its network."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a family's weights are called in the checkpoints that exist."""

    anchors: tuple[str, ...]
    """A key that every checkpoint of one layout has; what stands before it (`module.`, `densenet121.`) is
    taken from every key."""
    head: str
    """Where such a network has its own head: a regular expression of the path of a module."""
    renames: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = ()
    """What is replaced in a key, one after the other: regular expressions and what they become."""


def _folded_layer(match: re.Match[str]) -> str:
    """Where the convolution of that number lies: two in the first block, three in each of the others."""
    block, part = divmod(int(match[1]) - 3, 3)
    others = {0: "0.0", 1: "1.conv.0.0", 2: "1.conv.1", 51: "18.0"}
    place = others.get(int(match[1]), f"{block + 2}.conv." + ("0.0", "1.0", "2")[part])
    return f"features.{place}."


_HEAD = r"(?:classifier|fc)(?:\.\d+)?"
# Torchvision's keys of today and of before 2019 (`norm.1`), and MONAI's (`layers.norm1`).
_DENSENET = Layout(
    ("features.conv0.weight",),
    _HEAD + r"|class_layers\.out",
    ((r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2."), (r"\.layers\.", ".")),
)
_RESNET = Layout(
    ("features.layer1.0.conv1.weight", "layer1.0.conv1.weight"),
    _HEAD,
    ((r"^(?=conv1\.|bn1\.|layer[1-4]\.)", "features."),),
)
LAYOUTS: Mapping[str, Layout] = {
    **dict.fromkeys(DENSENETS, _DENSENET),
    **dict.fromkeys(RESNETS, _RESNET),
    **dict.fromkeys(EFFICIENTNETS, Layout(("features.1.0.block.0.0.weight",), _HEAD)),
    # The flat list `convs.0` … `convs.51` in the order of the layers.
    "mobilenet_v2": Layout(
        ("convs.0.weight", "features.1.conv.0.0.bias"), _HEAD, ((r"^convs\.(\d+)\.", _folded_layer),)
    ),
    "mobilenet_v2_bn": Layout(("features.1.conv.0.1.running_mean",), _HEAD),
}


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
    found = list(_state_dicts(content, ""))
    if not found:
        raise InputError(
            "{file} holds no state dict ({found}); save model.state_dict() with torch.save.",
            file=file,
            found=type(content).__name__,
        )
    if len(found) > 1:
        raise InputError(
            "{file} holds several state dicts ({names}); save the one that is meant alone.",
            file=file,
            names=", ".join(name for name, _ in found),
        )
    return found[0][1]


def _state_dicts(content: Any, path: str) -> Iterator[tuple[str, Tensors]]:
    """Every dictionary of tensors in what was saved, with its path; not those of an optimiser and such."""
    if not isinstance(content, Mapping):
        return
    tensors = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
    # What stands beside a wrapped state dict (`epoch`, `class_weights`) has no module's path.
    inner = [
        found
        for key, value in content.items()
        if path.count(".") < _DEEPEST and not _OTHER_PARTS.search(str(key).lower())
        for found in _state_dicts(value, f"{path}{key}.")
    ]
    if inner and not any("." in key for key in tensors):
        yield from inner
    elif tensors:
        yield path.rstrip("."), tensors
        yield from inner


@dataclass(frozen=True, slots=True)
class Parts:
    """A checkpoint taken apart, float32."""

    features: Tensors
    """The weights before the head, under our keys."""
    head: Mapping[str, Mapping[str, torch.Tensor]]
    """The weights of each module of the head by its name, the modules by their path."""
    own: bool
    """Whether the head stands where such a network has its own."""
    left_out: tuple[str, ...]
    """Keys that are not the network's: losses, metrics, and what was to be ignored."""


def anchored(tensors: Mapping[str, torch.Tensor]) -> tuple[str, ...]:
    """The families whose layout these keys have; empty where none has it."""
    return tuple(family for family, layout in LAYOUTS.items() if _prefixes(tensors, layout))


def _prefixes(tensors: Mapping[str, torch.Tensor], layout: Layout) -> list[str]:
    found = []
    for key in tensors:
        anchor = next((one for one in layout.anchors if f".{key}".endswith(f".{one}")), None)
        if anchor is not None:
            found.append(key.removesuffix(anchor))
    return found


def is_ignored(key: str, ignored: Sequence[str]) -> bool:
    """Whether `ignored` names the key, or what stands before a dot in it."""
    return any(f"{key}.".startswith(f"{one}.") for one in ignored)


def take_apart(
    file: Path,
    tensors: Tensors,
    family: str,
    network: Network,
    ignored: Sequence[str] = (),
    *,
    head: bool = True,
) -> Parts:
    """The weights of the features of `network`, of the family `family`, and what of the rest is its head.

    Whether all are there in the right shapes is for `check_weights` to say.

    Args:
        ignored: keys, or what stands before a dot in them, that are not to be used.
        head: whether the head is needed; where not, what is not known is left out.

    Raises:
        InputError: a weight is no number, is there twice or is not known.
    """
    layout = LAYOUTS[family]
    used = {key: value for key, value in tensors.items() if COUNTER not in key}
    ignored_keys = [key for key in used if is_ignored(key, ignored)]
    for key in ignored_keys:
        del used[key]
    prefix = _prefix(file, used, family, layout)
    features: Tensors = {}
    rest: Tensors = {}
    wanted = {key for key in network.state_dict() if key.startswith("features.")}
    for key, value in used.items():
        name = key.removeprefix(prefix)
        for pattern, replacement in layout.renames if key.startswith(prefix) else ():
            name = re.sub(pattern, replacement, name)
        held = features if name in wanted and key.startswith(prefix) else rest
        if held is rest:
            name = key
        elif name in held:
            raise InputError(
                "{file} holds the weight {name} twice; save the one network that is meant alone.",
                file=file,
                name=name,
            )
        held[name] = value
    strange = [key for key in rest if _NOT_OF_THE_NETWORK.search(key)]
    for key in strange:
        del rest[key]
    modules, own, unknown = _head(rest, prefix, layout)
    if unknown and head:
        raise InputError(
            "{file} has {count} weights that a {family} does not have, such as {name}; leave out with "
            "--ignore what its outputs do not depend on, or give a checkpoint of that network.",
            file=file,
            count=len(unknown),
            family=family,
            name=unknown[0],
        )
    for key, value in (features | rest).items():
        if not torch.isfinite(value).all():
            raise InputError(
                "{file}: the weight {name} holds values that are no numbers; the training that wrote it "
                "failed, give an earlier checkpoint.",
                file=file,
                name=key,
            )
    return Parts(
        {key: value.float() for key, value in features.items()},
        {path: {name: value.float() for name, value in one.items()} for path, one in modules.items()},
        own,
        tuple(sorted((*ignored_keys, *strange))),
    )


def _prefix(file: Path, tensors: Tensors, family: str, layout: Layout) -> str:
    prefixes = _prefixes(tensors, layout)
    if not prefixes:
        raise InputError(
            "{file} is no {family}: it lacks the weight {name}; give a checkpoint of that network.",
            file=file,
            family=family,
            name=layout.anchors[0],
        )
    if len(prefixes) > 1:
        raise InputError(
            "{file} holds several networks ({names}); leave the others out with --ignore.",
            file=file,
            names=", ".join(prefix.rstrip(".") or "without a name" for prefix in prefixes),
        )
    return prefixes[0]


def _head(
    rest: Tensors, prefix: str, layout: Layout
) -> tuple[dict[str, dict[str, torch.Tensor]], bool, list[str]]:
    """The modules of the head, whether they are where the family has its own, and keys of no use."""
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in rest.items():
        path, _, name = key.rpartition(".")
        modules.setdefault(path, {})[name] = value
    own = {
        path: one
        for path, one in modules.items()
        if path.startswith(prefix) and re.fullmatch(layout.head, path.removeprefix(prefix))
    }
    chosen = own or modules
    if len({path.rpartition(".")[0] for path in chosen}) > 1:
        chosen = {}
    return chosen, bool(own), [key for key in rest if key.rpartition(".")[0] not in chosen]


def check_weights(
    file: Path, family: str, wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]
) -> None:
    """An InputError unless `given` has the weights `wanted`, each in its shape."""
    if missing := [key for key in wanted if key not in given and COUNTER not in key]:
        raise InputError(
            "{file} lacks {count} weights of a {family}, such as {name}; give a checkpoint of that network.",
            file=file,
            count=len(missing),
            family=family,
            name=missing[0],
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


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(str(side) for side in tensor.shape) or "1"


# The head of a checkpoint, rebuilt from its weights and, where these cannot say it, from the user's word.


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
