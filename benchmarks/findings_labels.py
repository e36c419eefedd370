"""The label tables of public data sets against what is published of them, and how true their labels are.

    python benchmarks/findings_labels.py --tables DIR [--csv LABELS.csv] [--rounds 5]

DIR holds `Data_Entry_2017*.csv[.gz]`, `BBox_List_2017.csv[.gz]`, `google2019_nih-chest-xray-labels.csv[.gz]`
and, where there is one, a CheXpert table. With `--csv`, a table of images with a column `group`, the search
for copies is measured against that column: half of the groups were looked at while its threshold was chosen,
and both halves are shown.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import statistics
import time
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figures import record
from findings_boxes import read_nih_boxes
from tetkik.lab.engine.duplicate_images import duplicate_images, thumbnails
from tetkik.lab.engine.splits import folds
from tetkik.lab.engine.tables import read_table
from tetkik.lab.findings.agreement import Rate, judge_text_labels, read_adjudicated
from tetkik.lab.findings.data import LabelledImages, read_source
from tetkik.lab.findings.source_summary import summarise
from tetkik.lab.findings.sources import Reading
from tetkik.lab.findings.sources.files import the_file
from tetkik.lab.findings.sources.nih import nih_truth
from tetkik.values import NIH_LABELS

PUBLISHED = {
    "Atelectasis": 11559,
    "Cardiomegaly": 2776,
    "Effusion": 13317,
    "Infiltration": 19894,
    "Mass": 5782,
    "Nodule": 6331,
    "Pneumonia": 1431,
    "Pneumothorax": 5302,
    "Consolidation": 4667,
    "Edema": 2303,
    "Emphysema": 2516,
    "Fibrosis": 1686,
    "Pleural_Thickening": 3385,
    "Hernia": 227,
}
"""Images with each label, as Table 1 of J Digit Imaging 36 (2023) 1332 (PMC10054207) counts the release."""
LABELS_AN_IMAGE = {0: 60361, 1: 30963, 2: 14306}
"""Images with so many labels, from the same table."""
COMBINATIONS = {
    ("Infiltration",): 9547,
    ("Atelectasis",): 4215,
    ("Effusion",): 3955,
    ("Nodule",): 2705,
    ("Pneumothorax",): 2194,
}
"""Images with exactly these labels, as descriptions of the release list them."""
NOT_SAME = "NOT THE SAME"
ROWS = {
    "Pneumothorax": "pneumothorax",
    "Nodule or Mass": "nodule-or-mass",
    "Mass or Nodule": "nodule-or-mass",
}
"""The rows in docs/figures.json."""
HALF_SEED = 7
"""The salt by which components were halved while the threshold for copies was chosen; the half 0 was seen."""


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median seconds of processor time of a call."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def counts(images: LabelledImages) -> None:
    """The NIH table against the published counts."""
    print(
        f"{len(images):,} images, {len(set(images.patient)):,} patients, left out: {dict(images.left_out)}\n"
    )
    print("| label | parsed | published | |\n|---|---|---|---|")
    found = {label: int((images.column(label) == 1).sum()) for label in NIH_LABELS}
    for label, number in PUBLISHED.items():
        row(label, found[label], number)
    present = np.stack([images.column(label) == 1 for label in NIH_LABELS], axis=1)
    many = Counter(present.sum(axis=1).tolist())
    for labels, number in LABELS_AN_IMAGE.items():
        row(f"images with {labels} of them", many[labels], number)
    for names, number in COMBINATIONS.items():
        wanted = np.array([label in names for label in NIH_LABELS])
        row(" and ".join(names) + " alone", int((present == wanted).all(axis=1).sum()), number)


def row(name: str, parsed: int, published: int) -> None:
    """One line of the table."""
    print(f"| {name} | {parsed:,} | {published:,} | {'=' if parsed == published else NOT_SAME} |")


def together(images: LabelledImages) -> None:
    """Pairs of findings that stand together most above and most below chance."""
    pairs = summarise(images).pairs(least=20)
    print("\n| findings together | observed | expected | ratio |\n|---|---|---|---|")
    for pair in (*pairs[:8], *pairs[-4:]):
        print(
            f"| {pair.first}, {pair.second} | {pair.observed:,} | {pair.expected:,.1f} | {pair.ratio:.2f} |"
        )


def noise(path: Path) -> None:
    """Labels taken from reports against the adjudicated ones."""
    table = read_adjudicated(path)
    parts = Counter(table.part)
    print(f"\n{len(table.images):,} images of {len(set(table.patients)):,} patients ({dict(parts)})\n")
    names = ("n", "patients", "prevalence", "labelled", "sensitivity", "specificity", "PPV", "Cohen's kappa")
    print(f"| label | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    for item in judge_text_labels(table):
        rates = (item.prevalence, item.labelled, item.sensitivity, item.specificity, item.ppv, item.kappa)
        print(f"| {item.label} | {item.n:,} | {item.patients:,} | {' | '.join(map(shown, rates))} |")
        row = ROWS.get(item.label)
        if row and item.kappa.value is not None:
            columns = ("sensitivity", "positive predictive value", "kappa")
            values = (shown(item.sensitivity)[:5], shown(item.ppv)[:5], f"{item.kappa.value:.2f}")
            record(f"report-labels/{row}", dict(zip(columns, values, strict=True)))


def shown(rate: Rate) -> str:
    """A figure with its interval."""
    if rate.value is None or rate.ci is None:
        return "–"
    return f"{rate.value:.3f} [{rate.ci.low:.3f}, {rate.ci.high:.3f}]"


def uncertainty(table: Path) -> None:
    """What the policies make of a CheXpert table."""
    labels = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Normal")
    print(
        f"\n| {table.name}: present / absent | rows | {' | '.join(labels)} |\n|---|---{'|---' * len(labels)}|"
    )
    for policy in ("ignore", "zeros", "ones"):
        part = read_source(f"chexpert:{table}?uncertain={policy}", Reading(check_files=False))
        columns = [part.column(label) for label in labels]
        cells = [f"{int((column == 1).sum())} / {int((column == 0).sum())}" for column in columns]
        print(f"| uncertain={policy} | {len(part):,} | {' | '.join(cells)} |")


def speed(table: Path, rounds: int) -> None:
    """Reading the NIH table, against the bare CSV parser."""

    def bare() -> list[list[str]]:
        with gzip.open(table, "rt") if table.suffix == ".gz" else table.open() as file:
            return list(csv.reader(file))

    def parsed() -> object:
        return nih_truth(read_table(table)["Finding Labels"])

    def whole() -> object:
        return read_source(f"nih:{table}", Reading(check_files=False))

    theirs = seconds(bare, rounds)
    print("\n| reading the NIH table | CPU seconds | against csv.reader |\n|---|---|---|")
    print(f"| csv.reader alone, unpacking | {theirs:.2f} | 1 |")
    for name, work in (("rows checked, labels", parsed), ("patients, components and paths too", whole)):
        ours = seconds(work, rounds)
        print(f"| {name} | {ours:.2f} | {ours / theirs:.1f} |")


def copies(table: Path, rounds: int) -> None:
    """The search for copies against the column `group`."""
    images = read_source(f"csv:{table}")
    with table.open(encoding="utf-8", newline="") as file:
        group_of = {line["file"]: int(line["group"]) for line in csv.DictReader(file)}
    group = np.array([group_of[name] for name in images.names], np.int64)
    squares, readable = thumbnails(images.files)
    found = duplicate_images(squares, readable)
    taken = seconds(lambda: duplicate_images(squares, readable), rounds)
    half = folds(group, 2, HALF_SEED)
    print(f"\n{len(images):,} images, {int((~readable).sum())} unreadable; {taken:.2f} s without decoding\n")
    print("| pairs of copies | n by `group` | n found | precision | recall |\n|---|---|---|---|---|")
    for name, rows in (("seen half", half == 0), ("unseen half", half == 1), ("all", half >= 0)):
        true, ours = pairs_of(group, rows), pairs_of(found, rows)
        both = len(true & ours)
        print(f"| {name} | {len(true):,} | {len(ours):,} | {both / len(ours):.3f} | {both / len(true):.3f} |")


def pairs_of(group: NDArray[np.int64], rows: NDArray[np.bool_]) -> set[tuple[int, int]]:
    """Every pair of chosen rows in one group."""
    members: dict[int, list[int]] = {}
    for place in np.flatnonzero(rows).tolist():
        members.setdefault(int(group[place]), []).append(place)
    return {pair for places in members.values() for pair in combinations(places, 2)}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    folder = arguments.tables
    table = the_file(folder, "Data_Entry_2017*.csv*")
    images = read_source(f"nih:{table}", Reading(check_files=False))
    counts(images)
    together(images)
    boxes = read_nih_boxes(the_file(folder, "BBox_List_2017.csv*"))
    by_label = dict(Counter(box.label for box in boxes))
    print(f"\n{len(boxes)} boxes on {len({box.image for box in boxes})} images: {by_label}")
    noise(the_file(folder, "google2019_nih*.csv*"))
    for head in sorted(folder.glob("chexpert*.csv*")):
        uncertainty(head)
    speed(table, arguments.rounds)
    if arguments.csv:
        copies(arguments.csv, arguments.rounds)


if __name__ == "__main__":
    main()
