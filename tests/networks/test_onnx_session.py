"""What is opened as ONNX is read as ONNX."""

from __future__ import annotations

import re
import warnings
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tetkik.choices import Device
from tetkik.errors import UsageError
from tetkik.networks.onnx_session import onnx_session, providers_for


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> tuple[Path, Path]:
    """The same network in ONNX and in ONNX Runtime's own format."""
    folder = tmp_path_factory.mktemp("networks")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Neg", ["image"], ["logits"])], "g", [image], [logits])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return folder / "model.onnx", folder / "model.ort"


@pytest.mark.attack
def test_bytes_of_another_format_are_refused(networks, tmp_path):
    network, other = networks
    (value,) = onnx_session(network, 1).run(None, {"image": np.ones(1, np.float32)})
    assert value == -1
    assert onnxruntime.InferenceSession(other.read_bytes(), providers=["CPUExecutionProvider"])  # it is whole
    renamed = tmp_path / "model.onnx"
    renamed.write_bytes(other.read_bytes())
    for source in (other, renamed, other.read_bytes()):
        with pytest.raises(Exception, match=r"(?i)protobuf|INVALID"):
            onnx_session(source, 1)


@pytest.mark.attack
def test_no_other_place_opens_a_network():
    sources = Path(str(resources.files("tetkik"))).rglob("*.py")
    places = [file.name for file in sources if re.search(r"InferenceSession\(", file.read_text("utf-8"))]
    assert places == ["onnx_session.py"]


def test_a_gpu_is_taken_where_there_is_one():
    there, without = ("CUDAExecutionProvider", "CPUExecutionProvider"), ("CPUExecutionProvider",)
    on_gpu = [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
    on_cpu = ["CPUExecutionProvider"]
    assert providers_for(Device.AUTO, there, int8=False) == on_gpu
    assert providers_for(Device.CUDA, there, int8=False) == on_gpu
    assert providers_for(Device.CPU, there, int8=False) == on_cpu
    assert providers_for(Device.AUTO, without, int8=False) == on_cpu
    assert providers_for(Device.AUTO, there, int8=True) == on_cpu
    with pytest.raises(UsageError, match="No GPU can be used here"):
        providers_for(Device.CUDA, without, int8=False)
    with pytest.raises(UsageError, match="is in int8"):
        providers_for(Device.CUDA, there, int8=True)


def test_a_session_without_the_gpu_that_was_asked_for_is_refused(networks, monkeypatch):
    # ONNX Runtime names the provider that it was built with and goes on without it where no driver is.
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(UsageError, match="No GPU can be used here"):
            onnx_session(networks[0], 1, Device.CUDA)
        assert onnx_session(networks[0], 1, Device.AUTO).get_providers() == ["CPUExecutionProvider"]
