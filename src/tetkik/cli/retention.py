"""`tetkik retention`: do what is due now; the service does it once a day by itself."""

from __future__ import annotations

from tetkik.cli.console import out, t
from tetkik.cli.records import open_configured_records
from tetkik.settings import settings


def retention() -> None:
    """Erasures whose day has come, closed cases without a report, what passes within a day."""
    chosen = settings()
    with open_configured_records() as records:
        from tetkik.records.lifecycle.retention import RetentionTerms, apply_retention

        done = apply_retention(records, RetentionTerms(chosen.retention_years, chosen.retention_closed_days))
    out.print(
        t(
            "Erased: {patients} patients and {cases} closed cases; forgotten: {sessions} sessions, {files} "
            "stray files.",
            patients=done.erased + done.erased_again + done.left,
            cases=done.cases,
            sessions=done.sessions,
            files=done.files,
        ),
        soft_wrap=True,
    )
