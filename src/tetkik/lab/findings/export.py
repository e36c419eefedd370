"""A network of findings as ONNX: scores and class activation maps from one graph, held against torch."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tetkik.errors import TrainingError
from tetkik.findings.networks.encoder import HEADS, EncoderNetwork
from tetkik.findings.networks.huggingface import PROCESSOR, HuggingFaceNetwork, processor_settings
from tetkik.findings.onnx_model import OrtSession
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.checkpoint import tensors_as_bytes
from tetkik.lab.engine.exporters import ExportFailed, export_onnx
from tetkik.networks.huggingface import quiet_transformers

LARGEST_FP32_DIFFERENCE = 1e-4
"""A score may differ by this much between torch and ONNX: rounding, not a different network."""
LARGEST_HALF_DIFFERENCE = 2e-2
"""The same where the weights are stored in half precision."""
OPSET = 18
_IR_VERSION = 10
"""What the oldest ONNX Runtime that Tetkik allows (1.18) can read."""
_HALF_LARGEST = 65504.0


class Exportable(Protocol):
    """A network that may have maps, as `tetkik.networks.network.Network`."""

    def has_maps(self, image: torch.Tensor) -> bool: ...

    def logits_and_maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]: ...


@dataclass(frozen=True, slots=True)
class Exported:
    file: Path
    difference: float
    maps: bool


class _Mean(nn.Module):
    """Scores (and maps) of the mean logit of several networks that take the same input."""

    def __init__(self, members: Sequence[nn.Module], *, maps: bool) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.maps = maps

    def forward(self, image: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        if not self.maps:
            return self._mean([member(image) for member in self.members]).sigmoid()
        both = [cast("Exportable", member).logits_and_maps(image) for member in self.members]
        logits, maps = (self._mean([pair[part] for pair in both]) for part in (0, 1))
        return logits.sigmoid(), maps

    @staticmethod
    def _mean(values: Sequence[torch.Tensor]) -> torch.Tensor:
        return values[0] if len(values) == 1 else torch.stack(list(values)).mean(dim=0)


def to_onnx(
    members: nn.Module | Sequence[nn.Module],
    file: Path,
    *,
    size: int,
    channels: int = 3,
    half: bool = False,
    maps: bool = True,
) -> Exported:
    """Write one network, or the mean logit of several, as ONNX with a free number of images.

    Input `image` (images, channels, size, size) float32. Outputs `scores` (images, labels) float32, the
    sigmoids; and `maps` (images, labels, h, w) float32 where every member has them in one size: the mean of a
    label's map plus its bias is its logit.

    Args:
        half: whether kernels and matrices are stored as fp16, in half the bytes. They are made fp32 when the
            file is loaded, so that it is as fast as the other.

    Raises:
        TrainingError: torch cannot export this network, or the export differs by more than rounding.
    """
    networks = [
        copy.deepcopy(member).cpu().float().eval()
        for member in ([members] if isinstance(members, nn.Module) else members)
    ]
    sample = torch.randn((2, channels, size, size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        graph = _Mean(networks, maps=maps and _maps_agree(networks, sample)).eval()
    _write(graph, sample, file)
    if half:
        _store_half(file)
    limit = LARGEST_HALF_DIFFERENCE if half else LARGEST_FP32_DIFFERENCE
    exported = _compare(graph, file, channels, size)
    if not exported.difference <= limit:
        raise TrainingError(
            "The exported network differs from the trained one by {difference:.1e} in a score; "
            "choose another network.",
            difference=exported.difference,
        )
    return exported


def _maps_agree(networks: Sequence[nn.Module], sample: torch.Tensor) -> bool:
    """Whether every member has maps, and all of them in one size."""
    members = [cast("Exportable", network) for network in networks]
    if not all(hasattr(member, "has_maps") and member.has_maps(sample) for member in members):
        return False
    return len({member.logits_and_maps(sample)[1].shape for member in members}) == 1


def _write(graph: _Mean, sample: torch.Tensor, file: Path) -> None:
    outputs = ["scores", "maps"] if graph.maps else ["scores"]
    shapes = {"image": {0: torch.export.Dim.DYNAMIC}}
    try:
        export_onnx(graph, (sample,), file, outputs, shapes, opset_version=OPSET, most_ir=_IR_VERSION)
    except ExportFailed as error:
        raise TrainingError(
            "This network cannot be exported to ONNX ({fault}); choose another one, such as densenet121.",
            fault=str(error),
        ) from None


def _store_half(file: Path) -> None:
    """Store kernels and matrices as fp16, each with a cast that the runtime folds away when it loads."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(file)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        # Vectors (biases, batch norm) are small, and their range is wide.
        if values.dtype != np.float32 or values.ndim < 2 or np.abs(values).max(initial=0) > _HALF_LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    file.write_bytes(model.SerializeToString())


def _compare(graph: _Mean, file: Path, channels: int, size: int) -> Exported:
    """Hold the file against torch on batches of one, two and three images of noise."""
    session = OrtSession(file)
    random = np.random.default_rng(0)
    largest = 0.0
    for count in (1, 2, 3):
        batch = random.standard_normal((count, channels, size, size)).astype(np.float32)
        with torch.inference_mode():
            answer = graph(torch.from_numpy(batch))
        expected: NDArray[np.float32] = (answer[0] if graph.maps else answer).numpy()
        found = session.run(("scores",), batch)[0]
        # A NaN anywhere makes the largest difference NaN, which no limit lets pass.
        largest = float(np.maximum(largest, np.abs(expected - found).max()))
    return Exported(file, largest, graph.maps)


def write_torch(network: nn.Module, preprocessing: Preprocessing, folder: Path) -> None:
    """The weights for torch; those of a network of transformers in its own layout, for `from_pretrained`.

    With them goes the image processor for transformers, where it has one that does the same.
    """
    processor = processor_settings(preprocessing)
    if processor is not None:
        (folder / PROCESSOR).write_text(json.dumps(processor, indent=2) + "\n", encoding="utf-8")
    model: Any = network
    if isinstance(network, EncoderNetwork):
        (folder / HEADS).write_bytes(tensors_as_bytes(network.heads.state_dict()))
        model = network.encoder.model
    elif isinstance(network, HuggingFaceNetwork):
        model = network.model
    if hasattr(model, "save_pretrained"):
        with quiet_transformers():
            model.save_pretrained(folder)
    else:
        (folder / "model.safetensors").write_bytes(tensors_as_bytes(model.state_dict()))
