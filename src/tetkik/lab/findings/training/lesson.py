"""What one network is taught, how an image goes into it, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.findings.training.augment import plain
from tetkik.lab.findings.training.batches import Rows, fetched, in_steps
from tetkik.lab.findings.training.options import TrainingOptions
from tetkik.lab.findings.training.squares import Squares


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What one network is taught.

    Attributes:
        squares: of all rows.
        truth: (rows, labels), int8: 1, 0, -1 unknown or not to be taught.
        weight: (rows,), float32, how often a row comes.
        training: rows to learn from.
        validation: rows to judge each epoch on; None trains every epoch and keeps the last.
        teacher: (rows, teacher labels), float32, NaN where unknown: z-scored logits for a second head, whose
            outputs follow the labels; or (rows, labels) probabilities to distil.
    """

    squares: Squares
    truth: NDArray[np.int8]
    weight: NDArray[np.float32]
    training: Rows
    validation: Rows | None = None
    teacher: NDArray[np.float32] | None = None

    @property
    def labels(self) -> int:
        """How many labels."""
        return int(self.truth.shape[1])


def network_input(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(n, 1, size, size), 0 to 1, as the network takes it; as `tetkik.imaging.prepare.normalise` does."""
    mean = torch.tensor(preprocessing.mean, device=images.device)[:, None, None]
    std = torch.tensor(preprocessing.std, device=images.device)[:, None, None]
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def logits_of(
    network: nn.Module,
    squares: Squares,
    rows: Rows,
    preprocessing: Preprocessing,
    batch_size: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """The network's outputs, in fp32 and without augmentation.

    Returns:
        (rows, outputs), float32.
    """
    was_training = network.training
    network.eval()
    found = [
        network(network_input(plain(batch), preprocessing)).float().cpu().numpy()
        for _, batch in fetched(squares, in_steps(rows, batch_size), device)
    ]
    network.train(was_training)
    logits: NDArray[np.float32] = np.concatenate(found) if found else np.zeros((0, 0), np.float32)
    return logits


def parameter_groups(network: nn.Module, head: str, options: TrainingOptions) -> list[dict[str, Any]]:
    """Body and head with their rates; weight decay for matrices and kernels only, not biases and norms."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith(f"{head}."), parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": options.weight_decay if decays else 0.0,
            "highest": options.learning_rate * (options.head_rate if in_head else 1.0),
        }
        for (in_head, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
