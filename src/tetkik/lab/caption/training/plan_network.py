"""A network without weights: built from its sizes alone, as `new_network` builds the real one."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tetkik.caption.adapters import make_trainable
from tetkik.caption.families.base_location import BaseLocation, find_base, is_path
from tetkik.caption.families.registry import family_of, model_class
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.options import Learning, Quantisation
from tetkik.errors import BundleNotFound, UsageError
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plan_quantised import quantise_layers
from tetkik.networks.huggingface import quiet_transformers, read_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tetkik.caption.families.staged import StagedNetwork

_TOKENS_A_WORD = 1.5
"""Of English medical text in OPT's vocabulary."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """In the place of a tokenizer, which nothing is read with: only lengths count here."""

    fingerprint: ClassVar[str] = ""
    tokenizer: ClassVar[Any] = SimpleNamespace(bos_token_id=0, eos_token_id=1, pad_token_id=1)

    def encode(self, captions: Sequence[str]) -> list[NDArray[np.int32]]:
        """As many tokens as the words may have."""
        return [np.full(round(_TOKENS_A_WORD * len(text.split())), 4, np.int32) for text in captions]


@cache
def _published() -> dict[str, Any]:
    text = resources.files("tetkik").joinpath("lab/caption/training/plan_shapes.toml").read_text("utf-8")
    return {base: shapes for shapes in tomllib.loads(text).values() for base in shapes["bases"]}


def config_of(base: str, revision: str | None = None) -> Any:
    """The configuration of a base: from its folder, from what is known of published ones, or from the hub.

    Raises:
        UsageError: of no known family.
        BundleError: there is none.
    """
    from transformers import AutoConfig, Blip2Config

    if not is_path(base) and base in _published():
        shapes = _published()[base]
        return Blip2Config(text_config=shapes["text"], image_token_index=shapes["image_token_index"])
    try:
        found = find_base(base, revision, weights=False)
    except BundleNotFound as error:
        if is_path(base):
            raise
        raise UsageError(
            "The sizes of {base} are not known here and the hub cannot be reached; give a folder with its "
            "config.json, or one of {names}.",
            base=base,
            names=", ".join(sorted(_published())),
        ) from error
    family_of(base, read_config(found.folder))
    with quiet_transformers():
        return AutoConfig.from_pretrained(found.folder, local_files_only=True)


_DEPTHS = ("num_hidden_layers", "num_layers", "num_decoder_layers")
"""What families call the number of layers of a language model; T5 has two such numbers."""


def depth_of(config: Any) -> int:
    """Layers of the language model; of an encoder and a decoder the fewer."""
    text = config.text_config
    return min(int(getattr(text, name)) for name in _DEPTHS if getattr(text, name, None))


def with_depth(config: Any, layers: int) -> Any:
    """The same configuration with a language model of so many layers, as far as they are counted alike."""
    changed = copy.deepcopy(config)
    more = layers - depth_of(config)
    for name in _DEPTHS:
        value = getattr(config.text_config, name, None)
        if value and name in config.text_config.to_dict():
            setattr(changed.text_config, name, value + more)
    kinds = getattr(config.text_config, "layer_types", None)
    if kinds is not None:
        changed.text_config.layer_types = kinds[:layers]
    return changed


def planned_network(options: CaptionTraining, config: Any, number: torch.dtype) -> StagedNetwork:
    """A network on the meta device with what learns in it, as a training would have it.

    Args:
        options: the settings.
        config: of transformers.
        number: in which frozen weights are kept, but for quantised ones.

    Raises:
        UsageError: settings that do not fit the base.
    """
    import transformers

    family = family_of(options.base, config.to_dict())
    full = options.learning is Learning.FULL
    number = torch.float32 if full else number
    size = getattr(config.vision_config, "image_size", 224)
    with torch.device("meta"), quiet_transformers():
        made = model_class(config.to_dict(), getattr(transformers, family.usual))(config)
        core = made.to(number).requires_grad_(False)
    network = family(
        core,
        Lengths(),  # type: ignore[arg-type]
        ImageSpec(size=size if isinstance(size, int) else size[0]),
        BaseLocation(Path(), options.base, options.revision, options.base),
        options.quantisation,
    )
    family.settle(core)
    if options.quantisation is not Quantisation.NONE:
        quantise_layers(core, options.quantisation, number, keep=family.kept_whole())
    network.prompt = network.default_prompt if options.prompt is None else options.prompt
    with torch.device("meta"):
        make_trainable(network, options.learning, options.adapter)
    return network


def materialised(network: StagedNetwork, wanted: nn.Module) -> None:
    """Give the weights of `wanted` a place in memory; within a `FakeTensorMode` that is none.

    Args:
        network: on the meta device.
        wanted: a module that has some of its weights.
    """
    keys = {id(item) for item in (*wanted.parameters(), *wanted.buffers())}
    made: dict[int, torch.Tensor] = {}
    for module in network.core.modules():
        for place in (module._parameters, module._buffers):
            for name, tensor in list(place.items()):
                if tensor is None or id(tensor) not in keys:
                    continue
                if id(tensor) not in made:
                    made[id(tensor)] = _placed(tensor)
                place[name] = made[id(tensor)]


def _placed(tensor: torch.Tensor) -> torch.Tensor:
    empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
