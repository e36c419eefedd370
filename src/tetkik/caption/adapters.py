"""Which weights of a captioner learn: adapters beside frozen ones, or all after the vision tower."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tetkik.caption.families.loading import require
from tetkik.caption.families.peft_warnings import suppress_peft_warnings
from tetkik.caption.options import AdapterOptions, Learning, Quantisation
from tetkik.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from tetkik.caption.families.staged import StagedNetwork
    from tetkik.caption.network import CaptionNetwork

_QFORMER_TARGETS = ("query", "value")


def make_trainable(network: CaptionNetwork, learning: Learning, options: AdapterOptions) -> None:
    """Let the weights of `network` learn that `learning` names; the rest stays frozen and without dropout.

    Args:
        network: frozen, as `load_base` gives it.

    Raises:
        UsageError: a target that no layer has, or quantised weights that were to learn.
        MissingExtra: peft is not installed.
    """
    if learning is Learning.ADAPTER:
        add_adapter(network, options)
    else:
        _free(as_staged(network))


def add_adapter(network: CaptionNetwork, options: AdapterOptions) -> None:
    """Put adapters into `network` in place; `network.model` is then a `PeftModel`.

    Their weights are fp32 whatever the base is in, and so is a projection that learns. The cut moves to
    before the first stage that learns.

    Raises:
        UsageError: a target that no layer has, or a part that the family has not.
        MissingExtra: peft is not installed.
    """
    require("torch", "peft")
    import peft

    from tetkik.caption.families.numerics import float_parameters, still

    staged = as_staged(network)
    _check_parts(staged, options)
    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=_pattern(staged, options),
        modules_to_save=[staged.projection] if options.projection else None,
        use_rslora=options.rslora,
        use_dora=options.dora,
        bias="none",
    )
    still(staged.core)
    with suppress_peft_warnings():
        staged.model = peft.get_peft_model(staged.core, config)
    # The base's public name, never a path of this computer; its hub revision where it has one.
    config.base_model_name_or_path, config.revision = staged.base, staged.revision
    for weight in float_parameters(staged.model):
        if weight.requires_grad:
            weight.data = weight.data.float()


def trainable_parameters(network: CaptionNetwork) -> tuple[int, int]:
    """How many weights learn, and how many there are; a 4-bit weight counts as one."""
    from tetkik.caption.families.numerics import count

    sizes = [(weight.requires_grad, count(weight)) for weight in network.model.parameters()]
    return sum(size for learns, size in sizes if learns), sum(size for _, size in sizes)


def _linear(core: nn.Module) -> list[tuple[str, Any]]:
    from torch import nn

    # Linear4bit and Linear8bitLt of bitsandbytes are kinds of nn.Linear.
    return [(name, part) for name, part in core.named_modules() if isinstance(part, nn.Linear)]


def _check_parts(network: StagedNetwork, options: AdapterOptions) -> None:
    if options.qformer and network.bridge is None:
        raise UsageError(
            "A model of the family {family} has no Q-Former to put an adapter into; leave --qformer out.",
            family=network.family,
        )


def _pattern(network: StagedNetwork, options: AdapterOptions) -> str:
    """A regular expression of full names, since a name such as `q_proj` is in the vision tower too."""
    names = [name for name, _ in _linear(network.core)]
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
    from tetkik.caption.families.numerics import in_fp32, still
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


def as_staged(network: CaptionNetwork) -> StagedNetwork:
    """`network` itself, as what every family here is: stages of a model of transformers."""
    from tetkik.caption.families.staged import StagedNetwork

    if not isinstance(network, StagedNetwork):
        raise TypeError(f"{type(network).__name__} is no family of tetkik.caption.families")
    return network
