"""How well rules and learned model judge the urgency of a table of complaints.

    python benchmarks/triage_urgency.py --data urgency.csv

The table has the columns text and urgency (kirmizi, sari, yesil). Rules and model are those of the settings.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figures import interval
from tetkik.csv_rows import read_columns
from tetkik.errors import DataError
from tetkik.lab.triage.urgency.train import UrgencyFigures
from tetkik.settings import settings
from tetkik.statistics import wilson_interval
from tetkik.triage.urgency import assess
from tetkik.triage.urgency.assess import LEVELS, UrgencyReader
from tetkik.values import UrgencyLevel

Ints = NDArray[np.int64]
_DRAWS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    texts, truth = read_table(parser.parse_args().data)
    print(HEAD)
    show("rules alone", truth, levels_of(texts, None))
    show("with the model", truth, levels_of(texts, UrgencyReader.load(settings().triage_urgency_model)))


HEAD = "| | n | recall of kırmızı | yeşil called kırmızı | macro-F1 |\n|---|---|---|---|---|"


def read_table(path: Path, column: str = "urgency") -> tuple[list[str], Ints]:
    """The texts of a table and their levels, (rows,), indexes of `LEVELS`."""
    rows = read_columns(path, ("text", column))
    return [text for text, _ in rows], np.array([_number(level) for _, level in rows])


def _number(level: str) -> int:
    try:
        return LEVELS.index(UrgencyLevel(level))
    except ValueError:
        raise DataError("The urgency {level} is unknown; use kirmizi, sari or yesil.", level=level) from None


def levels_of(texts: Sequence[str], reader: UrgencyReader | None) -> Ints:
    """What is said of each text, (texts,), indexes of `LEVELS`; None for the rules alone."""
    return np.array([LEVELS.index(assess(text, reader=reader).level) for text in texts])


def show(name: str, truth: Ints, said: Ints) -> None:
    """Print a row of figures with their 95% intervals."""
    found = UrgencyFigures.of(truth, said)
    red, green = said[truth == 0] == 0, said[truth == 2] == 0
    low, high = macro_interval(truth, said)
    print(
        f"| {name} | {len(truth)} | {found.red_recall:.3f} ({wilson(red)}) | {found.green_as_red:.3f} "
        f"({wilson(green)}) | {found.macro_f1:.3f} ({interval(low, high)}) |",
        flush=True,
    )


def wilson(hits: NDArray[np.bool_]) -> str:
    """The 95% interval of a share (Wilson, 1927), as a cell."""
    found = wilson_interval(int(hits.sum()), len(hits))
    return interval(found.low, found.high) if found else "none"


def macro_interval(truth: Ints, said: Ints) -> tuple[float, float]:
    """The 95% interval of macro-F1 (bootstrap of rows)."""
    draw = np.random.default_rng(0)
    samples = []
    for _ in range(_DRAWS):
        rows = draw.integers(0, len(truth), len(truth))
        samples.append(UrgencyFigures.of(truth[rows], said[rows]).macro_f1)
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
