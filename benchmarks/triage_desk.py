"""Departments of the built-in model on complaints of writers that it did not learn from.

    python benchmarks/triage_desk.py --data data/invented-complaints/judges-development.csv

A department is right if it is one of those that the writer accepted. By kind (`complaint`, or `desk`:
phrases of 3 to 12 words): how often the first is right, of all and of those answered; how often none is
named; how often one of the first three is right. Intervals: Wilson, 95%.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from figures import interval, judged, record
from tetkik.csv_rows import read_columns
from tetkik.statistics import Bools, wilson_interval
from tetkik.triage.predict import load_triage


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    rows = read_columns(data, ("kind", "departments", "text"))
    triage = load_triage("triage-linear-tr")
    print("| kind | figure | value | 95% | n |\n|---|---|---|---|---|")
    for kind in sorted({kind for kind, _, _ in rows}):
        asked = [(departments.split(";"), text) for one, departments, text in rows if one == kind]
        scores = np.nan_to_num(triage.scores([text for _, text in asked]))
        accepted: Bools = np.array(
            [[label in departments for label in triage.labels] for departments, _ in asked]
        )
        right: Bools = np.take_along_axis(accepted, np.argsort(-scores, axis=1), axis=1)
        answered: Bools = np.asarray(scores.max(axis=1) >= (triage.abstain_threshold or 0))
        shown: tuple[tuple[str, Bools], ...] = (
            ("first right", right[:, 0]),
            ("first right when answering", right[answered, 0]),
            ("no department named", ~answered),
            ("among the first three", np.asarray(right[:, :3].any(axis=1))),
        )
        for title, hits in shown:
            found = wilson_interval(int(hits.sum()), len(hits))
            assert found is not None
            limits = interval(found.low, found.high)
            print(f"| {kind} | {title} | {hits.mean():.3f} | {limits} | {len(hits)} |")
            if (data.stem, kind) == ("judges-held-out", "desk"):
                keep(title, float(hits.mean()), limits, len(hits))


def keep(title: str, share: float, limits: str, n: int) -> None:
    """Record the two figures that are asked for."""
    cells = {"95% interval": limits, "n": str(n)}
    if title == "first right when answering":
        reached = judged(f"{share:.3f}", met=share >= 0.88)
        record("triage-quality/desk-first", {"reached": reached, **cells})
    elif title == "no department named":
        reached = judged(f"{share:.3f}", met=share <= 0.25)
        record("triage-quality/desk-unanswered", {"reached": reached, **cells})


if __name__ == "__main__":
    main()
