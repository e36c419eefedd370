"""How good the recipe of the built-in model of findings is, on images that its networks had not learned.

    python benchmarks/findings_quality.py --data DIR --backbone FILE --log findings-mobilenet-cxr-log

`--log` is what `benchmarks/findings_embedded.py` left beside the bundle: one out-of-fold score for each
image. On the same images and folds: a linear probe on the frozen backbone, and CheXNet's stored answers.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figures import interval as interval_text
from figures import judged, record
from findings_embedded import UNSELECTED
from tetkik.statistics import (
    ClusterBootstrap,
    Interval,
    auroc,
    auroc_interval,
    auroc_replicates,
    brier_skill,
    expected_calibration_error,
    percentile_interval,
)
from tetkik.values import BRAIN_LABELS, NIH_LABELS

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """The out-of-fold scores of a training.

    Attributes:
        files: (rows,).
        source: (rows,).
        group: (rows,), component.
        fold: (rows,).
        truth: label to (rows,): 1, 0, -1 unknown.
        score: label to (rows,).
        probability: label to (rows,), NaN where not assessed.
    """

    files: tuple[str, ...]
    source: NDArray[np.str_]
    group: NDArray[np.int64]
    fold: NDArray[np.int64]
    truth: dict[str, NDArray[np.int64]]
    score: dict[str, Floats]
    probability: dict[str, Floats]

    @classmethod
    def read(cls, folder: Path) -> Log:
        """From `scores.csv`."""
        with (folder / "scores.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        labels = [name.split(":", 1)[1] for name in rows[0] if name.startswith("truth:")]

        def floats(kind: str, label: str) -> Floats:
            return np.array([float(row[f"{kind}:{label}"] or "nan") for row in rows])

        return cls(
            tuple(row["file"] for row in rows),
            np.array([row["source"] for row in rows]),
            np.array([int(row["group"]) for row in rows]),
            np.array([int(row["fold"]) for row in rows]),
            {label: floats("truth", label).astype(np.int64) for label in labels},
            {label: floats("score", label) for label in labels},
            {label: floats("probability", label) for label in labels},
        )


def features(files: tuple[str, ...], data: Path, backbone: Path) -> tuple[Floats, Floats]:
    """What the untrained network gives for each image: its last means, and the grid means of its stages."""
    import torch

    from tetkik.findings.networks import build, preprocessing_of
    from tetkik.imaging.prepare import prepare
    from tetkik.imaging.read import read_image
    from tetkik.lab.findings.training.ridge import GridPooled, stages_of
    from tetkik.networks.network import Network

    network = build("mobilenet_v2", ("any",), weights=backbone).eval()
    pooled = GridPooled.over(stages_of(network), 1)
    assert isinstance(network, Network)
    preprocessing = preprocessing_of("mobilenet_v2")
    last, grid = [], []
    with torch.inference_mode():
        for start in range(0, len(files), 16):
            batch = np.stack(
                [prepare(read_image(data / file), preprocessing) for file in files[start : start + 16]]
            )
            images = torch.from_numpy(batch)
            last.append(network.pooled(images).numpy())
            grid.append(pooled.pooled(images).numpy())
            print(f"\rfrozen features {start}/{len(files)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return np.concatenate(last).astype(np.float64), np.concatenate(grid).astype(np.float64)


def probe(log: Log, last: Floats, rows: NDArray[np.bool_]) -> dict[str, Floats]:
    """Logistic regression on the frozen backbone's last means, out of the same folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = {label: np.full(len(log.files), np.nan) for label in NIH_LABELS}
    for label, scored in scores.items():
        truth = log.truth[label]
        for fold in np.unique(log.fold):
            learn, judge = (truth >= 0) & (log.fold != fold), rows & (log.fold == fold)
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
            scored[judge] = model.fit(last[learn], truth[learn]).decision_function(last[judge])
    return scores


def chexnet(log: Log, data: Path) -> dict[str, Floats]:
    """CheXNet's stored probabilities; NaN where there are none."""
    with (data / "chexnet_probabilities.csv").open(encoding="utf-8", newline="") as stream:
        asked = {row["file"]: row for row in csv.DictReader(stream)}
    return {
        label: np.array([float(asked[file][label]) if file in asked else np.nan for file in log.files])
        for label in NIH_LABELS
    }


def mean_area(
    log: Log, scores: dict[str, Floats], rows: NDArray[np.bool_], labels: tuple[str, ...]
) -> tuple[float, Interval | None]:
    """Mean AUROC over `labels` with its interval by bootstrap of components."""
    matrix = np.stack([scores[label][rows] for label in labels], axis=1)
    truth = np.stack([log.truth[label][rows] for label in labels], axis=1)
    areas = [auroc(matrix[:, at], truth[:, at] == 1) for at in range(len(labels))]
    draws = auroc_replicates(matrix, truth, ClusterBootstrap(log.group[rows]))
    usable = draws[~np.isnan(draws).all(axis=1)]
    return float(np.mean([area for area in areas if area is not None])), percentile_interval(
        np.nanmean(usable, axis=1)
    )


def show(row: str, name: str, value: float, interval: Interval | None, n: int, reach: str) -> None:
    """One row of the table, recorded as the figure `row`."""
    between = interval_text(interval.low, interval.high) if interval else "–"
    print(f"| {name} | {value:.3f} | {between} | {n} | {reach} |")
    met = {"ece": value <= 0.04, "brier-skill": value > 0, "auroc-unselected": value >= 0.72}
    met |= dict.fromkeys(("glioma", "meningioma", "pituitary", "no-tumor"), value >= 0.98)
    cells = {"reached": judged(f"{value:.3f}", met=met.get(row, True)), "n": f"{n:,}"}
    record(f"findings-quality/{row}", {**cells, **({"95% interval": between} if interval else {})})


def calibration(log: Log) -> None:
    """ECE and Brier skill, each fold read as the others teach."""
    assessed = [label for label, values in log.probability.items() if not np.isnan(values).all()]
    eces, skills = [], []
    for label in assessed:
        use = (log.truth[label] >= 0) & ~np.isnan(log.probability[label])
        claimed, happened = log.probability[label][use], log.truth[label][use].astype(np.float64)
        eces.append(expected_calibration_error(claimed, happened))
        skills.append(brier_skill(claimed, happened))
    n = len(log.files)
    title = f"ECE, mean over {len(assessed)} assessed labels"
    show("ece", title, float(np.mean(eces)), None, n, "0.04 at most")
    show("brier-skill", "Brier skill, mean over the same", float(np.mean(skills)), None, n, "above 0")
    behind = [label for label, skill in zip(assessed, skills, strict=True) if skill <= 0]
    print(f"\nLabels with a Brier skill of 0 or less: {', '.join(behind) or 'none'}.")


def covid(data: Path, backbone: Path) -> None:
    """COVID-19 against normal: the tested source learned too, and left out; ridge on frozen grid means."""
    with (data / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["view"] != "MRI" and {"COVID-19", "Normal"} & set(row["labels"].split(";"))
        ]
    _, grid = features(tuple(row["file"] for row in rows), data, backbone)
    truth = np.array([1.0 if "COVID-19" in row["labels"].split(";") else 0.0 for row in rows])
    source = np.array([row["source"] for row in rows])
    group = np.array([int(row["group"]) for row in rows])
    whole = np.zeros(len(rows))
    for fold in range(5):
        judge = group % 5 == fold
        whole[judge] = _ridge(grid[~judge], truth[~judge], grid[judge])
    print("\n| COVID-19 against normal | learned with the source | source left out | n (COVID-19, normal) |")
    print("|---|---|---|---|")
    area = auroc(whole, truth == 1)
    counts = f"{int(truth.sum())}, {int((1 - truth).sum())}"
    print(f"| all sources pooled | {area:.3f} | – | {counts} |")
    record("covid-19/pooled", {"learned with the source": f"{area:.3f}", "n (COVID-19, normal)": counts})
    for name in sorted(set(source.tolist())):
        judge = source == name
        if min(truth[judge].sum(), (1 - truth[judge]).sum()) < 8:
            continue
        # A copy of a tested image in another source would be a memory, not a finding.
        learn = ~judge & ~np.isin(group, group[judge])
        left_out = _ridge(grid[learn], truth[learn], grid[judge])
        known, unseen = auroc(whole[judge], truth[judge] == 1), auroc(left_out, truth[judge] == 1)
        between = auroc_interval(left_out, truth[judge] == 1, group[judge])
        within = f" ({between.low:.3f} to {between.high:.3f})" if between else ""
        counts = f"{int(truth[judge].sum())}, {int((1 - truth[judge]).sum())}"
        print(f"| {name} | {known:.3f} | {unseen:.3f}{within} | {counts} |")
        cells = {"learned with the source": f"{known:.3f}", "source left out": f"{unseen:.3f}{within}"}
        record(f"covid-19/{name.partition('/')[0].lower()}", {**cells, "n (COVID-19, normal)": counts})


def _ridge(learn: Floats, truth: Floats, judge: Floats) -> Floats:
    from tetkik.lab.findings.training.ridge import solve

    mean, deviation = learn.mean(axis=0), learn.std(axis=0) + 1e-6
    learn, judge = (learn - mean) / deviation, (judge - mean) / deviation
    solution = solve(learn @ learn.T / learn.shape[1], truth)
    said: Floats = judge @ (learn.T @ solution.dual) / learn.shape[1] + solution.intercept
    return said


def main(data: Path, backbone: Path, folder: Path) -> None:
    """Write the tables."""
    log = Log.read(folder)
    nih = log.truth["Effusion"] >= 0
    unselected = log.source == UNSELECTED
    teacher = chexnet(log, data)
    scores = {"the shipped recipe": log.score}
    places = np.flatnonzero(nih)
    last = np.full((len(log.files), 1280), np.nan)
    last[places], _ = features(tuple(log.files[row] for row in places), data, backbone)
    scores["linear probe on the frozen backbone"] = probe(log, last, nih)
    scores["CheXNet's stored answers"] = teacher
    print("| figure, out of fold | value | 95% interval | n | asked |\n|---|---|---|---|---|")
    sides = ("", "-probe", "-chexnet")
    for side, (name, values) in zip(sides, scores.items(), strict=True):
        asked, title = "0.72" if values is log.score else "–", "mean AUROC, 14 labels, unselected images"
        area, between = mean_area(log, values, unselected, NIH_LABELS)
        n = int(unselected.sum())
        show(f"auroc-unselected{side}", f"{title}: {name}", area, between, n, asked)
    for side, (name, values) in list(zip(sides, scores.items(), strict=True))[:2]:
        area, between = mean_area(log, values, nih, NIH_LABELS)
        show(
            f"auroc-all{side}",
            f"the same, all NIH images (Pneumonia and Normal selected): {name}",
            area,
            between,
            int(nih.sum()),
            "–",
        )
    for label in BRAIN_LABELS:
        use = log.truth[label] >= 0
        positive = log.truth[label][use] == 1
        area = auroc(log.score[label][use], positive) or float("nan")
        between = auroc_interval(log.score[label][use], positive, log.group[use])
        row, title = label.lower().replace("_", "-"), f"AUROC {label} (slices, no patient ids: optimistic)"
        show(row, title, area, between, int(use.sum()), "0.98")
    calibration(log)
    print("\n| label, unselected images | recipe | probe | CheXNet | positive of n |\n|---|---|---|---|---|")
    for label in NIH_LABELS:
        positive = log.truth[label][unselected] == 1
        areas = [auroc(values[label][unselected], positive) or float("nan") for values in scores.values()]
        cells = " | ".join(f"{area:.3f}" for area in areas)
        print(f"| {label} | {cells} | {int(positive.sum())} of {len(positive)} |")
        named = zip(("recipe", "probe", "CheXNet"), areas, strict=True)
        record(
            f"findings-by-label/{label.lower().replace('_', '-')}",
            {"positive of 377": f"{int(positive.sum())}", **{side: f"{area:.3f}" for side, area in named}},
        )
    covid(data, backbone)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    arguments = parser.parse_args()
    main(arguments.data, arguments.backbone, arguments.log)
