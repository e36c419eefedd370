"""Images a second of the training loop, against its own limit: the same steps on random tensors.

    python benchmarks/findings_training.py [--networks densenet121 mobilenet_v2] [--batch 32] [--images 2048]

The loop reads squares from the memory-mapped store, brings them to the device, augments, normalises, computes
the masked loss, steps and keeps its log. The limit has its batch on the device already, normalised, and does
the forward pass, the backward pass and the step alone, in the same precision and memory format. The two take
turns, and the median of each is taken. It uses a GPU where there is one. On a machine that others use too,
`--clock cpu` counts the seconds of the processor that the process itself had.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from figures import judged, record
from tetkik.findings.networks import build, preprocessing_of
from tetkik.lab.engine.precision import Precision, accelerator_for
from tetkik.lab.findings.training.data import TrainingData
from tetkik.lab.findings.training.decoded_images import CachedImages
from tetkik.lab.findings.training.distillation import last_layer
from tetkik.lab.findings.training.options import TrainingOptions
from tetkik.lab.findings.training.trainer import FindingsTrainer
from tetkik.values import FINDING_LABELS

TYPES = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
LABELS = len(FINDING_LABELS)
WARM = 2
"""Steps before the clock runs."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def squares_of(folder: Path, images: int, size: int) -> CachedImages:
    """A store of random squares on disk."""
    file = folder / f"squares-{size}.u8"
    random = np.random.default_rng(0)
    with file.open("wb") as stream:
        for _ in range(images):
            stream.write(random.integers(0, 256, (size, size), np.uint8).tobytes())
    return CachedImages(np.memmap(file, np.uint8, "r", shape=(images, size, size)), np.arange(images))


def loop_speed(
    accelerator: object, options: TrainingOptions, squares: CachedImages, clock: Callable[[], float]
) -> float:
    """Images a second after the first two steps, to the end of two epochs."""
    images = len(squares.places)
    truth = np.random.default_rng(1).integers(-1, 2, (images, LABELS)).astype(np.int8)
    data = TrainingData(squares, truth, np.ones(images, np.float32), np.arange(images))
    network = build(options.network, FINDING_LABELS)
    trainer = FindingsTrainer(
        accelerator,
        network,
        last_layer(network, LABELS),
        data,
        preprocessing_of(options.network),
        options=options,
        seed=0,
        run="speed",
        work=None,
    )
    begun: list[float] = []

    def tell(step: str, done: int, total: int | None) -> None:
        if done == WARM:
            begun.append(clock())

    trainer.run(tell)
    return (options.epochs * images - WARM * options.batch_size) / (clock() - begun[0])


def limit_speed(
    options: TrainingOptions, device: torch.device, size: int, steps: int, clock: Callable[[], float]
) -> float:
    """Images a second of forward, backward and step on one random batch."""
    network = build(options.network, FINDING_LABELS).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=device.type == "cuda")
    images = torch.randn(options.batch_size, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    truth = torch.randint(0, 2, (options.batch_size, LABELS), device=device).float()
    number = TYPES.get(options.precision)
    loss = torch.nn.BCEWithLogitsLoss()

    def step() -> None:
        with torch.autocast(device.type, number, enabled=number is not None):
            logits = network(images)
        loss(logits.float(), truth).backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(WARM):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    begun = clock()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return steps * options.batch_size / (clock() - begun)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["densenet121", "mobilenet_v2"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    clock = CLOCKS[arguments.clock]
    options = TrainingOptions(batch_size=arguments.batch, epochs=2, threads=arguments.threads)
    print("| network | device | numbers | batch | loop images/s | limit images/s | share |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        accelerator_for(options.precision, threads=options.threads) as (accelerator, precision),
    ):
        device = accelerator.device
        name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {arguments.threads} threads"
        for network in arguments.networks:
            chosen = replace(options, network=network, precision=precision)
            size = preprocessing_of(network).size
            squares = squares_of(Path(folder), arguments.images, size)
            steps = max(2, arguments.images // arguments.batch)
            loops, limits = [], []
            for _ in range(arguments.rounds):
                limits.append(limit_speed(chosen, device, size, steps, clock))
                loops.append(loop_speed(accelerator, chosen, squares, clock))
            loop, limit = statistics.median(loops), statistics.median(limits)
            print(
                f"| {network} | {name} | {precision.value} | {arguments.batch} | {loop:.1f} | {limit:.1f} "
                f"| {loop / limit:.0%} |",
                flush=True,
            )
            if device.type == "cuda" and network == "densenet121":
                share = judged(f"{loop / limit:.0%}", met=loop / limit >= 0.85)
                record("findings-speed/gpu-training", {"reached": f"{share} ({name}, {network})"})


if __name__ == "__main__":
    main()
