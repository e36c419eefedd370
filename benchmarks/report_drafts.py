"""What drafts state on films that the networks had not learned, and how long the drafts are.

    python benchmarks/report_drafts.py --log findings-mobilenet-cxr-log [--show 10]

`--log` holds the out-of-fold scores of a training (`benchmarks/findings_embedded.py`). Each fold's films are
read with the calibration, the thresholds and the operating points that the other folds teach, and drafted in
both languages as the product drafts them. Asked: of the findings stated on films that nobody selected at
least half stand in the labels of NIH, with at least 50 stated; the words of likelihood separate; the 95th
percentile of a draft's length is 90 words at most. `--show` prints drafts of films with a statement.

The selected films are all labelled Pneumonia or all Normal: what is right there says little of a hospital's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figures import interval as interval_text
from figures import judged, record
from findings_embedded import UNSELECTED
from findings_quality import Log
from tetkik.findings import operating_points as product
from tetkik.lab.findings.thresholds import Rule
from tetkik.lab.findings.training.held_out import OperatingPoints
from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.facts import Facts, certainty_of, facts_of
from tetkik.report.retrieval import passages_for
from tetkik.statistics import Bools, share_interval
from tetkik.values import (
    Certainty,
    Draft,
    FindingsResult,
    ReportInput,
    Route,
    Section,
    ThresholdOn,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A finding that a draft states of the film in `row`, with what its label says."""

    row: int
    label: str
    right: bool
    word: Certainty


def drafted(log: Log) -> dict[int, Facts]:
    """The facts of every film, by its row, each read as the other folds teach."""
    labels = tuple(label for label, values in log.probability.items() if not np.isnan(values).all())
    scores = np.stack([log.score[label] for label in labels], axis=1)
    truth = np.stack([log.truth[label] for label in labels], axis=1).astype(np.int8)
    films = log.truth["Effusion"] >= 0
    found = {}
    for fold in np.unique(log.fold):
        mine = log.fold == fold
        taught = OperatingPoints.fitted(
            scores[~mine],
            truth[~mine],
            labels,
            labels,
            Rule.F1,
            log.group[~mine],
            log.source[~mine] == UNSELECTED,
        )
        points = {
            label: product.OperatingPoint(
                label,
                threshold,
                ThresholdOn.PROBABILITY,
                taught.calibration[label],
                asserts=taught.asserts.get(label),
            )
            for label, threshold in taught.thresholds.items()
        }
        reader = product.OperatingPoints(labels, points)
        for row in np.flatnonzero(mine & films).tolist():
            findings = reader.read(scores[row].tolist(), Route.CHEST)
            answer = FindingsResult("", Route.CHEST, True, (), (), None, findings, "benchmark", "0" * 64)
            found[row] = facts_of(answer, ReportInput(technique="PA"))
    return found


def statements(log: Log, found: dict[int, Facts]) -> Iterator[Statement]:
    """What the drafts state, normal films aside, where the label is known."""
    for row, facts in found.items():
        for item in facts.abnormal:
            truth = int(log.truth[item.label][row])
            if truth >= 0:
                word = certainty_of(item.basis.probability)
                yield Statement(row, item.label, truth == 1, word)


def show(row: str, name: str, right: Bools, log: Log, rows: list[int], asked: str) -> tuple[float, float]:
    """One row of the table, recorded; gives the interval."""
    between = share_interval(right, log.group[rows])
    low, high = (between.low, between.high) if between else (0.0, 1.0)
    share = float(right.mean()) if len(right) else float("nan")
    print(
        f"| {name} | {share:.3f} ({int(right.sum())} of {len(right)}) | {low:.3f} to {high:.3f} | {asked} |"
    )
    cells = {"reached": f"{share:.3f}", "95% interval": interval_text(low, high), "n": f"{len(right):,}"}
    if row == "precision":
        cells["reached"] = judged(f"{share:.3f}", met=share >= 0.5 and len(right) >= 50)
    record(f"drafts/{row}", cells)
    return low, high


def lengths(found: dict[int, Facts], language: Language) -> list[int]:
    """Words of each draft."""
    counted = []
    for facts in found.values():
        draft = compose(facts, passages_for([item.label for item in facts.abnormal], language), language)
        counted.append(sum(len(sentence.text.split()) for sentence in draft.sentences))
    return counted


def printed(draft: Draft) -> str:
    """A draft as it is read."""
    parts = [" ".join(item.text for item in draft.section(section)) for section in Section]
    return "\n".join(part for part in parts if part)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--show", type=int, default=0)
    asked = parser.parse_args()
    log = Log.read(asked.log)
    found = drafted(log)
    said = list(statements(log, found))
    unselected = log.source == UNSELECTED
    print("| figure, out of fold | reached | 95% interval | asked |\n|---|---|---|---|")
    for side, kept, about in (
        ("", unselected, "films that nobody selected"),
        ("-selected", ~unselected, "the rest"),
    ):
        mine = [item for item in said if kept[item.row]]
        right = np.array([item.right for item in mine], np.bool_)
        rows = [item.row for item in mine]
        show(f"precision{side}", f"stated findings that are labelled, {about}", right, log, rows, "0.5")
        films = [row for row in found if kept[row]]
        none = np.array([not found[row].present for row in films], np.bool_)
        show(f"none{side}", f"films with nothing stated, {about}", none, log, films, "–")
        for word in Certainty:
            use = [item for item in mine if item.word is word]
            if use:
                right = np.array([item.right for item in use], np.bool_)
                rows = [item.row for item in use]
                show(
                    f"{word}{side}", f"of these by probability: {word}, {about}", right, log, rows, "separate"
                )
        suggested = sum(len(found[row].suggested) for row in films)
        normal = sum(found[row].normal for row in films)
        print(f"| suggested beside the drafts, {about} | {suggested} | | |")
        print(f"| called normal, {about} | {normal} of {len(films)} | | |")
    for language in Language:
        counted = lengths(found, language)
        longest = float(np.percentile(counted, 95))
        print(
            f"| words of a draft, {language}: median, 95th percentile, most | "
            f"{np.median(counted):.0f}, {longest:.0f}, {max(counted)} | | 90 |"
        )
        record(
            f"drafts/words-{language}",
            {"reached": judged(f"{longest:.0f}", met=longest <= 90), "n": f"{len(counted):,}"},
        )
    stating = [row for row, facts in found.items() if facts.abnormal and unselected[row]]
    for row in stating[: asked.show]:
        facts = found[row]
        truth = [label for label in log.truth if log.truth[label][row] == 1]
        print(f"\n## {log.files[row]}: labelled {', '.join(truth)}; suggested {', '.join(facts.suggested)}")
        for language in Language:
            passages = passages_for([item.label for item in facts.abnormal], language)
            print(printed(compose(facts, passages, language)), end="\n\n")


if __name__ == "__main__":
    main()
