"""The built-in composer over random sets of findings: do two read alike, is one marked, how long it takes.

    python benchmarks/report_composer.py [--sets 600] [--seed 0]

Every set gives each label of a chest film or a brain slice a state (certain, probable, possible, deniable,
open, not assessed), some a side, some an earlier image. It is drafted with its passages in both languages and
put to the grounding check. Asked: no two different sets with the same text, no mark, under 20 ms a draft and
under 10 ms to check 15 sentences. The check of the same text as bare text, without its evidence, is timed in
the same run.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

import numpy as np

from figures import judged, record
from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding import check_draft, check_text
from tetkik.report.retrieval import passages_for
from tetkik.statistics import wilson_interval
from tetkik.values import (
    FINDING_LABELS,
    FindingsResult,
    ReportInput,
    Route,
    Side,
    route_of,
)

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.report.made import STATES, finding


def drawn(route: Route, rng: random.Random) -> FindingsResult:
    """An answer of an invented model."""
    findings = [
        finding(label, rng.choices(STATES, (1, 1, 1, 5, 7, 2))[0] if route_of(label) is route else STATES[-1])
        for label in FINDING_LABELS
    ]
    return FindingsResult("", route, True, (), (), None, tuple(findings), "benchmark", "0" * 64)


def random_facts(rng: random.Random) -> Facts:
    """Findings with sides, and for some an earlier image."""
    route = rng.choices((Route.CHEST, Route.BRAIN_MRI), (4, 1))[0]
    sides = tuple((label, rng.choice(list(Side))) for label in FINDING_LABELS if rng.random() < 0.5)
    prior = drawn(route, rng) if rng.random() < 0.3 else None
    return facts_of(drawn(route, rng), ReportInput(technique="PA", sides=sides), prior=prior)


def stated(facts: Facts) -> object:
    """What a draft is made of."""
    present = tuple((item.label, item.certainty, item.side) for item in facts.present)
    changes = tuple(facts.changes.items())
    rest = (facts.absent, facts.unproven, facts.not_assessed, changes, facts.compared)
    return (facts.route, frozenset(present), *rest)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sets", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    sets = {stated(facts): facts for facts in (random_facts(rng) for _ in range(asked.sets))}
    alike = marked = sentences = 0
    composing, checking, bare = [], [], []
    for language in Language:
        seen: set[tuple[str, ...]] = set()
        for facts in sets.values():
            passages = passages_for([item.label for item in facts.abnormal], language)
            begun = time.perf_counter()
            draft = compose(facts, passages, language)
            composed = time.perf_counter()
            checked = check_draft(draft, facts)
            done = time.perf_counter()
            text = "\n".join(sentence.text for sentence in draft.sentences)
            check_text(text, facts, language)
            composing.append(composed - begun)
            share = 15 / len(draft.sentences)
            checking.append((done - composed) * share)
            bare.append((time.perf_counter() - done) * share)
            said = tuple(sentence.text for sentence in draft.sentences)
            alike += said in seen
            seen.add(said)
            sentences += len(checked.sentences)
            marked += sum(bool(sentence.marks) for sentence in checked.sentences)
    drafts = len(sets) * len(Language)
    interval = wilson_interval(marked, sentences)
    bounds = "" if interval is None else f", 95% interval {interval.low:.2%} to {interval.high:.2%}"
    print("| composer | asked | reached |\n|---|---|---|")
    print(f"| different sets of findings with the same text | none | {alike} of {drafts} drafts |")
    print(f"| sentences marked by the grounding check | none | {marked} of {sentences}{bounds} |")
    for name, limit, times in (
        ("drafting", "20 ms", composing),
        ("checking 15 sentences", "10 ms", checking),
        ("checking the same as bare text", "", bare),
    ):
        median, worst = float(np.median(times)) * 1e3, float(np.percentile(times, 95)) * 1e3
        print(f"| {name}: median, 95th percentile | {limit} | {median:.2f} ms, {worst:.2f} ms |")
        if limit:
            row = "composer" if name == "drafting" else "check"
            cell = judged(f"{median:.1f} ms", met=median <= float(limit.split()[0]))
            record(f"report-speed/{row}", {"reached": cell})
    cells = {"reached": judged(f"{alike}", met=not alike), "n": f"{drafts:,} drafts of {len(sets):,} sets"}
    record("report-check/same-text", cells)
    print(f"\nn = {len(sets)} sets in {len(Language)} languages; one thread")


if __name__ == "__main__":
    main()
