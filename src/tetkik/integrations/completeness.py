"""When a study is complete: DICOM does not say so, but its source may know how many images it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tetkik.integrations.configuration import DicomListener

_FIRST_QUESTION = timedelta(seconds=5)
"""Of quiet, before the source is asked: a number that still grows is no answer."""
_MISSING = 15
"""Quiet periods that missing images are waited for: perhaps the source counts what it never sends."""


class Completion(StrEnum):
    COUNTED = "counted"
    """As many images as the source has."""
    QUIET = "quiet"
    LONGEST = "longest"
    """It was waited for long enough."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is."""

    first_at: datetime
    last_at: datetime
    files: int
    expected: int | None
    asked_at: datetime | None


def may_ask(progress: Progress, now: datetime, listener: DicomListener) -> bool:
    """Whether it is time to ask the source how many images the study has."""
    quiet = timedelta(seconds=listener.quiet_seconds)
    if progress.expected is not None and progress.files >= progress.expected:
        return False
    if now - progress.last_at < min(_FIRST_QUESTION, quiet):
        return False
    return progress.asked_at is None or now - progress.asked_at >= quiet


def why_complete(progress: Progress, now: datetime, listener: DicomListener) -> Completion | None:
    """Why nothing more is waited for; None while something is."""
    quiet = timedelta(seconds=listener.quiet_seconds)
    if progress.expected is not None and progress.files >= progress.expected:
        return Completion.COUNTED
    if now - progress.first_at >= timedelta(seconds=listener.longest_seconds):
        return Completion.LONGEST
    patience = quiet if progress.expected is None else _MISSING * quiet
    return Completion.QUIET if now - progress.last_at >= patience else None
