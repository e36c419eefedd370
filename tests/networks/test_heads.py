"""Heads of several layers: the same answers as the network that was saved, or a refusal; never others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tetkik.errors import InputError, UsageError
from tetkik.networks.network import Network
from tetkik.networks.state import (
    ACTIVATIONS,
    WITHOUT_EFFECT,
    Layout,
    add_hidden,
    parse_layers,
    read_head,
    take_apart,
)

FILE = Path("model.pt")
CHANNELS = 6
NOISE = torch.randn((5, 3, 8, 8), generator=torch.Generator().manual_seed(1))
LAYOUT = Layout(("features.0.weight",), r"(?:classifier|fc)(?:\.\d+)?")


def small():
    return Network(nn.Sequential(nn.Conv2d(3, CHANNELS, 3), nn.ReLU()), CHANNELS, 1)


def layer(kind, width, wider):
    match kind:
        case "linear":
            return nn.Linear(width, wider)
        case "batchnorm":
            return nn.BatchNorm1d(width)
        case "layernorm":
            return nn.LayerNorm(width)
        case "pool" | "flatten" | "dropout" | "identity":
            return nn.Dropout()
    return ACTIVATIONS[kind]()


def network_of(kinds):
    """A network with such a head, every number of it by chance."""
    network, layers, width = small(), [], CHANNELS
    for number, kind in enumerate(kinds):
        wider = 3 if number == len(kinds) - 1 else 7
        layers.append(layer(kind, width, wider))
        width = wider if kind == "linear" else width
    network.classifier = nn.Sequential(*layers)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape) + 0.5 if "var" in name else torch.randn(value.shape))
    return network.eval()


def read(state, stated):
    network = small()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tetkik.networks.state.LAYOUTS", {"small": LAYOUT})
        parts = take_apart(FILE, state, "small", network)
    head = read_head(FILE, "small", parts, CHANNELS, stated)
    add_hidden(network, head.layers, head.tensors)
    network.load_state_dict(parts.features | head.tensors, strict=False)
    return network.eval(), head.assumed


HIDDEN = st.lists(
    st.sampled_from(["linear", "batchnorm", "layernorm", *ACTIVATIONS, *WITHOUT_EFFECT]), max_size=6
)
PREFIXES = st.sampled_from(["", "module.", "model.", "net.module.", "backbone.", "encoder.model."])


@settings(max_examples=150, deadline=None)
@given(HIDDEN, PREFIXES, st.booleans(), st.booleans())
def test_any_head_is_rebuilt_exactly_or_refused(hidden, prefix, said, alone):
    kinds = [*hidden, "linear"]
    torch.manual_seed(0)
    original = network_of(kinds)
    state = {prefix + key: value for key, value in original.state_dict().items()}
    if alone and len(kinds) == 1:
        state = {key.replace("classifier.0.", "fc."): value for key, value in state.items()}
    with torch.no_grad():
        expected = original(NOISE)
        try:
            network, assumed = read(state, tuple(kinds) if said else None)
            found = network(NOISE)
        except InputError as error:
            assert not said and "--head " in str(error)
        else:
            # One layer without weights is taken for a dropout; the command says so.
            assert torch.allclose(found, expected, atol=1e-4) or (assumed and len(kinds) == 2)
            assert not (said and assumed)


def test_linear_relu_linear_is_not_taken_for_one_layer():
    state = network_of(["linear", "relu", "linear"]).state_dict()
    with pytest.raises(InputError, match=r"\(classifier\.0, classifier\.2\).* --head linear,relu,linear\."):
        read(state, None)


def test_a_layer_at_another_place_than_stated_is_refused():
    state = network_of(["linear", "relu", "dropout", "linear"]).state_dict()
    for stated in (("linear", "relu", "linear"), ("linear", "batchnorm", "relu", "linear"), ("linear",)):
        with pytest.raises(InputError, match=re.escape(f"--head {','.join(stated)} does not fit")):
            read(state, stated)


def test_a_head_elsewhere_needs_the_users_word():
    original = network_of(["linear"])
    state = {f"backbone.{key}": value for key, value in original.state_dict().items()}
    state = {key.replace("backbone.classifier.0", "head"): value for key, value in state.items()}
    with pytest.raises(InputError, match=r"\(head\).* --head linear\."):
        read(state, None)
    with torch.no_grad():
        assert torch.allclose(read(state, ("linear",))[0](NOISE), original(NOISE), atol=1e-6)


def test_two_heads_are_refused():
    state = network_of(["linear"]).state_dict()
    state |= {key.replace("classifier.0", "other.0"): value for key, value in state.items() if "class" in key}
    with pytest.raises(InputError, match=r"such as other\.0\.weight; leave out with --ignore"):
        read(state, None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("linear,swish,linear", "swish is no layer"),
        ("linear,sigmoid", "must end in linear"),
        ("dropout", "must end"),
    ],
)
def test_layers_that_cannot_be_are_one_sentence(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_layers(text)
    assert parse_layers(" Linear, relu,linear ") == ("linear", "relu", "linear")
