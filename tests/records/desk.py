"""Complaints with answers for tests of the records: made by hand, so that no model is loaded."""

from __future__ import annotations

from tetkik.records.cases.complaints import TriagedComplaint
from tetkik.values import (
    DepartmentScore,
    Evidence,
    RedFlag,
    Span,
    TriageResult,
    Urgency,
    UrgencyLevel,
)

TEXT = "Göğsüm ağrıyor ve terliyorum"


def made_triaged(
    text: str = TEXT,
    department: str | None = "Kardiyoloji",
    level: UrgencyLevel | None = UrgencyLevel.KIRMIZI,
    abstain: bool = False,
) -> TriagedComplaint:
    """An answer: the first department with 0.75, a red flag on the first word, evidence on the second."""
    named = department is not None
    first = (
        DepartmentScore(department, 0.75, department, None),
        DepartmentScore("Dahiliye", 0.25, "İç Hastalıkları (Dahiliye)", "Önce aile hekimi."),
    ) if department is not None else ()  # fmt: skip
    flags = (
        (RedFlag("chest", level, "Göğüs ağrısı hemen görülmelidir.", Span(0, 6), "ESI 2"),)
        if level not in (None, UrgencyLevel.YESIL)
        else ()
    )
    result = TriageResult(
        text,
        first,
        Urgency(level, flags),
        abstain,
        None,
        "Öksürük var mı?" if abstain else None,
        (Evidence(Span(7, 14), text[7:14], 0.5),) if named and len(text) >= 14 else (),
        "triage-linear-tr 1.1",
    )
    return TriagedComplaint(result, "ab" * 32)
