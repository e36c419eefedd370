"""Teaching mode: the report of an image that does not exist, for chosen findings, marked as an exercise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tetkik.errors import UsageError
from tetkik.language import Language
from tetkik.report.draft import draft_report
from tetkik.report.labeler.read import UNPAIRED
from tetkik.turkish import flat
from tetkik.values import (
    BRAIN_LABELS,
    FINDING_LABELS,
    NORMAL_LABELS,
    Draft,
    Finding,
    FindingsResult,
    ReportInput,
    Route,
    Side,
    ThresholdOn,
    label_name,
    route_of,
)

_HERE, _GONE, _THRESHOLD = 0.95, 0.02, 0.5


def parse_example(text: str) -> tuple[str, Side | None]:
    """`Effusion` or `Effusion:left` as a label and a side; a label also by its clinical name.

    Raises UsageError where there is no such label or side, and for a side of what has none.
    """
    name, _, side = (flat(part.strip()) for part in text.partition(":"))
    label = _labels().get(name.replace("_", " "))
    if label is None:
        raise UsageError(
            "{name} is no finding; choose from {known}.",
            name=text.partition(":")[0].strip(),
            known=", ".join(FINDING_LABELS),
        )
    if side and side not in list(Side):
        raise UsageError(
            "{side} is no side; write left, right or both, as in {label}:left.", side=side, label=label
        )
    if side and label in UNPAIRED:
        raise UsageError("{label} has no side; name it alone.", label=label)
    return label, Side(side) if side else None


def _labels() -> dict[str, str]:
    """Every label by its own name and by its names in both languages."""
    spoken = {flat(label_name(label, one)): label for one in Language for label in FINDING_LABELS}
    return spoken | {flat(label.replace("_", " ")): label for label in FINDING_LABELS}


def example_report(findings: Sequence[tuple[str, Side | None]], language: Language) -> Draft:
    """The composer's report of an invented image with just these findings, and all others ruled out.

    None give a normal image; UsageError where they are of chest and brain, or a normal image has a finding.
    """
    chosen = dict(findings)
    if len(chosen) > 1 and set(chosen) & set(NORMAL_LABELS):
        raise UsageError(
            "A normal image has no findings; choose {label} alone or leave it out.",
            label=next(iter(set(chosen) & set(NORMAL_LABELS))),
        )
    routes = {route_of(label) for label in chosen}
    if len(routes) > 1:
        raise UsageError("An example is a chest film or a brain MRI slice; choose findings of one of them.")
    route = routes.pop() if routes else Route.CHEST
    if not chosen:
        chosen = {"Normal": None}
    result = FindingsResult(
        path="",
        route=route,
        suitable=True,
        reasons=(),
        flaws=(),
        screen=None,
        findings=tuple(_invented(label, route, label in chosen) for label in FINDING_LABELS),
        model="",
        sha256="",
        graded=True,
    )
    sides = tuple((label, side) for label, side in chosen.items() if side is not None)
    drafted = draft_report(result, ReportInput(technique="PA", sides=sides), language=language)
    return replace(drafted.draft, exercise=True, model=None)


def _invented(label: str, route: Route, here: bool) -> Finding:
    if (label in BRAIN_LABELS) is not (route is Route.BRAIN_MRI):
        return Finding(label, assessed=False)
    probability = _HERE if here else _GONE
    rules_out = not here and label not in NORMAL_LABELS
    return Finding(
        label, True, probability, probability, _THRESHOLD, ThresholdOn.PROBABILITY, here, rules_out
    )
