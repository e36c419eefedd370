"""Speed of prediction on one core, against the baseline, in one run.

    python benchmarks/triage_speed.py --data complaints.csv [--rows 2000]

Both sides are asked about the same complaints; each figure is the median over rounds in which the two take
turns. The baseline gives a decision, Tetkik calibrated probabilities. "In full" is everything that `triage
predict` answers: urgency, abstention, evidence, clinic.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

from baseline import baseline  # noqa: E402 - after the threads
from figures import judged, record  # noqa: E402
from tetkik.lab.triage.data import read_complaints  # noqa: E402 - after the threads
from tetkik.triage.predict import load_triage  # noqa: E402
from tetkik.values import DEPARTMENTS  # noqa: E402

ROUNDS = 7
SINGLES = 600
LEAST = {"batch": 15, "single": 30}
"""How many times as fast as the baseline is asked for."""
BLOCK = 50
SHORT = 20
_LOAD = "from tetkik.bundle import resolve; from tetkik.triage.predict import load_model; import time; "
_LOAD += "s = time.perf_counter(); load_model('triage-linear-tr'); print(time.perf_counter() - s)"


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=2000)
    arguments = parser.parse_args()
    complaints = read_complaints(arguments.data, labels=DEPARTMENTS)
    pipeline = baseline().fit(complaints.texts, complaints.labels)
    triage = load_triage()
    texts = list(complaints.texts[: arguments.rows])
    batch: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        ours = seconds(lambda: triage.model.probabilities(texts))
        batch.append((ours, seconds(lambda: pipeline.decision_function(texts))))
    single: list[tuple[float, float]] = []
    for start in range(0, SINGLES, BLOCK):
        block = texts[start : start + BLOCK]
        ours = sum(seconds(partial(triage.model.probabilities, [text])) for text in block)
        theirs = sum(seconds(partial(pipeline.decision_function, [text])) for text in block)
        single.append((ours / BLOCK, theirs / BLOCK))
    turns: list[tuple[float, float]] = []
    for text in texts[:SINGLES]:
        ours = seconds(partial(triage.model.probabilities, [text]))
        turns.append((ours, seconds(partial(pipeline.decision_function, [text]))))
    full: list[float] = []
    # A service that has run for a while has met most words before: the texts after these warm it up.
    for text in complaints.texts[-len(texts) // 2 :]:
        triage.predict(text)
    for text in texts[:SINGLES]:
        full.append(seconds(partial(triage.predict, text)))
    short = [taken for text, taken in zip(texts, full, strict=False) if len(text.split()) < SHORT]
    loads = [
        float(
            subprocess.run([sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True).stdout
        )
        for _ in range(ROUNDS)
    ]
    print("| figure | tetkik | baseline | times as fast |")
    print("|---|---|---|---|")
    for row, title, pairs, count in (
        ("batch", "batch, a text", batch, len(texts)),
        ("single", f"single texts, {BLOCK} after one another", single, 1),
        ("single-alternating", "single text, each after one of the other side", turns, 1),
    ):
        a, b = (statistics.median(pair[side] for pair in pairs) / count for side in (0, 1))
        ratio = statistics.median(theirs / ours for ours, theirs in pairs)
        print(f"| {title} (median of {len(pairs)}) | {1e6 * a:.0f} µs | {1e6 * b:.0f} µs | {ratio:.1f} |")
        times = judged(f"{ratio:.0f}", met=ratio >= LEAST.get(row, 0))
        cells = {"Tetkik": f"{1e6 * a:.0f} µs", "baseline": f"{1e6 * b:.0f} µs", "times as fast": times}
        record(f"light-model-speed/{row}", cells)
    for row, title, taken in (
        ("full", "single text in full", full),
        ("full-short", f"the same under {SHORT} words", short),
    ):
        median = 1e3 * statistics.median(taken)
        print(f"| {title} (median of {len(taken)}) | {1e3 * median:.0f} µs | | |")
        record(f"light-model-speed/{row}", {"Tetkik": judged(f"{median:.2g} ms", met=median < 1)})
    load = 1e3 * statistics.median(loads)
    print(f"| loading the built-in model (median of {ROUNDS}) | {load:.0f} ms | | |")
    record("light-model-speed/load", {"Tetkik": judged(f"{load:.0f} ms", met=load < 300)})


if __name__ == "__main__":
    main()
