"""Frozen stages keep their weights and their statistics."""

from __future__ import annotations

import pytest
import torch

from tetkik.errors import UsageError
from tetkik.findings.networks import build
from tetkik.lab.findings.training.runs import freeze
from tetkik.lab.findings.training.trainer import keep_frozen_still


def test_frozen_stages_do_not_change_and_the_others_do():
    torch.manual_seed(0)
    network = build("mobilenet_v2_bn", ("a", "b"), weights=None)
    freeze(network, 3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    keep_frozen_still(network)
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    network(torch.randn(2, 3, 64, 64)).square().sum().backward()
    optimiser.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    frozen = tuple(f"features.{number}." for number in range(3))
    assert not [name for name in changed if name.startswith(frozen)]
    assert "classifier.weight" in changed
    assert any(name.startswith("features.3.") and name.endswith("running_mean") for name in changed)


def test_a_network_cannot_be_frozen_whole():
    with pytest.raises(UsageError, match="--freeze need a network with 101 stages"):
        freeze(build("mobilenet_v2", ("a",), weights=None), 100)
