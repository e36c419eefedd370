"""Two versions of a report side by side: which words went, which came."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from tetkik.values.measurement import Measurement
from tetkik.values.report import Draft, Section

_PIECES = re.compile(r"\s+|\w+|[^\w\s]")
_MOST = 20_000
"""Pieces of a part beyond which it is compared sentence by sentence: time grows with their square."""


class Change(StrEnum):
    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Stretch:
    change: Change
    text: str


@dataclass(frozen=True, slots=True)
class ComparedSection:
    section: Section
    stretches: tuple[Stretch, ...]

    @property
    def changed(self) -> bool:
        """Whether a word went or came."""
        return any(item.change is not Change.SAME for item in self.stretches)


def compared(before: Draft, after: Draft) -> tuple[ComparedSection, ...]:
    """Two drafts part by part; parts that neither has are left out."""
    found = []
    for section in Section:
        old, new = (_pieces(draft, section) for draft in (before, after))
        if old or new:
            found.append(ComparedSection(section, tuple(_stretches(old, new))))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ComparedMeasurement:
    """A measurement of two versions; one that was moved or named anew went and came."""

    change: Change
    measurement: Measurement


def compared_measurements(
    before: Sequence[Measurement], after: Sequence[Measurement]
) -> tuple[ComparedMeasurement, ...]:
    """What was measured in two versions: what stayed and what went in the earlier order, then what came."""
    now = {item.id: item for item in after}
    found = []
    for item in before:
        there = now.pop(item.id, None)
        same = there == item
        found.append(ComparedMeasurement(Change.SAME if same else Change.REMOVED, item))
        if there is not None and not same:
            found.append(ComparedMeasurement(Change.ADDED, there))
    return (*found, *(ComparedMeasurement(Change.ADDED, item) for item in now.values()))


def _pieces(draft: Draft, section: Section) -> list[str]:
    text = " ".join(item.text for item in draft.section(section))
    pieces = _PIECES.findall(text)
    return pieces if len(pieces) <= _MOST else [f"{item.text} " for item in draft.section(section)]


def _stretches(old: Sequence[str], new: Sequence[str]) -> Iterator[Stretch]:
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    removed = added = ""
    for place, (kind, start, end, other_start, other_end) in enumerate(codes):
        gone, came = "".join(old[start:end]), "".join(new[other_start:other_end])
        between = 0 < place < len(codes) - 1
        if kind == "equal" and not (between and _is_gap(gone)):
            yield from _changes(removed, added)
            yield Stretch(Change.SAME, gone)
            removed = added = ""
        else:
            removed, added = removed + gone, added + came
    yield from _changes(removed, added)


def _changes(removed: str, added: str) -> Iterator[Stretch]:
    if removed:
        yield Stretch(Change.REMOVED, removed)
    if added:
        yield Stretch(Change.ADDED, added)


def _is_gap(text: str) -> bool:
    """Whether no word stands in it: what changed on both sides is read as one."""
    return not any(char.isalnum() for char in text)
