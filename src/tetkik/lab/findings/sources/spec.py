"""A source as it is named, and how sources are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tetkik.lab.findings.sources.label_coverage import KnownRule


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A data set to read."""

    kind: str
    path: Path
    options: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    """How often a row of it is drawn, against 1; above 0."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are read."""

    check_files: bool = True
    """Whether a row's image must exist; False reads tables that came without images."""
    keep_others: bool = False
    """Whether labels beyond the shared ones become columns as well."""
    known: tuple[KnownRule, ...] = ()
    """What rows of a hospital's own table know, beside its own rules."""
