"""What each way to adapt a captioner costs and gives, on the same small run.

    python benchmarks/caption_adapters.py [--size opt-2.7b] [--images 96] [--epochs 3]

The same random weights, rows, order, rate and steps for all; each way in a process of its own. Seconds are
those of the epochs; the one-off pass over the images is apart, since a Q-Former that learns must keep its
features at the vision tower. Memory is the peak beyond that of the libraries. The loss is in nats a token on
validation rows that no way learned from. Weights and captions are invented, so a loss says how well a way can
follow new text, not how well a pretrained model would caption; costs are real.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from caption_common import MEGA, MIB, Job, run
from caption_material import SIZES, write_base, write_data
from figures import record

WAYS: dict[str, dict[str, object]] = {
    "LoRA": {},
    "rsLoRA": {"adapter": ("rslora",)},
    "DoRA": {"adapter": ("dora",)},
    "LoRA, int8": {"quantisation": "int8"},
    "QLoRA, nf4": {"quantisation": "nf4"},
    "LoRA, checkpoints": {"checkpointing": True},
    "LoRA and Q-Former": {"adapter": ("qformer",)},
    "LoRA and projection": {"adapter": ("projection",)},
    "all weights after the vision tower": {"learning": "full"},
}
ROWS = {
    "LoRA": "lora",
    "rsLoRA": "rslora",
    "DoRA": "dora",
    "LoRA, int8": "lora-int8",
    "QLoRA, nf4": "qlora",
    "LoRA, checkpoints": "lora-checkpointing",
    "LoRA and Q-Former": "lora-q-former",
    "LoRA and projection": "lora-projection",
    "all weights after the vision tower": "all-weights",
}
"""The rows in docs/figures.json."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="opt-2.7b")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--valid", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--part", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    print(
        f"{arguments.size} proportions, {arguments.images} training and {arguments.valid} validation rows, "
        f"{arguments.epochs} epochs, batch {arguments.batch}, {arguments.part} at once, "
        f"{arguments.threads} threads.\n"
    )
    print(
        "| way | weights that learn, million | their MB | seconds | features, s | memory, MiB "
        "| validation loss |"
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_base(SIZES[arguments.size], Path(folder) / "base")
        write_data(Path(folder), arguments.images, arguments.valid)
        common = Job(
            "tetkik",
            folder,
            batch=arguments.batch,
            part=arguments.part,
            epochs=arguments.epochs,
            threads=arguments.threads,
            judge=True,
        )
        # The folder is prepared by the first run, whose figures are not shown.
        run(replace(common, epochs=1))
        for name in arguments.ways:
            done = run(replace(common, **WAYS[name]))  # type: ignore[arg-type]
            print(
                f"| {name} | {done.learned / MEGA:.3f} | {done.adapter_bytes / MEGA:.2f} | {done.epochs:.1f} "
                f"| {done.once:.1f} | {done.beyond / MIB:.0f} | {done.loss:.3f} |",
                flush=True,
            )
            cells = {
                "million weights that learn": f"{done.learned / MEGA:.3f}",
                "seconds": f"{done.epochs:.1f}",
            }
            cells |= {"MiB": f"{done.beyond / MIB:.0f}", "validation loss": f"{done.loss:.3f}"}
            record(f"caption-adapters/{ROWS[name]}", cells)


if __name__ == "__main__":
    main()
