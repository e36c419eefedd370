"""How often the check marks sentences of people who knew none of its rules, by truth, language and kind.

    python benchmarks/report_check.py [--file judges.csv] [--kinds]

`strict` is the check of a language model's sentence, `person` that of somebody's own text. The development
sentences were in view while the rules were written, so their figures flatter. `judges.csv` and `planted.csv`
(sentences with an unsupported clause, look-alike letters or split words) were judged on once, and those
figures are the ones that count and are recorded. The time is that of the processor for a draft of 15
development sentences about one image, none of which was read before, in a process that has checked as many
drafts.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from figures import interval, judged, record
from report_sentences import Row, drafted, gently, rows_of, strictly
from tetkik.report.grounding import check_draft
from tetkik.statistics import wilson_interval

CAUGHT, FALSE, PLANTED = 0.95, 0.04, 0.98
FAST = 10
"""Milliseconds for a draft."""
JUDGES = ("judges.csv", "planted.csv")


def share(hits: int, total: int) -> str:
    found = wilson_interval(hits, total)
    bounds = "" if found is None else f" ({found.low:.3f} to {found.high:.3f})"
    return f"{hits / max(1, total):.3f}{bounds}"


def table(rows: Sequence[Row], marked: Sequence[bool], mode: str, group: str) -> None:
    """Print, and record, the share of marked sentences by language and truth."""
    counts: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row, mark in zip(rows, marked, strict=True):
        counts[row.language.value, row.truth].append(mark)
    print(f"| {mode} | marked (95% interval) | n |\n|---|---|---|")
    for (language, truth), marks in sorted(counts.items()):
        hits, total = sum(marks), len(marks)
        print(f"| {language} {truth} | {share(hits, total)} | {total} |")
        if group in JUDGES and not (mode == "person" and truth == "planted"):
            keep(mode, language, truth, hits, total)


def keep(mode: str, language: str, truth: str, hits: int, total: int) -> None:
    """Record one row of the figures; a person's text has no goal for what the facts cannot know."""
    caught = PLANTED if truth == "planted" else CAUGHT
    met = hits <= FALSE * total if truth == "supported" else hits >= caught * total
    plain = mode == "person" and truth != "supported"
    found = wilson_interval(hits, total)
    assert found is not None
    reached = f"{hits / total:.3f}"
    cells = {"reached": reached if plain else judged(reached, met=met)}
    cells |= {"95% interval": interval(found.low, found.high), "n": str(total)}
    record(f"report-sentences/{mode}-{language}-{truth}", cells)


def by_kind(rows: Sequence[Row], marked: Sequence[bool]) -> None:
    """Print where the check and the truth disagree, by the writers' own names of the kind."""
    wrong: Counter[tuple[str, str]] = Counter()
    every: Counter[tuple[str, str]] = Counter()
    for row, mark in zip(rows, marked, strict=True):
        key = (row.truth, row.kind)
        every[key] += 1
        wrong[key] += mark is (row.truth == "supported")
    for key, count in wrong.most_common(40):
        print(f"{count:4d} of {every[key]:4d}  {key[0]}: {key[1]}")


def timed(rows: Sequence[Row], size: int = 15) -> None:
    """Print and keep how long drafts of so many new sentences take, after as many others."""
    alike: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        alike[row.sheet, row.language].append(row)
    drafts = [
        drafted(some[at : at + size])
        for some in alike.values()
        for at in range(0, len(some) - size + 1, size)
    ]
    random.Random(0).shuffle(drafts)
    times = []
    for draft, facts in drafts:
        start = time.process_time()
        check_draft(draft, facts)
        times.append((time.process_time() - start) * 1e3)
    median = statistics.median(times[len(times) // 2 :])
    print(f"\n{median:.1f} ms a draft of {size} sentences, n = {len(times) - len(times) // 2}")
    record("report-speed/check-people", {"reached": judged(f"{median:.1f} ms", met=median <= FAST)})


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--file", default="development.csv")
    parser.add_argument("--kinds", action="store_true")
    asked = parser.parse_args()
    timed(rows_of("development.csv"))
    rows = rows_of(asked.file)
    strict = [bool(strictly(row).marks) for row in rows]
    table(rows, strict, "strict", asked.file)
    gentle = [any(sentence.marks for sentence in gently(row)) for row in rows]
    table(rows, gentle, "person", asked.file)
    if asked.kinds:
        by_kind(rows, strict)


if __name__ == "__main__":
    main()
