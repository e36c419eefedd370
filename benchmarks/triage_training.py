"""Time and memory of training the light model on many rows, against the baseline.

    python benchmarks/triage_training.py --data complaints.csv [--rows 172000 300000]

The rows are drawn with replacement from the data: this measures work, not quality. Looking for duplicates is
off on both sides. Each training runs in a process of its own; memory is the process's peak resident size.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import judged, record
from tetkik.lab.triage.data import Complaints, read_complaints
from tetkik.values import DEPARTMENTS


def resampled(data: Path, rows: int) -> Complaints:
    """`rows` complaints drawn with replacement, the same each time."""
    complaints = read_complaints(data, labels=DEPARTMENTS)
    drawn = random.Random(0).choices(range(len(complaints)), k=rows)
    return complaints.only(drawn)


def train(side: str, data: Path, rows: int) -> None:
    """Train once and print seconds and peak megabytes."""
    complaints = resampled(data, rows)
    start = time.perf_counter()
    if side == "tetkik":
        from tetkik.lab.triage.linear.train import LinearOptions, train_linear

        with tempfile.TemporaryDirectory() as folder:
            options = LinearOptions(assess=False, deduplicate=False)
            train_linear(complaints, Path(folder) / "model", options, lambda step, done, total: None)
    else:
        from baseline import baseline

        baseline().fit(complaints.texts, complaints.labels)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{seconds:.1f} {peak:.0f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[172_000, 300_000])
    parser.add_argument("--side", choices=["tetkik", "baseline"])
    arguments = parser.parse_args()
    if arguments.side:
        train(arguments.side, arguments.data, arguments.rows[0])
        return
    print("| rows | tetkik s | baseline s | time | tetkik MB | baseline MB | memory |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for rows in arguments.rows:
        figures = []
        for side in ("tetkik", "baseline"):
            command = [
                sys.executable,
                __file__,
                "--data",
                str(arguments.data),
                "--rows",
                str(rows),
                "--side",
                side,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures.append([float(value) for value in done.stdout.split()])
        (ours, our_peak), (theirs, their_peak) = figures
        print(
            f"| {rows:,} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} "
            f"| {our_peak:,.0f} | {their_peak:,.0f} | {our_peak / their_peak:.2f} |",
            flush=True,
        )
        if rows in {172_000, 300_000}:
            for row, one, other, most in (
                ("time", f"{ours:,.0f} s", f"{theirs:,.0f} s", (ours / theirs, 1 / 3)),
                (
                    "memory",
                    f"{our_peak / 1e3:.1f} GB",
                    f"{their_peak / 1e3:.1f} GB",
                    (our_peak / their_peak, 0.5),
                ),
            ):
                ratio = judged(f"{most[0]:.2f}", met=most[0] <= most[1])
                cells = {"Tetkik": one, "baseline": other, "ratio": ratio}
                record(f"light-model-training/{row}-{rows // 1000}k", cells)


if __name__ == "__main__":
    main()
