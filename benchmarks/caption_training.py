"""Images a second and memory of training a captioner, against the recipe everybody writes, in one run.

    python benchmarks/caption_training.py [--sizes opt-6.7b opt-2.7b] [--images 64] [--epochs 2]

Both sides train the same random weights on the same invented JPEG files and captions, with the same effective
batch and the same number of captions at once, each in a process of its own. It runs on a GPU where there is
one, else on a CPU, and seconds are then those of the processor. Ours counts everything: decoding and resizing
once (`caption prepare`), the image features once, and the epochs. Memory is the peak while it trains beyond
that of the libraries alone (Python, torch, transformers: the same on both sides); all of it is in the last
column.

Five pairs say where a ratio comes from. "QLoRA against 8 bits" is what each side would choose on a 16 GB
card: nf4 without checkpoints against 8 bits with the checkpoints that `prepare_model_for_kbit_training` turns
on. "Half as many at once" does our steps in twice as many parts. "8 bits on both sides" differs in the
training alone. In "the same numbers" nothing is quantised or checkpointed. "The same, no cache" computes our
features in every epoch.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from caption_common import MIB, Job, Result, run
from caption_material import SIZES, write_base, write_data
from figures import judged, record


@dataclass(frozen=True)
class Pair:
    """Two jobs to compare."""

    title: str
    ours: dict[str, object]
    theirs: dict[str, object]


PAIRS = (
    Pair(
        "QLoRA against 8 bits",
        {"quantisation": "nf4"},
        {"quantisation": "int8", "checkpointing": True},
    ),
    Pair(
        "QLoRA, half as many at once",
        {"quantisation": "nf4", "part": 0},
        {"quantisation": "int8", "checkpointing": True},
    ),
    Pair(
        "QLoRA, checkpoints on both sides",
        {"quantisation": "nf4", "checkpointing": True},
        {"quantisation": "int8", "checkpointing": True},
    ),
    Pair("8 bits on both sides", {"quantisation": "int8"}, {"quantisation": "int8", "checkpointing": True}),
    Pair("the same numbers", {}, {}),
    Pair("the same, no cache", {"cache": False}, {}),
)


RECORDED = {"QLoRA against 8 bits": "qlora", "QLoRA, checkpoints on both sides": "qlora-checkpointing"}
"""The pairs that have a row in docs/figures.json."""


def speed(result: Result, epochs: int, *, with_once: bool = True) -> float:
    """Images a second over all epochs."""
    return result.images * epochs / (result.epochs + (result.once if with_once else 0.0))


def row(size: str, pair: Pair, ours: Result, theirs: Result, epochs: int) -> str:
    """One line of the table."""
    a, b = speed(ours, epochs), speed(theirs, epochs)
    alone = speed(ours, epochs, with_once=False)
    return (
        f"| {size} | {pair.title} | {a:.2f} | {alone:.2f} | {ours.once:.1f} s | {b:.2f} | **{a / b:.1f}** | "
        f"{ours.beyond / MIB:.0f} | {theirs.beyond / MIB:.0f} | **{ours.beyond / theirs.beyond:.2f}** | "
        f"{ours.memory / MIB:.0f} / {theirs.memory / MIB:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["opt-6.7b", "opt-2.7b"])
    parser.add_argument("--pairs", type=int, nargs="+", default=list(range(len(PAIRS))))
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--part", type=int, default=4, help="captions at once, on both sides")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {arguments.threads} threads"
    print(
        f"{arguments.images} images, {arguments.epochs} epochs, batch {arguments.batch}, {arguments.part} "
        f"captions at once, {where}.\n"
    )
    print(
        "| proportions | pair | ours, images/s | epochs alone | once | recipe, images/s | times as fast | "
        "ours, MiB | recipe, MiB | share | all MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_base(SIZES[size], Path(folder) / "base")
            write_data(Path(folder), arguments.images, 2)
            common = Job(
                "tetkik",
                folder,
                batch=arguments.batch,
                part=arguments.part,
                epochs=arguments.epochs,
                threads=arguments.threads,
            )
            for pair in (PAIRS[place] for place in arguments.pairs):
                wanted = dict(pair.ours)
                if "part" in wanted:
                    wanted["part"] = max(1, arguments.part // 2)
                ours = run(replace(common, **wanted))  # type: ignore[arg-type]
                theirs = run(replace(common, side="recipe", **pair.theirs))  # type: ignore[arg-type]
                print(row(size, pair, ours, theirs, arguments.epochs), flush=True)
                if size == "opt-6.7b" and pair.title in RECORDED:
                    faster = speed(ours, arguments.epochs) / speed(theirs, arguments.epochs)
                    share = ours.beyond / theirs.beyond
                    cells = judged(f"{faster:.1f}", met=faster >= 3), judged(f"{share:.2f}", met=share <= 0.5)
                    record(f"caption-training/{RECORDED[pair.title]}", {"reached": "; ".join(cells)})


if __name__ == "__main__":
    main()
