"""The slip that a patient carries from the desk: where to, how soon, and a number; no more of the patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import segno
from markupsafe import Markup

from tetkik.language import Language
from tetkik.records.cases.cases import CaseView
from tetkik.triage.clinics import Clinic
from tetkik.values import UrgencyLevel

_QUIET_ZONE = 2
"""Modules of white around the code; the slip's paper goes on outside."""


@dataclass(frozen=True, slots=True)
class Slip:
    """What the slip says: initials, so that a lost one finds its owner, and the clinic only where it is
    called otherwise than the department. `triaged` with an urgency of None: it could not be assessed.
    """

    number: str
    code: Markup
    initials: str
    urgency: UrgencyLevel | None
    triaged: bool
    department: str | None
    clinic: str | None
    referral: str | None
    opened_at: datetime


def slip_of(case: CaseView, clinic: Clinic | None, language: Language) -> Slip:
    return Slip(
        case.number,
        qr_code(case.number),
        " ".join(f"{word[0]}." for word in case.person.name.split()),
        case.urgency,
        case.urgency is not None or case.complaint is not None,
        case.department,
        clinic.name if clinic is not None and clinic.name != case.department else None,
        clinic.referral(language) if clinic is not None else None,
        case.created_at,
    )


def qr_code(text: str) -> Markup:
    """A QR code (ISO/IEC 18004) as an SVG that takes the colour of its words and the size of its box."""
    rows = [bytes(row) for row in segno.make_qr(text, error="m").matrix]
    side = len(rows) + 2 * _QUIET_ZONE
    dark = "".join(
        f"M{across + _QUIET_ZONE} {down + _QUIET_ZONE}h1v1h-1z"
        for down, row in enumerate(rows)
        for across, module in enumerate(row)
        if module
    )
    # Numbers alone: nothing of it comes from outside.
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {side} {side}" shape-rendering="crispEdges" aria-hidden="true">'
        f'<path fill="currentColor" d="{dark}"/></svg>'
    )
