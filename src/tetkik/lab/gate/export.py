"""The gate's network as ONNX, written node by node: it is small enough, and the file holds nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tetkik.errors import TrainingError
from tetkik.imaging.gate.classifier import OUTPUTS
from tetkik.lab.gate.network import EPSILON, Block, GateNetwork

LARGEST_DIFFERENCE = 0.05
"""A logit may differ by this much from torch: weights are stored in half precision."""
_OPSET, _IR = 17, 9


def write_onnx(network: GateNetwork, size: int, file: Path) -> float:
    """Write `network` with batch norm folded into the convolutions and weights in half precision.

    Returns the largest difference of a logit from torch, on random images.

    Raises:
        TrainingError: it differs by more than rounding.
    """
    graph = _Graph()
    last = graph.standardised("image")
    for block in network.blocks:
        if not isinstance(block, Block):
            raise TypeError(f"cannot export {type(block).__name__}")
        kernel, bias = block.folded()
        last = graph.convolution(last, _array(kernel), _array(bias), block.stride)
    last = graph.add("Flatten", [last])
    names = [graph.constant(_array(value)) for value in (network.heads.weight, network.heads.bias)]
    graph.add("Gemm", [last, *names], output="logits", transB=1)
    onnx.save(graph.model(size), file)
    return _compare(network, size, file)


class _Graph:
    """Nodes and weights, named as they come."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: NDArray[np.float32]) -> str:
        """A weight, in half precision where it is a kernel or a matrix; the runtime unfolds it once."""
        name = f"w{len(self.weights)}"
        if value.ndim < 2:
            self.weights.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
            return name
        self.weights.append(numpy_helper.from_array(value.astype(np.float16), name))
        return self.add("Cast", [name], to=TensorProto.FLOAT)

    def standardised(self, image: str) -> str:
        """Mean 0 and deviation 1 for each image."""
        mean = self.add("ReduceMean", [image], axes=[2, 3], keepdims=1)
        centred = self.add("Sub", [image, mean])
        square = self.add("Mul", [centred, centred])
        spread = self.add("ReduceMean", [square], axes=[2, 3], keepdims=1)
        safe = self.add("Add", [spread, self.constant(np.array([EPSILON], np.float32))])
        return self.add("Div", [centred, self.add("Sqrt", [safe])])

    def convolution(
        self, last: str, weight: NDArray[np.float32], bias: NDArray[np.float32], stride: int
    ) -> str:
        inputs = [last, self.constant(weight), self.constant(bias)]
        return self.add("Relu", [self.add("Conv", inputs, strides=[stride] * 2, pads=[1] * 4)])

    def model(self, size: int) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, size, size])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(OUTPUTS)])
        graph = helper.make_graph(self.nodes, "gate", [image], [logits], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(model)
        return model


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().contiguous().numpy()


def _compare(network: GateNetwork, size: int, file: Path) -> float:
    import onnxruntime

    images = torch.rand((8, 1, size, size), generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = network(images).numpy()
    difference = float(np.abs(session.run(None, {"image": images.numpy()})[0] - expected).max())
    if not difference <= LARGEST_DIFFERENCE * max(1.0, float(np.abs(expected).max())):
        raise TrainingError(
            "The exported gate differs from the trained one by {difference:.1e} in a logit; train it again.",
            difference=difference,
        )
    return difference
