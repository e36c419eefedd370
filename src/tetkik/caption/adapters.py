"""Which weights of a captioner learn: adapters beside frozen ones, or all after the vision tower."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tetkik.caption.families.loading import require
from tetkik.caption.options import AdapterOptions, Learning, Quantisation
from tetkik.errors import UsageError
from tetkik.networks.huggingface import quiet_transformers

if TYPE_CHECKING:
    from tetkik.caption.families.staged import StagedNetwork

_QFORMER_TARGETS = ("query", "value")


@contextmanager
def suppress_peft_warnings() -> Iterator[None]:
    """As `quiet_transformers`, and without the warnings of peft.

    It asks models for an attribute that transformers 5 has renamed, and remarks on the name of the base,
    which is not a path on purpose.
    """
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


def make_trainable(network: StagedNetwork, learning: Learning, options: AdapterOptions) -> None:
    """Let the weights of the frozen `network` learn that `learning` names; the rest has no dropout."""
    if learning is Learning.ADAPTER:
        add_adapter(network, options)
    else:
        _free(network)


def add_adapter(network: StagedNetwork, options: AdapterOptions) -> None:
    """Put adapters into `network` in place; `network.model` is then a `PeftModel`.

    Their weights are fp32 whatever the base is in, and so is a projection that learns. The cut moves to
    before the first stage that learns.
    """
    require("torch", "peft")
    import peft

    from tetkik.caption.families.staged import float_parameters, still

    if options.qformer and network.bridge is None:
        raise UsageError(
            "A model of the family {family} has no Q-Former to put an adapter into; leave --qformer out.",
            family=network.family,
        )
    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=_pattern(network, options),
        modules_to_save=[network.projection] if options.projection else None,
        use_rslora=options.rslora,
        use_dora=options.dora,
        bias="none",
    )
    still(network.core)
    with suppress_peft_warnings():
        network.model = peft.get_peft_model(network.core, config)
    # The base's public name, never a path of this computer; its hub revision where it has one.
    config.base_model_name_or_path, config.revision = network.base, network.revision
    for weight in float_parameters(network.model):
        if weight.requires_grad:
            weight.data = weight.data.float()


def trainable_parameters(network: StagedNetwork) -> tuple[int, int]:
    """How many weights learn, and how many there are; a 4-bit weight counts as one."""
    from tetkik.caption.families.staged import count

    sizes = [(weight.requires_grad, count(weight)) for weight in network.model.parameters()]
    return sum(size for learns, size in sizes if learns), sum(size for _, size in sizes)


def _pattern(network: StagedNetwork, options: AdapterOptions) -> str:
    """A regular expression of full names, since a name such as `q_proj` is in the vision tower too."""
    from torch import nn

    # Linear4bit and Linear8bitLt of bitsandbytes are kinds of nn.Linear.
    names = [name for name, part in network.core.named_modules() if isinstance(part, nn.Linear)]
    inside = [name for name in names if name.startswith(f"{network.language}.")]
    chosen: list[str] = []
    for target in options.targets or network.adapter_targets():
        ends = re.compile(rf"(?:.*\.)?{re.escape(target)}")
        # A plain name means the language model's layers; a full one may mean any.
        found = [name for name in inside if ends.fullmatch(name)] or [
            name for name in names if name == target
        ]
        if not found:
            raise UsageError(
                "{name} has no linear layer called {target}; choose from: {known}.",
                name=network.base,
                target=target,
                known=", ".join(sorted({name.rpartition(".")[2] for name in inside})),
            )
        where = re.escape(f"{network.language}.") if found[0] in inside and found != [target] else ""
        chosen.append(rf"{where}.*\.{re.escape(target)}" if where else re.escape(target))
    if options.qformer:
        bridge = re.escape(f"{network.bridge}.")
        chosen.append(rf"{bridge}.*\.(?:{'|'.join(_QFORMER_TARGETS)})")
    return "|".join(chosen)


def _free(network: StagedNetwork) -> None:
    from tetkik.caption.families.staged import in_fp32, still
    from tetkik.caption.network import Cut

    if network.quantisation is not Quantisation.NONE:
        raise UsageError(
            "Quantised weights cannot learn, and --learning full asks for it; use an adapter or "
            "--quantisation none."
        )
    network.core.requires_grad_(True)
    for stage in network.stages():
        if stage.cut is Cut.VISION:
            for name in stage.parts:
                tower = network.part(name)
                tower.requires_grad_(False)
                still(tower)  # type: ignore[arg-type]
    in_fp32(network.core)
