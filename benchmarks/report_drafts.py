"""What drafts state on films that the networks had not learned, and how long the drafts are.

    python benchmarks/report_drafts.py --log findings-nih-log [--show 10]

`--log` holds the out-of-fold scores of a training (`benchmarks/findings_embedded.py --nih-only`). Each fold's
films are read with the calibration, the thresholds and the operating points that the other folds teach, and
drafted in both languages as the product drafts them. Asked: of the findings stated at least half stand in the
labels of NIH, with at least 50 stated; the words of likelihood separate; the 95th percentile of a draft's
length is 90 words at most. `--show` prints drafts of films with a statement.

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
from tetkik.lab.findings.thresholds import ThresholdRule
from tetkik.lab.findings.training.held_out import OperatingPoints
from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.facts import Facts, certainty_of, facts_of
from tetkik.report.retrieval import passages_for
from tetkik.statistics import share_interval
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
            ThresholdRule.F1,
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


def show(row: str, name: str, said: list[Statement], log: Log, asked: str) -> None:
    """One row of the table, recorded as the figure `row` where it has such a name."""
    right = np.array([item.right for item in said], np.bool_)
    between = share_interval(right, log.group[[item.row for item in said]])
    share, text = (
        (float(right.mean()), interval_text(between.low, between.high)) if between else (float("nan"), "–")
    )
    print(f"| {name} | {share:.3f} ({int(right.sum())} of {len(right)}) | {text} | {asked} |")
    if row:
        met = not row.startswith("precision") or (share >= 0.5 and (row != "precision" or len(right) >= 50))
        cells = {"reached": judged(f"{share:.3f}", met=met), "95% interval": text, "n": f"{len(right):,}"}
        record(f"drafts/{row}", cells)


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
    everything = np.ones(len(unselected), np.bool_)
    for side, kept, about in (
        ("", everything, "all NIH films"),
        ("-unselected", unselected, "unselected films"),
    ):
        mine = [item for item in said if kept[item.row]]
        show(f"precision{side}", f"findings stated that are labelled, {about}", mine, log, "0.5")
        films = [row for row in found if kept[row]]
        stating = np.array([bool(found[row].present) for row in films])
        none = share_interval(~stating, log.group[films])
        assert none is not None
        print(
            f"| films with nothing stated, {about} | {(~stating).mean():.3f} of {len(films)} | "
            f"{interval_text(none.low, none.high)} | stated |"
        )
        cells = {"reached": f"{(~stating).mean():.3f}", "95% interval": interval_text(none.low, none.high)}
        record(f"drafts/none{side}", {**cells, "n": f"{len(films):,}"})
        suggested = sum(len(found[row].suggested) for row in films)
        print(f"| suggested beside the drafts, {about} | {suggested} | | |")
        print(f"| called normal, {about} | {sum(found[row].normal for row in films)} of {len(films)} | | |")
        for label in sorted({item.label for item in mine}):
            show("", f"{label}, {about}", [item for item in mine if item.label == label], log, "0.5")
    for word in Certainty:
        if use := [item for item in said if item.word is word]:
            show(word, f"stated with a probability of the word {word}", use, log, "separate")
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
    shown = [row for row, facts in found.items() if facts.abnormal]
    for row in shown[: asked.show]:
        facts = found[row]
        truth = [label for label in log.truth if log.truth[label][row] == 1]
        print(f"\n## {log.files[row]}: labelled {', '.join(truth)}; suggested {', '.join(facts.suggested)}")
        for language in Language:
            passages = passages_for([item.label for item in facts.abnormal], language)
            print(printed(compose(facts, passages, language)), end="\n\n")


if __name__ == "__main__":
    main()
