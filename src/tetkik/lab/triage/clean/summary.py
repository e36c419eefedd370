"""What the cleaning of a table did, in numbers and a few examples: the material of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tetkik.errors import TetkikError
from tetkik.lab.engine.results import fields_json
from tetkik.lab.triage.clean.rows import Reason, Repair
from tetkik.privacy import Personal
from tetkik.statistics import Ints


@dataclass(frozen=True, slots=True)
class FileCount:
    """One input: rows that it had, rows in the clean table, and why it failed, if it did."""

    path: str
    read: int
    kept: int
    failure: TetkikError | None = None


@dataclass(frozen=True, slots=True)
class LabelCount:
    """One department: its rows before and after, and the spellings it came under."""

    name: str
    read: int
    kept: int
    spellings: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RowRef:
    """A row of the clean table: its place in the inputs, its label and its masked text."""

    source: str
    number: int
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rows of one duplicate group with different labels; `similarity` 1 for equal texts."""

    group: int
    similarity: float
    left: RowRef
    right: RowRef


@dataclass(frozen=True, slots=True)
class SuspectRow:
    """A row whose label is probably wrong, with the label suggested and both probabilities."""

    row: RowRef
    group: int
    suggested: str
    own: float
    other: float


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the search for label errors found."""

    suspects: tuple[SuspectRow, ...]
    # how many rows were judged; 0 where there were too few, None where that was not asked for
    judged: int | None
    agreement: float  # the share of judged rows whose most probable label is their own


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the report shows; `judged` and `agreement` as in `Suspicion`."""

    out: Path
    report: Path
    files: tuple[FileCount, ...]
    read: int
    kept: int
    rejected: Mapping[Reason, int]  # rows left out, by reason; `read` is `kept` and these together
    repairs: Mapping[Repair, int]
    masked: Mapping[Personal, int]
    masked_rows: int
    adverts: int
    labels: tuple[LabelCount, ...]
    other_labels: tuple[tuple[str, int], ...]
    groups: int
    in_groups: int  # rows of the clean table that share their group with another
    conflicts: tuple[Conflict, ...]
    suspects: tuple[SuspectRow, ...]
    judged: int | None
    agreement: float
    words: Ints  # words of each text of the clean table, (kept,), int64

    def as_json(self) -> dict[str, Any]:
        return {
            "out": str(self.out),
            "report": str(self.report / "report.html"),
            "read": self.read,
            "kept": self.kept,
            "rejected": {reason.value: count for reason, count in self.rejected.items()},
            "repairs": {repair.value: count for repair, count in self.repairs.items()},
            "masked": {kind.value: count for kind, count in self.masked.items()},
            "masked_rows": self.masked_rows,
            "adverts": self.adverts,
            "labels": [{**fields_json(label), "spellings": dict(label.spellings)} for label in self.labels],
            "other_labels": dict(self.other_labels),
            "groups": self.groups,
            "rows_in_groups": self.in_groups,
            "conflicts": len(self.conflicts),
            "suspects": len(self.suspects) if self.judged else None,
            "judged": self.judged,
            "agreement": round(self.agreement, 4) if self.judged else None,
            "files": [
                {**fields_json(file, "failure"), "error": None if file.failure is None else str(file.failure)}
                for file in self.files
            ],
        }


def by_count(counts: Counter[Any]) -> dict[Any, int]:
    """The counts, largest first, ties by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))
