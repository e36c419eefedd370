"""Scoring of the labeler on sentences with written answers: one statement for each shared label."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tetkik.language import Language
from tetkik.report.labeler import Context, Mention, Polarity, read_report
from tetkik.values import FINDING_LABELS, Side

DATA = Path(__file__).parent / "data"
Statement = tuple[str, ...]
STRENGTH = {Polarity.PRESENT: 2, Polarity.UNCERTAIN: 1, Polarity.ABSENT: 0}


@dataclass(frozen=True)
class Written:
    """A sentence and what it says: (label, polarity) or (label, polarity, side)."""

    number: int
    text: str
    statements: frozenset[Statement]


def labels_of(text: str, language: Language | None = None) -> Mapping[str, Polarity]:
    """What the whole `text` says of each label that it names of this image.

    Where sentences differ, an assertion outweighs a doubt and a doubt a denial; what is only implied counts
    where nothing is said outright.
    """
    polarities: dict[str, Polarity] = {}
    implied: dict[str, Polarity] = {}
    for reading in read_report(text, language):
        for mention in reading.mentions:
            if mention.context is not Context.CURRENT:
                continue
            found = implied if mention.implied else polarities
            known = found.get(mention.label)
            if known is None or STRENGTH[mention.polarity] > STRENGTH[known]:
                found[mention.label] = mention.polarity
    return implied | polarities


def written(name: str) -> list[Written]:
    """The sentences of one file of answers."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return [
            Written(
                int(row["id"]),
                row["text"],
                frozenset(tuple(item.split(":")) for item in row["mentions"].split(";") if item),
            )
            for row in csv.DictReader(file)
        ]


def statements(text: str) -> frozenset[Statement]:
    """What the labeler reads: of each label the strongest polarity, with the sides that it is said of."""
    by_label: dict[str, list[Mention]] = {}
    for reading in read_report(text):
        for mention in reading.mentions:
            if mention.context is Context.CURRENT and not mention.implied and mention.label in FINDING_LABELS:
                by_label.setdefault(mention.label, []).append(mention)
    found: set[Statement] = set()
    for label, mentions in by_label.items():
        said = {mention.polarity for mention in mentions}
        order = (Polarity.PRESENT, Polarity.UNCERTAIN, Polarity.ABSENT)
        polarity = next(polarity for polarity in order if polarity in said)
        sides = {mention.side for mention in mentions if mention.polarity is polarity} - {None}
        side = Side.BOTH if len(sides) > 1 else next(iter(sides), None)
        found.add((label, polarity.value) if side is None else (label, polarity.value, side.value))
    return frozenset(found)


def micro_f1(rows: list[Written], *, sides: bool) -> float:
    """Micro-F1 over the statements of all rows."""
    hits = said = wanted = 0
    for row in rows:
        ours, theirs = statements(row.text), row.statements
        if not sides:
            ours, theirs = (frozenset(item[:2] for item in items) for items in (ours, theirs))
        hits += len(ours & theirs)
        said += len(ours)
        wanted += len(theirs)
    return 2 * hits / (said + wanted)
