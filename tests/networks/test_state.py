"""Checkpoints in every layout that exists, and those that are refused."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tetkik.errors import InputError
from tetkik.findings.networks import build
from tetkik.findings.networks.checkpoint import read_checkpoint
from tetkik.networks.state import anchored, read_tensors
from tetkik.values import FINDING_LABELS

NOISE = torch.randn((1, 3, 32, 32), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def source():
    """A DenseNet121 whose batch norms have all seen something."""
    torch.manual_seed(0)
    network = build("densenet121", FINDING_LABELS).train()
    with torch.no_grad():
        network(torch.randn(4, 3, 64, 64))
    return network.eval()


def prefixed(prefix):
    return lambda state: {prefix + key: value for key, value in state.items()}


def lightning(state):
    """With what a Lightning module saves beside its network."""
    own = prefixed("model.")(state)
    extra = ("criterion.pos_weight", "loss_fn.weight", "val_auroc.confmat", "train_metrics.accuracy.tp")
    return {
        "state_dict": {**own, **{key: torch.ones(14) for key in extra}},
        "callbacks": {"EarlyStopping": {"best_score": torch.tensor(0.8), "wait_count": 0}},
        "hyper_parameters": {"lr": 1e-4},
    }


def wrapped(*names):
    def wrap(state):
        for name in names:
            state = {name: state, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}}
        return state

    return wrap


def before_2019(state):
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): value
        for key, value in state.items()
    }


def monai(state):
    renamed = {}
    for key, value in state.items():
        layered = re.sub(r"(denselayer\d+)\.", r"\1.layers.", key)
        renamed[layered.replace("classifier.", "class_layers.out.")] = value
    return renamed


def chexnet(state):
    return prefixed("module.densenet121.")(
        {key.replace("classifier.", "classifier.0."): value for key, value in state.items()}
    )


def without_counters(state):
    return {key: value for key, value in state.items() if "num_batches_tracked" not in key}


LAYOUTS = {
    "plain": dict,
    "module": prefixed("module."),
    "state_dict": wrapped("state_dict"),
    "model in model": wrapped("model", "model_state_dict"),
    "before 2019": lambda state: without_counters(before_2019(state)),
    "MONAI": monai,
    "CheXNet": lambda state: {"state_dict": chexnet(before_2019(state))},
    "Lightning": lightning,
    "DataParallel in Lightning": lambda state: lightning(prefixed("net.module.")(state)),
    "half": lambda state: {
        key: value.half() if value.is_floating_point() else value for key, value in state.items()
    },
}


def loaded(file):
    found = read_checkpoint(file)
    assert (found.family, found.outputs) == ("densenet121", 22)
    return found.network


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_network(source, layout, tmp_path):
    torch.save(LAYOUTS[layout](source.state_dict()), tmp_path / "model.pt")
    with torch.no_grad():
        found, expected = loaded(tmp_path / "model.pt")(NOISE), source(NOISE)
    assert torch.allclose(found, expected, atol=2e-2 if layout == "half" else 1e-6)


def test_safetensors_are_read(source, tmp_path):
    save_file(prefixed("module.")(source.state_dict()), tmp_path / "model.safetensors")
    with torch.no_grad():
        assert torch.equal(loaded(tmp_path / "model.safetensors")(NOISE), source(NOISE))


FAMILIES = ["densenet121", "densenet161", "mobilenet_v2", "mobilenet_v2_bn", "resnet50", "efficientnet_b0"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_family_is_told_by_the_keys_and_shapes(family, tmp_path):
    network: Any = build(family, ["A"]).eval()
    assert family in anchored(network.state_dict())
    torch.save(network.state_dict(), tmp_path / "model.pt")
    found = read_checkpoint(tmp_path / "model.pt")
    assert found.family == family
    with torch.no_grad():
        assert torch.equal(found.network(NOISE), network(NOISE))


def test_a_new_head_is_left_as_it_is(source, tmp_path):
    torch.save(source.state_dict(), tmp_path / "model.pt")
    torch.manual_seed(3)
    other = build("densenet121", ["A", "B"])
    torch.manual_seed(3)
    network: Any = build("densenet121", ["A", "B"], weights=tmp_path / "model.pt")
    assert torch.equal(network.classifier.weight, other.classifier.weight)
    assert torch.equal(network.features.conv0.weight, source.features.conv0.weight)
    same = build("densenet121", FINDING_LABELS, weights=tmp_path / "model.pt")
    assert torch.equal(same.classifier.weight, source.classifier.weight)


class Touch:
    """What a hostile pickle does when it is opened."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path):
    torch.save({"state_dict": Touch(tmp_path / "ran")}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="holds code or whole objects"):
        read_tensors(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()


def test_a_whole_model_is_refused(tmp_path):
    torch.save(build("resnet18", ["A"]), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"save model\.state_dict\(\)"):
        read_tensors(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + bytes(50), b"\x80\x02}q\x00."])
def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*\.$"):
        read_tensors(tmp_path / name)


def test_a_checkpoint_with_several_state_dicts_is_refused(tmp_path):
    state = {"fc.weight": torch.zeros(2, 3)}
    torch.save({"state_dict": state, "state_dict_ema": state, "epoch": 3}, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"several state dicts \(state_dict, state_dict_ema\)"):
        read_tensors(tmp_path / "model.pt")


def test_what_the_outputs_do_not_depend_on_can_be_left_out(source, tmp_path):
    state = {**source.state_dict(), **prefixed("ema.")(source.state_dict()), "aux.weight": torch.zeros(2)}
    torch.save(state, tmp_path / "model.pt")
    found = read_checkpoint(tmp_path / "model.pt", ignored=("ema", "aux.weight"))
    assert len(found.left_out) == 607 and "aux.weight" in found.left_out
    with torch.no_grad():
        assert torch.equal(found.network(NOISE), source(NOISE))


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"state_dict": {}}, torch.zeros(3)])
def test_a_file_without_tensors_is_one_sentence(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(InputError, match="holds no state dict"):
        read_tensors(tmp_path / "model.pt")


def test_a_cut_checkpoint_is_one_sentence(source, tmp_path):
    torch.save(source.state_dict(), tmp_path / "whole.pt")
    content = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cannot be read|can be read"):
        read_tensors(tmp_path / "cut.pt")


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        read_tensors(tmp_path / "none.pt")


NORM = "features.denseblock2.denselayer3.norm1.weight"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda state: state.pop(NORM), f"lacks 1 weight of a densenet121, such as {NORM}"),
        (
            lambda state: state.update({"aux.weight": torch.zeros(2)}),
            "has 1 weight that a densenet121 does not have, such as aux.weight; leave out with --ignore",
        ),
        (
            lambda state: state.update({"features.conv0.weight": torch.zeros(64, 2, 7, 7)}),
            "the weight features.conv0.weight has the shape 64 x 2 x 7 x 7, and a densenet121 needs 64 x 3 "
            "x 7 x 7",
        ),
        (
            lambda state: state.update({"classifier.bias": torch.zeros(14)}),
            "the weight classifier.bias has the shape 14, and a densenet121 needs 22",
        ),
        (
            lambda state: state.update({"classifier.weight": torch.zeros(22, 2048)}),
            "a layer of the head takes 2048 numbers and gets 1024",
        ),
        (
            lambda state: [state.pop(f"classifier.{name}") for name in ("weight", "bias")],
            "holds the features of a densenet121 and no head",
        ),
        (
            lambda state: state.update(prefixed("ema.")(dict(state))),
            "holds several networks (without a name, ema); leave the others out with --ignore",
        ),
        (
            lambda state: state.update({NORM: state[NORM] * float("nan")}),
            f"the weight {NORM} holds values that are no numbers",
        ),
        (
            lambda state: state.pop("features.conv0.weight"),
            "is of no network that is known (",
        ),
    ],
)
def test_what_does_not_fit_is_explained(source, tmp_path, change, sentence):
    state = OrderedDict(source.state_dict())
    change(state)
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(InputError, match=re.escape(sentence)):
        loaded(tmp_path / "model.pt")
