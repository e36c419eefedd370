"""How a captioner does on validation: its loss on the captions there, and captions that it makes itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tetkik.caption.network import CaptionNetwork, DecodingOptions
from tetkik.lab.caption.training.batches import Rows, by_length, fetched
from tetkik.lab.caption.training.lesson import Taught
from tetkik.lab.engine.precision import Precision

TYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}


def computing(device: torch.device, precision: Precision) -> torch.autocast:
    """The numbers of a forward pass."""
    return torch.autocast(device.type, TYPES[precision], enabled=precision is not Precision.FP32)


@contextmanager
def judging(module: torch.nn.Module) -> Iterator[None]:
    """Without dropout and gradients; then each part is as before."""
    learning = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in learning:
            part.training = True


def loss_per_token(
    accelerator: Any, network: CaptionNetwork, part: Taught, size: int, precision: Precision
) -> float:
    """Cross-entropy in nats per token, over all rows and all processes, without smoothing.

    Args:
        accelerator: an `accelerate.Accelerator`.
        network: trained.
        part: the rows.
        size: captions at once.
        precision: to compute in.
    """
    module, device = network.trainable(), accelerator.device
    total = torch.zeros(2, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    mine = by_length(part.lengths, size)[accelerator.process_index :: accelerator.num_processes]
    with judging(module):
        for rows, stored in fetched(part.features.fetch, mine):
            features = part.features.at_cut(network, stored, device)
            batch = network.batch([part.tokens[row] for row in rows.tolist()])
            with computing(device, precision):
                loss = module(
                    features, batch.ids.to(device), batch.mask.to(device), batch.targets.to(device), 0.0
                )
            total += torch.stack((loss.to(total.dtype), (batch.targets != -100).sum().to(total)))
    if accelerator.num_processes > 1:
        total = accelerator.reduce(total, "sum")
    return float(total[0]) / max(1.0, float(total[1]))


def made_captions(
    accelerator: Any,
    network: CaptionNetwork,
    part: Taught,
    rows: Rows,
    *,
    size: int,
    most: int,
    precision: Precision,
) -> list[str]:
    """A caption for each of `rows`, greedily, the same in every process.

    Args:
        accelerator: an `accelerate.Accelerator`.
        network: trained.
        part: the rows of which these are some.
        rows: to caption.
        size: images at once.
        most: tokens of a caption.
        precision: to compute in.
    """
    from accelerate.utils import gather_object

    options = DecodingOptions(beams=1, max_tokens=most)
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    mine = batches[accelerator.process_index :: accelerator.num_processes]
    found: list[tuple[int, str]] = []
    with judging(network.trainable()):
        for which, stored in fetched(part.features.fetch, mine):
            features = part.features.at_cut(network, stored, accelerator.device)
            with computing(accelerator.device, precision):
                made = network.generate(features, options)
            found += [(row, item.text) for row, item in zip(which.tolist(), made, strict=True)]
    if accelerator.num_processes > 1:
        found = gather_object(found)
    by_row = dict(found)
    return [by_row[row] for row in rows.tolist()]


def quick_figures(made: list[str], part: Taught, rows: Rows) -> dict[str, float]:
    """`cider` and `rouge_l` of made captions against those of the rows."""
    from tetkik.lab.caption.metrics import quick_scores

    return {
        name: float(np.float64(value))
        for name, value in quick_scores(made, [[part.captions[row]] for row in rows.tolist()]).items()
    }
