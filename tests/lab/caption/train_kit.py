"""Drawn pictures with captions that can be told from them, and settings under which a tiny model learns.

Also run as a program, which trains and kills itself in the middle.

    python train_kit.py PREPARED BASE OUT KILL_AT_CAPTION
"""

from __future__ import annotations

import csv
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ORGANS = ("chest", "kidney", "thyroid", "jaw")
SIDES = ("left", "right")
SIZE = 28


def draw(folder: Path, train: int = 48, valid: int = 16, test: int = 8, seed: int = 0) -> Path:
    """Pictures whose brightness tells the organ and whose bright side the side; returns their table."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    splits = ["train"] * train + ["valid"] * valid + ["test"] * test
    for number, split in enumerate(splits):
        organ, side = number % len(ORGANS), int(random.random() < 0.5)
        picture = random.normal(30 + 45 * organ, 8, (SIZE, SIZE))
        half = slice(0, SIZE // 2) if side == 0 else slice(SIZE // 2, SIZE)
        picture[:, half] += 60
        name = f"{number:03d}.png"
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / name)
        words = f"The image of the {ORGANS[organ]} shows a nodule on its {SIDES[side]} side."
        if number % 5 == 0:
            words = f"{ORGANS[organ]}, {SIDES[side]}"
        rows.append([f"row-{number:03d}", name, words, split, f"case-{number // 2}", "CC BY"])
    table = folder / "captions.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "file", "caption", "split", "case", "licence"])
        writer.writerows(rows)
    return table


def silent(step: str, done: int, total: int | None) -> None:
    """Tell nobody."""


def make_prepared(table: Path, base: Path | None, folder: Path) -> Path:
    """The prepared folder of a drawn table."""
    from tetkik.lab.caption.prepare import PrepareOptions, prepare
    from tetkik.lab.caption.sources import open_source

    # Drawn pictures are alike, those of different splits too.
    options = PrepareOptions(base=None if base is None else str(base), workers=1, keep_duplicates=True)
    prepare(open_source(table), folder, options, silent)
    return folder


def quick_options(base: Path, **changes: Any) -> Any:
    """Settings under which a tiny model learns its pictures in a few epochs on one core."""
    from tetkik.caption.options import AdapterOptions
    from tetkik.lab.caption.training.options import CaptionTraining
    from tetkik.lab.engine.precision import Precision

    options = CaptionTraining(
        base=str(base),
        epochs=2,
        batch_size=8,
        learning_rate=1e-2,
        adapter=AdapterOptions(rank=4, alpha=8, dropout=0.1),
        judged=4,
        max_tokens=40,
        threads=1,
        checkpoint_steps=2,
        precision=Precision.FP32,
    )
    return replace(options, **changes)


def killable_options(base: Path, **changes: Any) -> Any:
    """Everything that has a state: dropout, a schedule, moments, captions that are judged."""
    return quick_options(base, **{"epochs": 3, "stop_by": "rouge_l", **changes})


def calm_options(base: Path) -> Any:
    """Nothing random but the order of rows, so that several processes must find what one finds."""
    from tetkik.caption.options import AdapterOptions

    # 11 rows for 2 processes in 3 parts: shares of unlike size, and at the end of an epoch a small step.
    adapter = AdapterOptions(rank=4, alpha=8, dropout=0.0)
    return quick_options(base, adapter=adapter, batch_size=11, accumulation=3, stop_by="cider")


def main(prepared: Path, base: Path, out: Path, kill_at: int) -> None:
    """Train and be killed at so many captions without a chance to tidy up."""
    from tetkik.lab.caption.prepared import open_prepared
    from tetkik.lab.caption.train import train_caption

    def tell(step: str, done: int, total: int | None) -> None:
        if step == "training" and done >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    train_caption(open_prepared(prepared), out, killable_options(base), tell)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
