"""Whether the facts carry a sentence, by a linear model that has read many people's sentences of either kind.

The rules know the words of whoever wrote them. The model sees how each mention stands to the facts, in which
order, between which words, and what the rules object to; it decides, and the rules say why. It learned from
`data/report-sentences` by `benchmarks/report_entailment.py`, which measures it as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from functools import cache
from importlib import resources
from itertools import pairwise

from tetkik.language import Language
from tetkik.report.facts import Facts
from tetkik.report.grounding.claims import Claims
from tetkik.values import Fault

CLEARS, ADDS = 0.5, 0.7
"""Below the first probability what the rules object to goes, unless they are certain of it; from the second
on a sentence is marked to which they do not object."""
_STEM = 6


def probability_unborne(claims: Claims, faults: Collection[Fault], facts: Facts, language: Language) -> float:
    """The probability that the facts do not carry a sentence, 0 to 1, given what the rules object to."""
    bias, weights = _weights()
    found = weights.keys() & features(claims, faults, facts, language)
    score = bias + math.fsum(weights[name] for name in found)
    return 1 / (1 + math.exp(-score))


def features(claims: Claims, faults: Collection[Fault], facts: Facts, language: Language) -> frozenset[str]:
    """The names of what the model sees of a sentence; each counts once."""
    known = (
        f"compared={facts.compared}",
        f"asked={bool(facts.question)}",
        f"passage={claims.found.get('passage', 0)}",
    )
    seen = {*known, f"language:{language}"}
    for name in [*(f"rule:{fault}" for fault in [*map(str, faults)] or ["none"]), *claims.found]:
        seen.add(name)
        seen.update([f"{name}&{state}" for state in known])
    short = ["^"]
    for token in claims.tokens:
        seen.update(token)
        first = token[0]
        if len(token) > 1:
            seen.update((f"{first}&{token[2]}", f"{first}&{token[3]}"))
            first += f"|{token[1]}"
        elif first.startswith("word:"):
            first = first.removeprefix("word:")[:_STEM]
        short.append(first)
    short.append("$")
    pairs = pairwise(short)
    triples = zip(short, short[1:], short[2:], strict=False)
    return frozenset(seen.union(short, map(" ".join, pairs), map(" ".join, triples)))


@cache
def _weights() -> tuple[float, dict[str, float]]:
    content = json.loads(resources.files(__package__).joinpath("entailment.json").read_text("utf-8"))
    return content["bias"], content["weights"]
