"""The grounding check: foreign sentences in real reports, and faults planted in the composer's drafts.

    python benchmarks/report_grounding.py [--reports iu_reports.csv] [--drafts 50] [--seed 0]

With `--reports` (columns `findings`, `impression`, `labels`, labels separated by `|`): every report becomes
the facts that its own human labels state (a label is present, every other of the 13 may be denied), and gets
an assertion from another report, of a label that this one lacks. Asked: 95% of the foreign assertions are
caught, and at most 3% of the report's own sentences are marked.

What a foreign assertion is does not come from the labeler that is measured: it is a sentence with a plain
word for a finding and no word that denies or doubts, from a report whose human labels have that finding. A
second row takes the assertions that the labeler itself reads, which is what the check can see at best.
Own sentences are counted for the 13 labels, of which the human labels know, and once with any mark at all
(sizes that nobody measured, hernias that nobody labelled). They are marked also where labels and sentences
disagree, and where a sentence leaves a finding open that was not labelled; both are counted apart.

Without it, and always: drafts of random findings in both languages, each with one planted fault of each of
the six kinds, so that 50 drafts make 300 faults; for each kind also how often the mark is the one of that
very fault. Asked: 98% caught, at most 2% of the good sentences marked.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from figures import judged, record
from report_planted import CHEST, FAULTS, hide, plant, random_facts, result_of
from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding import check_draft, check_text
from tetkik.report.labeler import Context, Polarity, read_report
from tetkik.report.retrieval import passages_for
from tetkik.statistics import wilson_interval
from tetkik.values import (
    DraftSentence,
    ReportInput,
    Side,
    label_name,
    narrower,
)

# ---- real reports


@dataclass(frozen=True)
class Report:
    """A real report: its text and the facts of its human labels."""

    text: str
    present: frozenset[str]
    facts: Facts


GOLD = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "edema": "Edema",
    "effusion": "Effusion",
    "emphysema": "Emphysema",
    "fibrosis": "Fibrosis",
    "infiltration": "Infiltration",
    "mass": "Mass",
    "nodule": "Nodule",
    "pleural_thickening": "Pleural_Thickening",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
}


def read_reports(path: Path) -> list[Report]:
    """The reports with any text, their facts from the human labels."""
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            text = " ".join(part for part in (row["findings"], row["impression"]) if part.strip())
            names = {name.strip().lower().replace(" ", "_") for name in row["labels"].split("|")}
            present = frozenset(GOLD[name] for name in names if name in GOLD)
            if not text.strip():
                continue
            state = {label: "present" if label in present else "absent" for label in CHEST}
            if not present and names <= {"", "normal"}:
                state["Normal"] = "present"
            sides = tuple((label, side) for label in present for side in _sides(text, label))
            found.append(Report(text, present, facts_of(result_of(state), ReportInput(sides=sides[:1]))))
    return found


def _sides(text: str, label: str) -> Iterator[Side]:
    for reading in read_report(text, Language.EN):
        for mention in reading.mentions:
            if mention.label == label and mention.side is not None:
                yield mention.side


PLAIN = {
    "Atelectasis": "atelecta",
    "Cardiomegaly": "cardiomegaly|enlarged heart|heart is enlarged|cardiac enlargement",
    "Consolidation": "consolidation",
    "Edema": "edema",
    "Effusion": "effusion",
    "Emphysema": "emphysema",
    "Fibrosis": "fibrosis",
    "Infiltration": "infiltrate",
    "Mass": r"\bmass\b",
    "Nodule": "nodule",
    "Pleural_Thickening": "pleural thickening",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
}
_OPEN = re.compile(
    r"\b(no|not|without|negative|free|clear|absent|resolved|normal|if|may|might|could|possib|probabl|likely"
    r"|suspect|question|cannot|exclud|rule|evaluat|history|vs|versus|or|pericardial|recommend|concern|consider"
    r"|suggest|prior|previous|status|less|soft tissue)"
)
_PIECES = re.compile(r"(?<=[.!?])\s+")


def plain_assertions(reports: Sequence[Report]) -> list[tuple[str, str]]:
    """Sentences with a plain word for a finding that their report has by its human labels."""
    return [
        (sentence, label)
        for report in reports
        for sentence in _PIECES.split(report.text)
        if not _OPEN.search(sentence.lower())
        for label in sorted(report.present)
        if re.search(PLAIN[label], sentence.lower())
    ]


def read_assertions(reports: Sequence[Report]) -> list[tuple[str, str]]:
    """Sentences that the labeler reads as asserting a finding that their report has."""
    return [
        (reading.text, mention.label)
        for report in reports
        for reading in read_report(report.text, Language.EN)
        for mention in reading.mentions
        if mention.polarity is Polarity.PRESENT
        and mention.context is Context.CURRENT
        and not mention.implied
        and mention.label in report.present
    ]


def caught(reports: Sequence[Report], assertions: Sequence[tuple[str, str]], rng: random.Random) -> int:
    """In how many reports an assertion of a finding that they lack is marked."""
    count = 0
    for report in reports:
        text, label = rng.choice(assertions)
        while narrower(label) & report.present or report.facts.may_assert(label):
            text, label = rng.choice(assertions)
        count += any(sentence.marks for sentence in check_text(text, report.facts, Language.EN))
    return count


def foreign(reports: Sequence[Report], rng: random.Random) -> None:
    """Print the table of exchanged sentences."""
    own = any_mark = 0
    marked = {"outright": 0, "left open": 0}
    for report in reports:
        for sentence in check_text(report.text, report.facts, Language.EN):
            own += 1
            any_mark += bool(sentence.marks)
            wrong = list(_about_labels(sentence))
            if wrong:
                marked["left open" if all(wrong) else "outright"] += 1
    plain, read = plain_assertions(reports), read_assertions(reports)
    print("| real reports | asked | reached | 95% interval | n |\n|---|---|---|---|---|")
    different = len({text for text, _ in plain})
    name = f"foreign assertions caught ({different} different sentences, by plain words)"
    hits = caught(reports, plain, rng)
    _row(name, "95%", hits, len(reports), "foreign-caught", met=hits >= 0.95 * len(reports))
    _row(
        "foreign assertions caught (as the labeler reads them)", "", caught(reports, read, rng), len(reports)
    )
    every = sum(marked.values())
    title = "own sentences marked for one of the 13 labels"
    _row(title, "at most 3%", every, own, "own-marked", met=every <= 0.03 * own)
    _row("of these, said outright", "", marked["outright"], own)
    _row("of these, only left open", "", marked["left open"], own)
    _row("own sentences with any mark", "", any_mark, own, "own-any-mark")
    print()


def _about_labels(sentence: DraftSentence) -> Iterator[bool]:
    """For each mark about one of the 13 labels whether the finding was only left open."""
    names = {label_name(label, Language.EN) for label in GOLD.values()}
    mentions = {
        (mention.start, mention.end): mention.polarity
        for reading in read_report(sentence.text, Language.EN)
        for mention in reading.mentions
    }
    for mark in sentence.marks:
        if mark.fault not in _NOT_ABOUT_LABELS and mark.reason.values.get("finding") in names:
            yield mentions.get((mark.start, mark.end)) is Polarity.UNCERTAIN


_NOT_ABOUT_LABELS = {"measurement", "comparison", "foreign", "side"}
"""The findings of these reports come from labels, which hold no numbers, sides or earlier images."""


def _row(name: str, asked: str, count: int, total: int, row: str = "", *, met: bool = True) -> None:
    interval = wilson_interval(count, total)
    bounds = "" if interval is None else f"{interval.low:.1%} to {interval.high:.1%}"
    print(f"| {name} | {asked} | {count / max(1, total):.1%} | {bounds} | {total} |")
    if row:
        cells = {"reached": judged(f"{count / max(1, total):.1%}", met=met), "95% interval": bounds}
        record(f"report-check/{row}", {**cells, "n": f"{total:,}"})


# ---- planted faults


def planted(drafts: int, rng: random.Random) -> None:
    """Print the table of planted faults."""
    caught: dict[str, list[bool]] = {}
    named: dict[str, list[bool]] = {}
    good = marked = 0
    times = []
    for number in range(drafts):
        facts = random_facts(rng)
        language = list(Language)[number % 2]
        passages = passages_for([item.label for item in facts.abnormal], language)
        draft = compose(facts, passages, language)
        start = time.perf_counter()
        checked = check_draft(draft, facts)
        times.append((time.perf_counter() - start) / len(draft.sentences) * 15)
        good += len(checked.sentences)
        marked += sum(bool(sentence.marks) for sentence in checked.sentences)
        for kind, faulty in plant(draft, facts, language, rng):
            new = check_draft(faulty, facts)
            known = {(s.section, s.text, s.evidence) for s in draft.sentences}
            planted_ones = [s for s in new.sentences if (s.section, s.text, s.evidence) not in known]
            faults = {mark.fault for sentence in planted_ones for mark in sentence.marks}
            caught.setdefault(kind, []).append(bool(faults))
            named.setdefault(kind, []).append(bool(faults & FAULTS[kind]))
    hidden(drafts, rng)
    print("| planted in drafts | asked | reached | 95% interval | n |\n|---|---|---|---|---|")
    for kind, hits in caught.items():
        _row(kind, "98%", sum(hits), len(hits))
        _row(f"{kind}, and called by its name", "", sum(named[kind]), len(hits))
    every = [hit for hits in caught.values() for hit in hits]
    _row("all", "98%", sum(every), len(every), "planted-caught", met=sum(every) >= 0.98 * len(every))
    _row("good sentences marked", "at most 2%", marked, good, "good-marked", met=marked <= 0.02 * good)
    print(f"\nChecking 15 sentences: {np.median(times) * 1e3:.1f} ms (median; asked 10 ms)")


def hidden(drafts: int, rng: random.Random) -> None:
    """Print the table of unsupported clauses and of hidden letters in the composer's sentences."""
    caught: dict[str, list[bool]] = {}
    for number in range(drafts):
        facts, language = random_facts(rng), list(Language)[number % 2]
        passages = passages_for([item.label for item in facts.abnormal], language)
        draft = compose(facts, passages, language)
        own = {(s.section, s.text) for s in draft.sentences}
        for kind, faulty in hide(draft, facts, language, rng):
            marked = [s for s in check_draft(faulty, facts).sentences if (s.section, s.text) not in own]
            caught.setdefault(kind, []).append(all(sentence.marks for sentence in marked))
            if not caught[kind][-1]:
                print("not caught:", *(s.text for s in marked))
    print("| hidden in drafts | asked | reached | 95% interval | n |\n|---|---|---|---|---|")
    for kind, hits in caught.items():
        _row(kind, "98%", sum(hits), len(hits))
    every = [hit for hits in caught.values() for hit in hits]
    _row("all", "98%", sum(every), len(every), "hidden-caught", met=sum(every) >= 0.98 * len(every))
    print()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--reports", type=Path)
    parser.add_argument("--drafts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    if asked.reports is not None:
        foreign(read_reports(asked.reports), rng)
    planted(asked.drafts, rng)


if __name__ == "__main__":
    main()
