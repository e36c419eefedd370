"""Networks as ONNX, by exporters and quantisers that keep their remarks to themselves."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_PROTOBUF_LIMIT = 1_900_000_000


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Without the exporters' remarks on packages that are not needed and calls that they make themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class ExportFailed(Exception):
    """Torch cannot export a network; the text names torch's own exception."""


def export_onnx(
    network: torch.nn.Module,
    inputs: tuple[torch.Tensor, ...],
    file: Path,
    outputs: Sequence[str],
    shapes: Mapping[str, Mapping[int, Any]],
    *,
    opset_version: int | None = None,
    most_ir: int | None = None,
) -> None:
    """Write a network as fp32 ONNX.

    Args:
        shapes: the free axes of each input, by its name, in the order of `inputs`.
        most_ir: the newest version of the file format that may be written; None for any.

    Raises:
        ExportFailed: torch cannot export this network.
    """
    import torch

    large = sum(p.numel() * p.element_size() for p in network.parameters()) > _PROTOBUF_LIMIT
    try:
        with quiet_exporter(), torch.no_grad():
            program = torch.onnx.export(
                network,
                inputs,
                dynamo=True,
                verbose=False,
                opset_version=opset_version,
                input_names=list(shapes),
                output_names=list(outputs),
                dynamic_shapes=dict(shapes),
            )
    # Dozens of exceptions of torch, none of which tells the user more than its name.
    except Exception as error:
        raise ExportFailed(type(error).__name__) from None
    if program is None:
        raise TypeError("torch.onnx.export returned nothing")
    program.save(str(file), external_data=large)
    _strip_notes(file, most_ir)


def _strip_notes(file: Path, most_ir: int | None) -> None:
    """Take out torch's notes on where an ONNX file's nodes came from: they name folders of the machine."""
    import onnx

    model = onnx.load(file, load_external_data=False)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    # Shapes that torch noted contradict those that ONNX infers, and the quantiser stops at that.
    del graph.value_info[:]
    model.ir_version = min(model.ir_version, most_ir or model.ir_version)
    file.write_bytes(model.SerializeToString())
