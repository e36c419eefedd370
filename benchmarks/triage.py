"""How good the light model is, against the baseline on the same rows and folds.

    python benchmarks/triage.py --data complaints.csv

Five folds by duplicate group (`tetkik.lab.triage.data.folds`). For each fold the baseline is fitted on the
other four; so is the light model, with every setting, its calibration and its threshold chosen inside those
four. Invented complaints (data/) are learned by the light model alone and never scored. What is scored is
what `triage predict` answers. Intervals: bootstrap of duplicate groups, paired.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baseline import baseline
from figures import interval, judged, record
from tetkik.bundle import Manifest, Task
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.triage.data import folds, read_complaints, read_invented
from tetkik.lab.triage.evaluate import without_turkish_letters
from tetkik.lab.triage.linear.fit import Corpus, fit
from tetkik.lab.triage.summaries import decision_columns, decision_figures, predicted_labels
from tetkik.statistics import ClusterBootstrap, percentile_interval
from tetkik.triage.calibration import ece, multiclass_brier_skill
from tetkik.triage.linear.model import LinearModel
from tetkik.triage.predict import Triage
from tetkik.turkish import fold
from tetkik.values import DEPARTMENTS

Floats = NDArray[np.float64]
INVENTED = Path(__file__).parent.parent / "data" / "invented-complaints" / "complaints.csv"
GOALS = {"accuracy": ("accuracy", 0.785), "macro_f1": ("macro-f1", 0.71), "top3_accuracy": ("top3", 0.95)}
"""The row in docs/figures.json, and what each is to reach."""
FIGURES = (("accuracy", "accuracy"), ("macro_f1", "macro-F1"), ("top3_accuracy", "top-3 accuracy"))


def columns_of(scores: Floats, truth: NDArray[np.int64]) -> Floats:
    """What every decision figure is a function of sums of."""
    return decision_columns(scores, truth)


def at_coverage(scores: Floats, confidence: Floats, truth: NDArray[np.int64], share: float = 0.8) -> float:
    """Accuracy on the most confident `share` of the rows."""
    kept = np.argsort(-confidence, kind="stable")[: round(share * len(truth))]
    return float(np.mean(predicted_labels(scores)[kept] == truth[kept]))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    complaints = read_complaints(arguments.data, labels=DEPARTMENTS)
    texts = list(complaints.texts)
    truth = np.array([DEPARTMENTS.index(label) for label in complaints.labels])
    groups = duplicate_texts(texts)
    fold = folds(texts, groups)
    corpus = Corpus.of(texts, truth, groups, DEPARTMENTS, read_invented(INVENTED, labels=DEPARTMENTS))
    ours, theirs, ours_plain, theirs_plain = (np.zeros((len(texts), len(DEPARTMENTS))) for _ in range(4))
    plain = [without_turkish_letters(text) for text in texts]
    start = time.perf_counter()
    for number in range(5):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        fitted = fit(corpus.only(train))
        manifest = Manifest(
            id="fold",
            version="0",
            task=Task.TRIAGE,
            kind="linear",
            labels=DEPARTMENTS,
            thresholds={"abstain": fitted.abstain},
            created="",
        )
        triage = Triage(LinearModel(manifest, fitted.featuriser, fitted.weights))
        pipeline = baseline().fit([texts[i] for i in train], truth[train])
        for source, mine, other in ((texts, ours, theirs), (plain, ours_plain, theirs_plain)):
            asked = [source[i] for i in test]
            mine[test] = triage.scores(asked)
            other[test] = pipeline.decision_function(asked)
        print(f"fold {number}: {fitted.choice}, {time.perf_counter() - start:.0f} s", flush=True)
    report(truth, groups, (ours, theirs), (ours_plain, theirs_plain))


def report(
    truth: NDArray[np.int64],
    groups: NDArray[np.int64],
    scores: tuple[Floats, Floats],
    stripped: tuple[Floats, Floats],
) -> None:
    """Print the figures and the F1 of each department."""
    ours, theirs = scores
    unread = int(np.isnan(ours).any(axis=1).sum())
    columns = [columns_of(side, truth) for side in scores]
    draws = ClusterBootstrap(groups)
    mine, other = (decision_figures(side.sum(axis=0)) for side in columns)
    sampled = [decision_figures(draws.sums(side)) for side in columns]
    print(f"\nn = {len(truth)}, duplicate groups {len(np.unique(groups))}, unreadable {unread}\n")
    print("| figure | tetkik | 95% | baseline | difference | 95% |\n|---|---|---|---|---|---|")
    for name, title in FIGURES:
        a, b = float(getattr(mine, name)), float(getattr(other, name))
        own = percentile_interval(getattr(sampled[0], name))
        gap = percentile_interval(getattr(sampled[0], name) - getattr(sampled[1], name))
        assert own is not None
        assert gap is not None
        print(
            f"| {title} | {a:.4f} | {own.low:.3f} to {own.high:.3f} | {b:.4f} | {a - b:+.4f} "
            f"| {gap.low:+.3f} to {gap.high:+.3f} |"
        )
        if name in GOALS:
            row, goal = GOALS[name]
            cells = {
                "reached": judged(f"{a:.3f} ({a - b:+.3f})", met=round(a, 3) >= goal),
                "baseline": f"{b:.3f}",
            }
            record(f"triage-quality/{row}", {**cells, "95% interval": interval(own.low, own.high)})
    lost = [
        float(decision_figures(columns_of(full, truth).sum(axis=0)).macro_f1)
        - float(decision_figures(columns_of(bare, truth).sum(axis=0)).macro_f1)
        for full, bare in zip(scores, stripped, strict=True)
    ]
    record("triage-quality/ascii-loss", {"reached": f"{lost[0]:.3f}", "baseline": f"{lost[1]:.3f}"})
    print(f"| macro-F1 lost without Turkish letters | {lost[0]:.4f} | | {lost[1]:.4f} | | |")
    readable = ~np.isnan(ours).any(axis=1)
    error = ece(ours[readable], truth[readable])
    skill = multiclass_brier_skill(ours[readable], truth[readable])
    print(f"| ECE (15 equal-mass bins) | {error:.4f} | | | | |")
    print(f"| Brier skill | {skill:.3f} | | | | |")
    record("triage-quality/ece", {"reached": judged(f"{error:.3f}", met=round(error, 3) <= 0.03)})
    record("triage-quality/brier-skill", {"reached": judged(f"{skill:.3f}", met=skill > 0)})
    margin = np.sort(theirs, axis=1)
    kept = at_coverage(ours, np.nan_to_num(ours).max(axis=1), truth)
    theirs_kept = at_coverage(theirs, margin[:, -1] - margin[:, -2], truth)
    print(f"| accuracy at 80% coverage | {kept:.4f} | | {theirs_kept:.4f} | | |")
    cells = {"reached": judged(f"{kept:.3f}", met=kept >= 0.86), "baseline": f"{theirs_kept:.3f}"}
    record("triage-quality/accuracy-at-80", cells)
    print("\n| department | n | F1 tetkik | F1 baseline |\n|---|---|---|---|")
    for index in np.argsort(-np.bincount(truth)):
        n = int((truth == index).sum())
        print(f"| {DEPARTMENTS[index]} | {n} | {mine.f1[index]:.3f} | {other.f1[index]:.3f} |")
        cells = {"n": f"{n}", "Tetkik": f"{mine.f1[index]:.3f}", "baseline": f"{other.f1[index]:.3f}"}
        record(f"triage-by-department/{fold(DEPARTMENTS[index]).replace(' ', '-')}", cells)


if __name__ == "__main__":
    main()
