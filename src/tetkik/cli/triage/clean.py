"""`tetkik triage clean`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import language, out, print_json_line, progress, show_error, shown, t, writing
from tetkik.cli.options import FiguresAsJson, argument, option
from tetkik.cli.tables import totals
from tetkik.settings import settings

if TYPE_CHECKING:
    from tetkik.lab.triage.clean import Summary


def clean(
    *,
    files: Annotated[list[Path], argument("CSV, JSON lines, XLSX or Parquet files, in any mix.", "FILE...")],
    target: Annotated[Path, option("The clean table (CSV).", "--out")],
    text_column: Annotated[
        str | None, option("Column of the complaint. Default: text, soru, şikayet, complaint, …")
    ] = None,
    label_column: Annotated[
        str | None, option("Column of the department. Default: label, bölüm, etiket, department, …")
    ] = None,
    departments: Annotated[
        Path | None, option("A hospital's own departments with their aliases (TOML).")
    ] = None,
    sub_specialities: Annotated[bool, option("Count sub-specialities as their department.")] = False,
    report: Annotated[
        Path | None, option("Folder of the report. Default: NAME.report beside the table.")
    ] = None,
    keep_duplicates: Annotated[
        bool,
        option(
            "Keep rows that repeat an earlier text under the same label.",
            "--keep-duplicates/--drop-duplicates",
        ),
    ] = False,
    keep_other_labels: Annotated[bool, option("Keep rows whose label is no department of the list.")] = False,
    suspects: Annotated[bool, option("Look for wrong labels (takes the longest).")] = True,
    as_json: FiguresAsJson = False,
) -> None:
    """One table of unique, masked complaints, and a report of everything that was done to get it."""
    from tetkik.lab.triage import clean as cleaning

    options = cleaning.Options(
        departments=cleaning.departments(departments, sub_specialities=sub_specialities),
        columns=cleaning.Columns(text_column, label_column),
        keep_duplicates=keep_duplicates,
        keep_other_labels=keep_other_labels,
        suspects=suspects,
        max_chars=settings().max_text_chars,
    )
    folder = report or target.with_name(f"{target.stem}.report")
    with progress("clean") as tell, writing(target):
        summary = cleaning.clean_files(
            files,
            target,
            folder,
            options,
            language=language(),
            progress=tell,
        )
    if as_json:
        print_json_line(summary.as_json())
    else:
        _show(summary)
    failures = [file.failure for file in summary.files if file.failure is not None]
    for failure in failures:
        show_error(failure)
    if failures:
        raise typer.Exit(1)


def _show(summary: Summary) -> None:
    table = totals()
    table.add_row(t("rows read"), str(summary.read))
    table.add_row(t("kept"), str(summary.kept), style="bold")
    for reason, count in summary.rejected.items():
        table.add_row(f"  – {t(reason.value)}", str(count), style="dim")
    table.add_row(t("Rows with personal data masked"), str(summary.masked_rows))
    table.add_row(t("Rows with a near duplicate"), str(summary.in_groups))
    table.add_row(t("Conflicting pairs"), str(len(summary.conflicts)))
    if summary.judged is not None:
        found = str(len(summary.suspects)) if summary.judged else t("not looked for: too few rows")
        table.add_row(t("Suspected labels"), found)
    out.print(table)
    for path in (summary.out, summary.report / "report.html"):
        out.print(shown(path), markup=False, soft_wrap=True)
