"""A trained encoder as ONNX, fp32 and int8, each held against torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.errors import TrainingError
from tetkik.lab.engine.exporters import ExportFailed, export_onnx, quiet_exporter
from tetkik.triage.calibration import softmax
from tetkik.triage.transformer import Ints, OnnxNetwork, TextReader, padded

LARGEST_FP32_DIFFERENCE = 1e-4
"""A probability may differ by this much between torch and fp32 ONNX: rounding, not a different network."""
LARGEST_INT8_DIFFERENCE = 0.05
"""Above this, int8 is said to differ."""
_LONGEST = 1024
"""Tokens of the longest batch that is tried: beyond every window of local attention, and attention over 8,192
tokens takes gigabytes."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported networks are from torch."""

    fp32: float  # largest difference of a probability, torch against fp32 ONNX
    int8: float  # the same against int8 ONNX
    int8_same_label: float  # share of texts with the same first label in int8
    texts: int


class _Logits(torch.nn.Module):
    """A classifier with two inputs and one output."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def export_fp32(model: Any, file: Path) -> None:
    """Write a copy of the classifier `model`, of transformers, as ONNX with free batch and length.

    Attention is written out (`eager`), which ONNX Runtime fuses better than the pieces of torch's own.
    """
    network = copy.deepcopy(model).cpu().float().eval()
    if hasattr(network, "set_attn_implementation"):
        network.set_attn_implementation("eager")
    ids = torch.randint(1, network.config.vocab_size, (2, 16), generator=torch.Generator().manual_seed(0))
    shape = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    shapes = {"input_ids": shape, "attention_mask": shape}
    try:
        export_onnx(_Logits(network), (ids, torch.ones_like(ids)), file, ["logits"], shapes)
    except ExportFailed as error:
        raise TrainingError(
            "This encoder cannot be exported to ONNX ({fault}); give another one, such as a BERT, RoBERTa "
            "or ELECTRA.",
            fault=str(error),
        ) from None


def quantise(source: Path, target: Path) -> None:
    """Write `source`, fp32 ONNX, with int8 weights and dynamic int8 activations.

    Weights are signed with a scale for each channel. They get 7 of the 8 bits: processors without VNNI add
    pairs of products in 16 bits, which 8-bit weights would overflow, so that the same bundle would answer
    differently there (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). The
    head stays fp32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_exporter():
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Gather"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            extra_options={"MatMulConstBOnly": True},
        )


def check_parity(
    model: Any, reader: TextReader, *, fp32: Path, int8: Path, texts: Sequence[str], max_length: int
) -> Parity:
    """Hold both exports against torch: on `texts` one by one, and on batches of several shapes."""
    network = copy.deepcopy(model).cpu().float().eval()
    onnx_fp32, onnx_int8 = (OnnxNetwork(file.parent, file, reader) for file in (fp32, int8))
    rows = reader.read(texts)
    reference = np.concatenate([_torch(network, [row], reader.pad_id) for row in rows])
    exact = _difference(reference, np.concatenate([onnx_fp32.logits_together([row]) for row in rows]))
    for batch in _shapes(network.config.vocab_size, max_length):
        exact = max(
            exact, _difference(_torch(network, batch, reader.pad_id), onnx_fp32.logits_together(batch))
        )
    if exact > LARGEST_FP32_DIFFERENCE:
        raise TrainingError(
            "The exported network differs from the one in torch by {difference:.1e} in a probability; give "
            "another model.",
            difference=exact,
        )
    quantised = np.concatenate([onnx_int8.logits_together([row]) for row in rows])
    same = float((quantised.argmax(axis=1) == reference.argmax(axis=1)).mean())
    return Parity(exact, _difference(reference, quantised), same, len(rows))


def _shapes(vocabulary: int, max_length: int) -> Iterator[list[Ints]]:
    """Batches of made-up tokens: single and several, short and long, even and uneven."""
    random = np.random.default_rng(0)
    long = min(max_length, _LONGEST)
    for lengths in ((1,), (long,), (3, long), (5, 5, 9, 2)):
        yield [random.integers(1, vocabulary, min(length, max_length)) for length in lengths]


@torch.no_grad()
def _torch(network: Any, rows: Sequence[Ints], pad_id: int) -> NDArray[np.float32]:
    ids, mask = (torch.from_numpy(part) for part in padded(rows, pad_id))
    logits: NDArray[np.float32] = network(input_ids=ids, attention_mask=mask).logits.numpy()
    return logits


def _difference(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float(np.abs(softmax(left) - softmax(right)).max())
