"""Drift of any model: which bundle, what it is compared with, how far it moved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tetkik.bundle import AnyReference
from tetkik.statistics import Movement
from tetkik.values import Capability

REFERENCE = 500
"""The first images or complaints of a bundle, held to be as they should."""
RECENT = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class BundleUsage:
    """A bundle that answered here."""

    bundle: str
    sha256: str
    runs: int
    first: datetime
    last: datetime
    capability: Capability = Capability.FINDINGS


@dataclass(frozen=True, slots=True)
class Drift:
    before: AnyReference | None
    on_card: bool
    """Whether that is the bundle's own; else it is the first images or complaints here. None of either where
    `before` is None."""
    now: int
    moved: Movement | None
