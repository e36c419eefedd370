"""Reading prepared shards against decoding the same image files, on one core, in one run.

    python benchmarks/caption_shards.py [--data captions.csv] [--rows 600] [--rounds 7] [--out TABLE.md]

"Shards" is what each epoch of a training reads: every row in order as the float32 input of the vision tower,
normalised. "In any order" is the same for shuffled rows. "Bare decoding" is Pillow's decoding of the same
files to RGB, and nothing else: no resizing, no normalising. "Decoding and preparing" is what an epoch without
shards does: decoding, resizing to the square, normalising. All take turns and stop at every batch, so that
they share the moods of the machine; each figure is the median of the rounds, and so is each ratio. The files
are in the cache of the operating system on both sides.

Without `--data` the pictures are drawn here: JPEG files of 600 x 500 pixels, as in articles.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402 - after the threads
from PIL import Image  # noqa: E402

from figures import judged, record  # noqa: E402
from tetkik.caption.image_spec import ImageSpec  # noqa: E402
from tetkik.lab.caption.prepare import PrepareOptions, prepare  # noqa: E402
from tetkik.lab.caption.prepared import (  # noqa: E402
    PreparedPart,
    Split,
    open_prepared,
)
from tetkik.lab.caption.sources import open_source  # noqa: E402

BATCH = 16
ASKED = 1.2
RECORDED = "shards, in order"
"""The way that has a row in docs/figures.json."""
_BLOCKS = 24
"""Side of the random blocks that a drawn picture is enlarged from."""


@dataclass
class Times:
    """Seconds of each round."""

    title: str
    seconds: list[float] = field(default_factory=list)


def draw(folder: Path, count: int) -> Path:
    """A table of drawn JPEG files, a tenth of them in colour."""
    rng = np.random.default_rng(0)
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "caption", "case", "split"))
        for number in range(count):
            channels = 3 if number % 10 == 0 else 1
            blocks = rng.integers(0, 256, (_BLOCKS, _BLOCKS, channels), dtype=np.uint8)
            smooth = Image.fromarray(np.repeat(blocks, 3 // channels, axis=2)).resize((600, 500))
            noise = rng.normal(0, 6, (500, 600, 1))
            picture = np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / f"{number}.jpg", quality=90)
            writer.writerow((f"{number}.jpg", f"Drawn picture {number}.", number, "train"))
    return folder / "captions.csv"


def measure(part: PreparedPart, spec: ImageSpec, files: list[Path], rounds: int) -> list[Times]:
    """The four ways, batch by batch in turns."""
    order = np.random.default_rng(1).permutation(len(part))

    def shards(rows: np.ndarray) -> object:
        return spec.normalised(part.squares(rows))

    def shuffled(rows: np.ndarray) -> object:
        return spec.normalised(part.squares(order[rows]))

    def bare(rows: np.ndarray) -> object:
        return [np.asarray(Image.open(files[row]).convert("RGB")) for row in rows]

    def whole(rows: np.ndarray) -> object:
        return spec.normalised(np.stack([spec.square(Image.open(files[row])) for row in rows]))

    ways: list[tuple[Times, Callable[[np.ndarray], object]]] = [
        (Times("shards, in order"), shards),
        (Times("shards, in any order"), shuffled),
        (Times("bare decoding"), bare),
        (Times("decoding and preparing"), whole),
    ]
    batches = np.array_split(np.arange(len(part)), max(1, len(part) // BATCH))
    for number in range(rounds + 1):
        taken = dict.fromkeys((times.title for times, _ in ways), 0.0)
        for batch in batches:
            for times, way in ways:
                start = time.perf_counter()
                way(batch)
                taken[times.title] += time.perf_counter() - start
        if number:  # the first round warms the cache
            for times, _ in ways:
                times.seconds.append(taken[times.title])
    return [times for times, _ in ways]


def markdown(measured: list[Times], count: int, megabytes: float, pixels: float) -> str:
    """The table."""
    bare = next(times for times in measured if times.title == "bare decoding")
    lines = [
        f"{count} JPEG files, median {pixels:.2f} megapixels; shards of {megabytes:.0f} MB; one core; "
        f"median of {len(bare.seconds)} rounds. Asked: reading shards at most {ASKED} times bare decoding.",
        "",
        "| way | ms an image | times bare decoding (lowest … highest) |",
        "|---|---|---|",
    ]
    for times in measured:
        ratios = [one / other for one, other in zip(times.seconds, bare.seconds, strict=True)]
        lines.append(
            f"| {times.title} | {1e3 * statistics.median(times.seconds) / count:.2f} | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} … {max(ratios):.2f}) |"
        )
        if times.title == RECORDED:
            cell = judged(f"{statistics.median(ratios):.2f}", met=statistics.median(ratios) <= ASKED)
            record("caption-training/shards", {"reached": f"{cell} ({min(ratios):.2f} to {max(ratios):.2f})"})
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a table with the columns file and caption")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        table = arguments.data or draw(folder, arguments.rows)
        options = PrepareOptions(limit=arguments.rows, workers=1)
        prepare(open_source(table), folder / "prepared", options, lambda *_: None)
        prepared = open_prepared(folder / "prepared")
        part = prepared.part(Split.TRAIN)
        files = [table.parent / name for name in part.files]
        measured = measure(part, prepared.image, files, arguments.rounds)
        megabytes = sum(path.stat().st_size for path in (folder / "prepared" / "train").iterdir()) / 1e6
        pixels = statistics.median(np.prod(Image.open(file).size) / 1e6 for file in files)
        text = markdown(measured, len(part), megabytes, float(pixels))
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
