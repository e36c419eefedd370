"""Answers of an invented model of findings, and strategies that make many of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from tetkik.report.facts import Facts, facts_of
from tetkik.values import (
    BRAIN_LABELS,
    FINDING_LABELS,
    Finding,
    FindingsResult,
    ReportInput,
    Route,
    Side,
    ThresholdOn,
    route_of,
)

CHEST_LABELS = tuple(label for label in FINDING_LABELS if label not in BRAIN_LABELS)
STATES = ("certain", "probable", "possible", "suggested", "absent", "open", "unassessed")
_PROBABILITIES = {
    "certain": 0.95,
    "probable": 0.7,
    "possible": 0.55,
    "suggested": 0.52,
    "absent": 0.02,
    "open": 0.2,
}


def finding(label: str, state: str) -> Finding:
    """One label in one of `STATES`."""
    if state == "unassessed":
        return Finding(label, assessed=False)
    value = _PROBABILITIES[state]
    return Finding(
        label,
        True,
        value,
        value,
        0.5,
        ThresholdOn.PROBABILITY,
        positive=value >= 0.5,
        asserts=value >= 0.55,
        rules_out=state == "absent",
    )


def result_of(
    states: Mapping[str, str], route: Route = Route.CHEST, *, reasons: tuple[str, ...] = ()
) -> FindingsResult:
    """An answer; labels that `states` does not name were not assessed."""
    labels = [*FINDING_LABELS, *(label for label in states if label not in FINDING_LABELS)]
    return FindingsResult(
        path="film.png",
        route=route,
        suitable=True,
        reasons=reasons,
        flaws=(),
        screen=None,
        findings=tuple(finding(label, states.get(label, "unassessed")) for label in labels),
        model="findings-test 1.0",
        sha256="0" * 64,
        graded=True,
    )


def facts(
    states: Mapping[str, str],
    *,
    sides: Mapping[str, Side] | None = None,
    prior: Mapping[str, str] | None = None,
    route: Route = Route.CHEST,
    history: str = "",
    technique: str | None = "PA",
) -> Facts:
    """What may be said of it."""
    inputs = ReportInput(history=history, technique=technique, sides=tuple((sides or {}).items()))
    earlier = None if prior is None else result_of(prior, route)
    return facts_of(result_of(states, route), inputs, prior=earlier)


def refused() -> FindingsResult:
    """The answer to an image that is no radiograph."""
    return FindingsResult(
        "photo.png", None, False, ("The image is a photograph.",), (), None, (), "findings-test 1.0", "0" * 64
    )


def states_of(labels: Iterable[str]) -> st.SearchStrategy[dict[str, str]]:
    """Any state for each of `labels`."""
    return st.fixed_dictionaries({label: st.sampled_from(STATES) for label in labels})


ANY_SIDES = st.dictionaries(st.sampled_from(FINDING_LABELS), st.sampled_from(list(Side)))
ANY_STATES = st.one_of(
    states_of(CHEST_LABELS).map(lambda states: (states, Route.CHEST)),
    states_of(BRAIN_LABELS).map(lambda states: (states, Route.BRAIN_MRI)),
)


def drawn_states(rng: random.Random, route: Route) -> dict[str, str]:
    """States as a model gives them: few findings, many that nothing can be said of."""
    labels = [label for label in FINDING_LABELS if route_of(label) is route]
    weights = (1, 1, 1, 2, 5, 7, 2)
    states = {label: rng.choices(STATES, weights)[0] for label in labels}
    for label in ("Normal", "No_Tumor"):
        if label in states:
            states[label] = rng.choice(STATES)
    return states
