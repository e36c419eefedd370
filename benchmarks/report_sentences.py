"""Sentences of reports with their truth, written against sheets of facts by people who knew no rule."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from report_planted import result_of
from tetkik.language import Language
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding import check_draft, check_text
from tetkik.values import (
    BRAIN_LABELS,
    Draft,
    DraftSentence,
    FindingsResult,
    Passage,
    PassageKind,
    ReportInput,
    Route,
    Section,
    Side,
)

FOLDER = Path(__file__).parent.parent / "data" / "report-sentences"
_ABOUT_A_LABEL = ("finding:", "absence:", "prior:")


@dataclass(frozen=True)
class Row:
    """One sentence with the truth that was fixed before it was written."""

    writer: str
    language: Language
    sheet: str
    truth: str  # contradicts, unsupported or supported
    kind: str
    text: str


def rows_of(name: str) -> list[Row]:
    """The rows of one file of `data/report-sentences`."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row["writer"], Language(row["language"]), row["sheet"], row["truth"], row["kind"], row["text"]
            )
            for row in csv.DictReader(file)
        ]


@cache
def sheets() -> Mapping[str, tuple[Facts, tuple[Passage, ...]]]:
    """Facts and passages of each sheet by its id."""
    content = json.loads((FOLDER / "sheets.json").read_text("utf-8"))
    return {sheet["id"]: facts_of_sheet(sheet) for sheet in content}


def facts_of_sheet(sheet: Mapping[str, Any]) -> tuple[Facts, tuple[Passage, ...]]:
    """The facts that a sheet states, and the passage that its recommendations may rest on."""
    brain = sheet["image"].startswith("brain")
    state = dict.fromkeys(sheet["absent"], "absent") | {label: "present" for label, _ in sheet["found"]}
    sides = tuple((label, Side(side)) for label, side in sheet["found"] if side)
    technique = sheet["image"].partition(", ")[2]
    inputs = ReportInput(history=sheet["history"], technique=technique or None, sides=sides)
    prior = None
    if sheet["prior"]:
        then = sheet["prior"]["then"]
        before = dict.fromkeys(then["absent"], "absent") | dict.fromkeys(then["present"], "present")
        prior = _result(before, brain)
    passages: tuple[Passage, ...] = ()
    if sheet["passage"]:
        text = sheet["passage"]
        passages = (Passage("p-1", Language.EN, PassageKind.FOLLOW_UP, None, "", text, "sheet"),)
    return facts_of(_result(state, brain), inputs, prior=prior), passages


def _result(state: dict[str, str], brain: bool) -> FindingsResult:
    result = result_of(state)
    if not brain:
        return result
    found = tuple(item for item in result.findings if item.label in BRAIN_LABELS)
    return FindingsResult("", Route.BRAIN_MRI, True, (), (), None, found, "benchmark", "0" * 64)


def drafted(rows: Sequence[Row]) -> tuple[Draft, Facts]:
    """Sentences of one sheet and language as a draft of a language model, and what its image shows.

    It cites whatever is not about one finding.
    """
    facts, passages = sheets()[rows[0].sheet]
    cited = [basis.id for basis in facts.bases() if not basis.id.startswith(_ABOUT_A_LABEL)]
    cited += [f"passage:{passage.id}" for passage in passages]
    cited += ["prior:image"] if facts.compared else []
    evidence = tuple(dict.fromkeys(cited))
    sentences = tuple(DraftSentence(row.text, Section.FINDINGS, evidence) for row in rows)
    return Draft(rows[0].language, sentences, facts.bases(), passages, writer="benchmark"), facts


def strictly(row: Row) -> DraftSentence:
    """The sentence checked as one of a language model."""
    return check_draft(*drafted([row])).sentences[0]


def gently(row: Row) -> Iterator[DraftSentence]:
    """The sentence checked as a person's."""
    return iter(check_text(row.text, sheets()[row.sheet][0], row.language))
