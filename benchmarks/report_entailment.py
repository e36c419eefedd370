"""How the linear model over the rules of the check is made, and how well it judges writers that it never saw.

    python benchmarks/report_entailment.py [--out FILE]

It learns from `data/report-sentences/development.csv` and, as sentences that the facts carry, from drafts of
the composer for random findings. Each writer is judged by a model that learned from the others; the rules had
all of them in view, so the figures of `report_check.py` on its `judges.csv` are the ones that count.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from report_planted import random_facts
from report_sentences import Row, rows_of, strictly
from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.facts import Facts
from tetkik.report.grounding import check, check_draft
from tetkik.report.grounding.claims import Claims
from tetkik.statistics import wilson_interval
from tetkik.values import Fault

STRENGTH, KEPT = 0.3, 4000
"""The inverse of the L2 penalty, and how many of the largest weights stay."""
COMPOSED = 150


@dataclass(frozen=True)
class Example:
    """What the model sees of one sentence, what the rules make of it, and its truth."""

    names: frozenset[str]
    ruled: bool
    certain: bool
    unborne: bool
    row: Row | None


def seen(rows: Sequence[Row]) -> list[Example]:
    """The features of each sentence, as the check makes them."""
    examples = []
    for row in rows:
        with recorded() as calls:
            ruled = bool(strictly(row).marks)
        with patch.object(check, "probability_unborne", return_value=0.0):
            certain = bool(strictly(row).marks)
        for names in calls:
            examples.append(Example(names, ruled, certain, row.truth != "supported", row))
    return examples


def composed() -> Iterator[Example]:
    """Sentences of the composer, each wording once; none of them may be marked."""
    rng, known = random.Random(5), set[frozenset[str]]()
    for _ in range(COMPOSED):
        facts = random_facts(rng)
        for language in Language:
            with recorded() as calls:
                check_draft(compose(facts, (), language), facts)
            for names in calls:
                if names not in known:
                    known.add(names)
                    yield Example(names, False, False, unborne=False, row=None)


@contextmanager
def recorded() -> Iterator[list[frozenset[str]]]:
    """Within it the rules alone decide, and what the model would have seen is kept."""
    seen: list[frozenset[str]] = []

    def rules_decide(claims: Claims, faults: Collection[Fault], facts: Facts, language: Language) -> float:
        seen.append(check.features(claims, faults, facts, language))
        return float(bool(faults))

    with patch.object(check, "probability_unborne", rules_decide):
        yield seen


def learned(examples: Sequence[Example]) -> tuple[float, dict[str, float]]:
    """Bias and weights; of names that two sentences share, the largest."""
    counts = Counter(name for example in examples for name in example.names)
    table = [{name: 1.0 for name in sorted(example.names) if counts[name] > 1} for example in examples]
    vectors = DictVectorizer()
    model = LogisticRegression(C=STRENGTH, max_iter=3000)
    model.fit(vectors.fit_transform(table), [example.unborne for example in examples])
    largest = np.argsort(-abs(model.coef_[0]), kind="stable")[:KEPT]
    names = vectors.feature_names_
    weights = {names[place]: round(float(model.coef_[0][place]), 3) for place in largest}
    return round(float(model.intercept_[0]), 3), dict(sorted(weights.items()))


def decided(example: Example, bias: float, weights: dict[str, float]) -> bool:
    """Whether the check marks it."""
    score = bias + sum(weights.get(name, 0) for name in example.names)
    least = check.CLEARS if example.ruled else check.ADDS
    return example.certain or 1 / (1 + math.exp(-score)) >= least


def show(title: str, examples: Sequence[Example], marked: Sequence[bool]) -> None:
    """Print the share of marked sentences by language and truth."""
    counts: dict[tuple[str, str], list[bool]] = {}
    for example, mark in zip(examples, marked, strict=True):
        assert example.row
        counts.setdefault((example.row.language.value, example.row.truth), []).append(mark)
    print(f"| {title} | marked (95% interval) | n |\n|---|---|---|")
    for (language, truth), marks in sorted(counts.items()):
        bounds = wilson_interval(sum(marks), len(marks))
        assert bounds
        share = f"{np.mean(marks):.3f} ({bounds.low:.3f} to {bounds.high:.3f})"
        print(f"| {language} {truth} | {share} | {len(marks)} |")


def main() -> None:
    """Print the figures and write the model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    examples, own = seen(rows_of("development.csv")), [*composed()]
    show("rules", examples, [example.ruled for example in examples])
    marked: dict[int, bool] = {}
    for writer in sorted({example.row.writer for example in examples if example.row}):
        others = [example for example in examples if example.row and example.row.writer != writer]
        model = learned([*others, *own])
        for place, example in enumerate(examples):
            if example.row and example.row.writer == writer:
                marked[place] = decided(example, *model)
    show("model, unseen writer", examples, [marked[place] for place in range(len(examples))])
    bias, weights = learned([*examples, *own])
    print(f"{len(examples)} sentences and {len(own)} of the composer; {len(weights)} weights")
    if asked.out:
        content = {"bias": bias, "weights": weights}
        asked.out.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", "utf-8")


if __name__ == "__main__":
    main()
