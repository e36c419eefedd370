"""`tetkik privacy`: a patient's own data, exported or erased on their request; and `tetkik retention`.

The number of the patient is asked for, or read from standard input: as an argument it would stay in the
history of the shell and in the list of processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import language, out, print_line, shown, t, warn, writing
from tetkik.cli.options import ZipFile, option
from tetkik.cli.records import open_configured_records
from tetkik.errors import NotFound, UsageError
from tetkik.settings import settings

if TYPE_CHECKING:
    from tetkik.records.database import Records
    from tetkik.records.lifecycle.erasure import DataSubject

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


class _Ground(StrEnum):
    """Those of `records.erasure.Ground` that a person gives."""

    REQUEST = "request"
    COURT = "court"
    MISTAKE = "mistake"


@app.command(
    "export", help=t("Everything of one patient as a zip; the number is asked for, or read from stdin.")
)
def export(target: ZipFile) -> None:
    """For the patient's right to their data."""
    with open_configured_records() as records:
        subject = _subject(records)
        from tetkik.records.lifecycle.patient_export import export_patient

        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with writing(target):
                part.unlink(missing_ok=True)
                handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "w+b") as file:
                    count = export_patient(records, subject.patient_id, file, language=language())
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    print_line("{count} files in {file}; it is not encrypted.", count=count, file=target)


@app.command("erase", help=t("Erase one patient; the number is asked for, or read from stdin."))
def erase(
    ground: Annotated[_Ground, option("Why.")] = _Ground.REQUEST,
    reference: Annotated[str, option("Number of the request in your register; no name.")] = "",
    yes: Annotated[bool, option("Do not ask whether it is the right patient.")] = False,
) -> None:
    """Signed reports are kept as long as the law wants, and the date is shown."""
    with open_configured_records() as records:
        subject = _subject(records)
        if not yes:
            _confirm(subject)
        from tetkik.records.lifecycle.erasure import ErasureReason
        from tetkik.records.lifecycle.erasure import erase as erase_patient

        done = erase_patient(
            records,
            subject.patient_id,
            ErasureReason(ground.value),
            years=settings().retention_years,
            reference=reference,
        )
        elsewhere = records.engine.dialect.name != "sqlite"
    if elsewhere:
        warn(
            "What PostgreSQL keeps of rows that were there (in its files until it vacuums, in its log, in "
            "replicas and its own backups) is beyond Tetkik: see docs/how-to/privacy.md."
        )
    if done.kept_until is None:
        out.print(t("Erased; nothing is left."))
        return
    print_line(
        "Erased but for the signed reports ({count}), which are kept until {date}; then they go by "
        "themselves.",
        count=done.kept_reports,
        date=f"{done.kept_until:%Y-%m-%d}",
    )


def retention(
    stray_files: Annotated[
        bool,
        option(
            "Also remove files that no row names where the daily run leaves them for you to decide: a wrong "
            "or an older database would lose them for good."
        ),
    ] = False,
) -> None:
    """Erasures whose day has come, closed cases without a report, what passes within a day."""
    chosen = settings()
    with open_configured_records() as records:
        from tetkik.records.lifecycle.retention import RetentionTerms, apply_retention

        terms = RetentionTerms(chosen.retention_years, chosen.retention_closed_days)
        done = apply_retention(records, terms, asked=stray_files)
    print_line(
        "Erased: {patients} patients and {cases} closed cases; forgotten: {sessions} sessions, {files} "
        "stray files.",
        patients=done.erased + done.erased_again + done.left,
        cases=done.cases,
        sessions=done.sessions,
        files=done.files,
    )
    if done.held:
        warn(
            "Files that no row names were left: they are more than a day brings, the place is marked as "
            "another installation's, or a backup was restored without its files. If database_url and the "
            "place of the files are right, run tetkik retention --stray-files."
        )


def _subject(records: Records) -> DataSubject:
    """The one patient of the number that was typed."""
    if sys.stdin.isatty():
        number = typer.prompt(t("TCKN or hospital number"), hide_input=True)
    else:
        number = sys.stdin.readline()
    from tetkik.records.lifecycle.erasure import find_subjects
    from tetkik.values import SYSTEM

    with records.write(SYSTEM) as tx:
        found: Sequence[DataSubject] = find_subjects(tx, number.strip()) if number.strip() else ()
    if not found:
        raise NotFound("No patient has this number; check it, every digit counts.")
    if len(found) > 1:
        raise UsageError(
            "{count} records have this number; use the page Privacy, which shows them.", count=len(found)
        )
    return found[0]


def _confirm(subject: DataSubject) -> None:
    if not sys.stdin.isatty():
        raise UsageError("Without a terminal nobody can be asked whether it is the right patient; add --yes.")
    warn(
        "{name}: {cases} cases, {reports} signed reports.",
        name=shown(subject.person.name),
        cases=subject.cases,
        reports=subject.reports,
    )
    if not typer.confirm(t("Erase this patient? It cannot be undone.")):
        raise typer.Abort
