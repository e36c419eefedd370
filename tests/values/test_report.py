"""The content of a report: what its verification code covers."""

from __future__ import annotations

from dataclasses import dataclass, field

from tetkik.language import Language
from tetkik.values import Draft, ReportContent
from tetkik.values.common import ADDED


@dataclass(frozen=True, slots=True)
class _Later(ReportContent):
    note: str = field(default="", metadata=ADDED)


def test_a_field_that_was_added_is_verified_and_leaves_the_code_of_what_was_signed_before():
    draft = Draft(Language.TR, ())
    assert _Later(draft).verified() == ReportContent(draft).verified()
    assert _Later(draft, note="Önceki ile aynı.").verified()["note"] == "Önceki ile aynı."
