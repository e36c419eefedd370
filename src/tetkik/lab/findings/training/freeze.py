"""The first stages of a network kept as they are: less to compute, and less overfitting."""

from __future__ import annotations

from torch import nn

from tetkik.lab.findings.training.ridge import stages_of


def freeze(network: nn.Module, stages: int) -> None:
    """Take the first `stages` of the network out of the training.

    No gradient is computed for them, and none before them: that saves most of the work of a small network,
    whose first stages see the largest images.

    Raises:
        UsageError: the network has no stages, or no more than that.
    """
    if not stages:
        return
    for number, stage in enumerate(stages_of(network, least=stages + 1)):
        if number < stages:
            stage.requires_grad_(False)


def keep_frozen_still(network: nn.Module) -> None:
    """Put frozen stages into evaluation mode, or batch norm would go on counting."""
    for module in network.children():
        if isinstance(module, nn.Sequential):
            for stage in module:
                parameters = list(stage.parameters())
                if parameters and not any(item.requires_grad for item in parameters):
                    stage.eval()
