"""The gate's network: a small convolutional one with four heads, and its export to ONNX. Needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tetkik.errors import TrainingError
from tetkik.imaging.gate.judge import OUTPUTS
from tetkik.networks.onnx_session import onnx_session

ROUTES = 3
"""Outputs of the first head: chest radiograph, brain MRI slice, neither."""
TURNS = 4
"""Outputs of the second: upright, and by 90, 180, 270 degrees counter-clockwise, mirrored or not."""
LOGITS = ROUTES + TURNS + 2
"""All outputs, as logits in this order: routes, turns, inverted, cropped."""
_WIDTHS = (12, 24, 48, 64, 96)
_CELLS = 3
EPSILON = 1e-5
"""Added to the variance of an image, so that a blank one stays blank."""
SIDES = (80, 96)
"""Inputs that leave 3 x 3 places after five halvings."""


class Block(nn.Module):
    """A convolution of 3 x 3 with batch norm and ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, before, h, w) to (n, after, h / stride, w / stride)."""
        activated: torch.Tensor = torch.relu(self.norm(self.convolution(features)))
        return activated

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Kernel and bias of the one convolution that this is once trained."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        if mean is None or variance is None:
            raise TypeError("batch norm without running statistics")
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        return self.convolution.weight * scale[:, None, None, None], self.norm.bias - mean * scale


class GateNetwork(nn.Module):
    """(n, 1, size, size), grey of 0 to 1, to (n, 9) logits.

    Each image is first brought to mean 0 and deviation 1, so exposure and bit depth do not matter. The last
    features keep 3 x 3 places: where the lungs and the heart lie says which way is up.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks: list[Block] = []
        before = 1
        for depth, width in enumerate(_WIDTHS):
            blocks.append(Block(before, width, stride=2))
            if depth:
                blocks.append(Block(width, width, stride=1))
            before = width
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(0.2)
        self.heads = nn.Linear(before * _CELLS * _CELLS, LOGITS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of the four heads."""
        centred = image - image.mean(dim=(2, 3), keepdim=True)
        spread = centred.square().mean(dim=(2, 3), keepdim=True)
        features = centred / torch.sqrt(spread + EPSILON)
        for block in self.blocks:
            features = block(features)
        logits: torch.Tensor = self.heads(self.dropout(features.flatten(1)))
        return logits


LARGEST_DIFFERENCE = 0.05
"""A logit may differ by this much from torch: weights are stored in half precision."""
_OPSET, _IR = 17, 9


def write_onnx(network: GateNetwork, size: int, file: Path) -> float:
    """Write `network` with batch norm folded into the convolutions and weights in half precision.

    Returns the largest difference of a logit from torch, on random images; `TrainingError` beyond rounding.
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
    images = torch.rand((8, 1, size, size), generator=torch.Generator().manual_seed(0))
    session = onnx_session(file, threads=1)
    with torch.no_grad():
        expected = network(images).numpy()
    difference = float(np.abs(session.run(None, {"image": images.numpy()})[0] - expected).max())
    if not difference <= LARGEST_DIFFERENCE * max(1.0, float(np.abs(expected).max())):
        raise TrainingError(
            "The exported gate differs from the trained one by {difference:.1e} in a logit; train it again.",
            difference=difference,
        )
    return difference
