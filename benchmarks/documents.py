"""How long a report's documents take to write: median of repeated calls, and the first call with its imports.

    python benchmarks/documents.py [--repeat 20]

The report is that of the tests, with a radiograph and a heatmap of 1024 by 1024 pixels drawn here: six
sentences, three findings, a signature. Asked for: the PDF under 200 ms. First calls are measured in a new
interpreter each.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.documents.sample import document
from tetkik.values import ReportDocument, ReportState

WRITERS = ("pdf", "fhir", "sr", "hl7", "text", "capture")
OTHERS = ("fhir", "sr", "hl7", "capture")
"""Recorded together, in this order."""
SIDE = 1024


def report() -> ReportDocument:
    """The sample with a noisy round shadow as its radiograph, and colours over it as its heatmap."""
    from PIL import Image

    down, across = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    shadow = 200 * np.exp(-2 * (down**2 + across**2)) + np.random.default_rng(1).normal(20, 6, (SIDE, SIDE))
    grey = np.clip(shadow, 0, 255).astype(np.uint8)
    heat = np.stack([grey, grey // 2, 255 - grey], axis=-1)
    pictures = []
    for pixels in (grey, heat):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    return document(ReportState.FINAL, image=pictures[0], heatmap=pictures[1])


def writer(name: str) -> Callable[[ReportDocument], bytes]:
    """The function of one format, imported as late as the program does."""
    from importlib import import_module

    function: Callable[[ReportDocument], bytes] = getattr(
        import_module(f"tetkik.documents.{name}"), f"to_{name}"
    )
    return function


def milliseconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def first_call(name: str) -> float:
    """The first call of a new interpreter, which imports what the format needs."""
    result = subprocess.run(
        [sys.executable, __file__, "--first", name], capture_output=True, text=True, check=True
    )
    return float(result.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--first", choices=WRITERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    made = report()
    if options.first:
        print(milliseconds(lambda: writer(options.first)(made)))
        return
    print("| document | median ms | slowest ms | first call ms | kB |\n| --- | --- | --- | --- | --- |")
    medians: dict[str, float] = {}
    for name in WRITERS:
        write = writer(name)
        size = len(write(made)) / 1000
        times = [milliseconds(partial(write, made)) for _ in range(options.repeat)]
        first = statistics.median(first_call(name) for _ in range(3))
        print(f"| {name} | {statistics.median(times):.1f} | {max(times):.1f} | {first:.0f} | {size:.0f} |")
        medians[name] = statistics.median(times)
        if name == "pdf":
            cell = judged(f"{medians[name]:.0f} ms", met=medians[name] <= 200)
            record("report-speed/pdf", {"reached": f"{cell} ({first:.0f} ms)"})
    others = "; ".join(f"{medians[name]:.2g}" for name in OTHERS)
    record("report-speed/other-documents", {"reached": f"{others} ms"})
    print(f"\nn = {options.repeat} calls each; first calls: median of 3 interpreters.")


if __name__ == "__main__":
    main()
