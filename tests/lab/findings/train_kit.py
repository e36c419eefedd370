"""Drawn images of two invented findings, and a network small enough to learn them in seconds.

Also run as a program, which trains and kills itself in the middle.

    python train_kit.py IMAGES OUT KILL_AT_STEP
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LABELS = ("Mass", "Effusion", "Nodule")
SIZE = 32


def draw(folder: Path, count: int = 160, seed: int = 0) -> Path:
    """`count` images with a table: a bright disc on the left is a Mass, a bright foot an Effusion.

    Nodule is drawn nowhere and known to be absent only. One label in ten is unknown.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    lines = ["file,Mass,Effusion,Nodule,patient_id,source,age"]
    for number in range(count):
        mass, effusion = random.random(2) < 0.5
        image = random.normal(80, 25, (SIZE, SIZE))
        if mass:
            image += 110 * ((rows - 12) ** 2 + (columns - 9) ** 2 < 30)
        if effusion:
            image += 90 * (rows > 24)
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / f"{number:03d}.png")
        known = ["" if random.random() < 0.1 else str(int(value)) for value in (mass, effusion)]
        source = "north" if number % 3 else "south"
        lines.append(f"{number:03d}.png,{known[0]},{known[1]},0,p{number // 2},{source},{20 + number % 60}")
    table = folder / "labels.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def tiny_family(*, calm: bool = False) -> Any:
    """Three convolutions, with dropout, so that a resume must get its random numbers right.

    Args:
        calm: without dropout and batch norm, whose results depend on how a batch is shared out; in its place
            stands a layer that counts as batch norm does and changes nothing.
    """
    import torch
    from torch import nn

    from tetkik.findings.networks import Family
    from tetkik.imaging.prepare import Preprocessing
    from tetkik.networks.network import Network

    class Counting(nn.Module):
        running_mean: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("running_mean", torch.zeros(8))

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.running_mean.lerp_(values.detach().mean((0, 2, 3)), 0.1)
            return values

    def make(labels: int, dropout: float) -> Network:
        features = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, 2),
            Counting() if calm else nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, 2, 1),
            nn.ReLU(),
        )
        return Network(features, 16, labels, dropout)

    return Family(make, Preprocessing(size=SIZE), published=None, dropout=0.0 if calm else 0.1)


def quick_options(**changes: Any) -> Any:
    """Settings under which the tiny network learns its images in a few epochs."""
    from tetkik.lab.findings.training.options import Augmentation, TrainingOptions

    options = TrainingOptions(
        network="tiny",
        weights="none",
        epochs=6,
        batch_size=8,
        learning_rate=1e-2,
        min_positives=3,
        patience=6,
        threads=1,
        augmentation=Augmentation(rotation=3.0, shift=0.02),
        checkpoint_steps=4,
        reference=0,
    )
    return replace(options, **changes)


def silent(step: str, done: int, total: int | None) -> None:
    """Tell nobody."""


def killable_options(*, resume: bool = False) -> Any:
    """Two folds of two members, with everything that has a state: a moving average, dropout, augmentation."""
    return quick_options(folds=2, epochs=2, ema=0.9, members=2, resume=resume)


def calm_options() -> Any:
    """Nothing random but the order of rows, so that several processes must find what one finds."""
    from tetkik.lab.engine.precision import Precision
    from tetkik.lab.findings.training.options import NO_AUGMENTATION

    return quick_options(epochs=2, augmentation=NO_AUGMENTATION, accumulation=2, precision=Precision.FP32)


def main(folder: Path, out: Path, kill_at: int) -> None:
    """Train and be killed at step `kill_at` without a chance to tidy up."""
    from tetkik.findings.networks import FAMILIES
    from tetkik.lab.findings.data import read_labels
    from tetkik.lab.findings.train import train_findings

    FAMILIES["tiny"] = tiny_family()  # type: ignore[index]

    def tell(step: str, done: int, total: int | None) -> None:
        if step == "fold-1-member-0" and done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    train_findings(read_labels(folder / "labels.csv", folder), out, killable_options(), tell)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
