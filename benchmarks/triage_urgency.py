"""How well the urgency rules judge a table of complaints with a known urgency.

    python benchmarks/triage_urgency.py --data urgency.csv --half even|odd|all

The table has the columns text and urgency (kirmizi, sari, yesil). A row belongs to the even half when the
SHA-256 of its text (UTF-8) is even: rules are written on that half, and judged, once, on the other.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figures import interval, judged, record
from tetkik.errors import DataError
from tetkik.lab.triage.data import read_columns
from tetkik.triage.urgency import assess
from tetkik.values import UrgencyLevel

_LEVELS = (UrgencyLevel.KIRMIZI, UrgencyLevel.SARI, UrgencyLevel.YESIL)
_DRAWS = 2000
_Z = 1.959964


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--half", choices=("even", "odd", "all"), required=True)
    asked = parser.parse_args()
    rows = [
        row for row in read_columns(asked.data, ("text", "urgency")) if asked.half in {"all", half_of(row[0])}
    ]
    truth = np.array([_number(level) for _, level in rows])
    assess("")
    seconds, said = [], []
    for text, _ in rows:
        start = time.perf_counter()
        level = assess(text).level
        seconds.append(time.perf_counter() - start)
        said.append(_LEVELS.index(level))
    report(truth, np.array(said))
    median = statistics.median(seconds) * 1e3
    print(f"median time for one text: {median:.3f} ms")
    record("urgency/time", {"reached": f"{median:.1f} ms"})


def half_of(text: str) -> str:
    return "odd" if int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2 else "even"


def _number(level: str) -> int:
    try:
        return _LEVELS.index(UrgencyLevel(level))
    except ValueError:
        raise DataError("The urgency {level} is unknown; use kirmizi, sari or yesil.", level=level) from None


def report(truth: NDArray[np.int64], said: NDArray[np.int64]) -> None:
    """Print the confusion and the figures; both arrays hold indexes of `_LEVELS`, (n,), int64."""
    print(f"n {len(truth)}")
    print("truth \\ said " + " ".join(f"{level.value:>8}" for level in _LEVELS))
    for row, level in enumerate(_LEVELS):
        counts = [int(((truth == row) & (said == column)).sum()) for column in range(3)]
        print(f"{level.value:>12} " + " ".join(f"{count:8d}" for count in counts))
    found, red = int(((truth == 0) & (said == 0)).sum()), int((truth == 0).sum())
    low, high = wilson(found, red)
    print(f"kirmizi recall {found}/{red} = {found / max(red, 1):.3f} [{low:.3f}, {high:.3f}] (Wilson, 95%)")
    cells = {"reached": judged(f"{found / max(red, 1):.3f} ({found} of {red})", met=found >= 0.95 * red)}
    record("urgency/kirmizi-recall", {**cells, "95% interval": interval(low, high), "n": f"{red}"})
    wrong, green = int(((truth == 2) & (said == 0)).sum()), int((truth == 2).sum())
    low, high = wilson(wrong, green)
    print(f"yesil called kirmizi {wrong}/{green} = {wrong / max(green, 1):.3f} [{low:.3f}, {high:.3f}]")
    cells = {"reached": judged(f"{wrong / max(green, 1):.3f} ({wrong} of {green})", met=wrong <= 0.1 * green)}
    record("urgency/yesil-as-kirmizi", {**cells, "95% interval": interval(low, high), "n": f"{green}"})
    for level, score in zip(_LEVELS, f1_scores(truth, said), strict=True):
        print(f"F1 {level.value} {score:.3f}")
    draw = np.random.default_rng(0)
    samples = []
    for _ in range(_DRAWS):
        picked = draw.integers(0, len(truth), len(truth))
        samples.append(float(np.mean(f1_scores(truth[picked], said[picked]))))
    low, high = np.quantile(samples, [0.025, 0.975])
    macro = float(np.mean(f1_scores(truth, said)))
    print(f"macro-F1 {macro:.3f} [{low:.3f}, {high:.3f}] (bootstrap, 95%)")
    cells = {"reached": judged(f"{macro:.3f}", met=macro >= 0.75), "95% interval": interval(low, high)}
    record("urgency/macro-f1", {**cells, "n": f"{len(truth)}"})


def f1_scores(truth: NDArray[np.int64], said: NDArray[np.int64]) -> list[float]:
    """The F1 of each level; 0 where neither names it."""
    scores = []
    for level in range(3):
        both = int(((truth == level) & (said == level)).sum())
        either = int((truth == level).sum() + (said == level).sum())
        scores.append(2 * both / either if either else 0.0)
    return scores


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95% interval of a proportion (Wilson, 1927)."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n)) / (1 + _Z**2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


if __name__ == "__main__":
    main()
