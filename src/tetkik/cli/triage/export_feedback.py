"""`tetkik triage export-feedback`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tetkik.cli.console import note, out, shown, t, writing
from tetkik.cli.days import moment_of
from tetkik.cli.opened import opened_records

if TYPE_CHECKING:
    from tetkik.records.cases.triage_feedback import Feedback


def export_feedback(
    *,
    target: Annotated[Path, typer.Option("--out", help=t("The table to write (CSV)."))],
    since: Annotated[
        str | None, typer.Option("--from", help=t("From this day on: 2026-11-21."), metavar="DAY")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help=t("Up to this day, it included."), metavar="DAY")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=t("Print the figures as one JSON object."))] = False,
) -> None:
    """What people at the desk decided, as a table for `tetkik triage train`, without identity."""
    start, end = moment_of(since), moment_of(until, end=True)
    with opened_records() as records:
        from tetkik.records.cases.triage_feedback import export
        from tetkik.values import SYSTEM

        # The file is written before the transaction ends: what nobody could keep was not exported.
        with records.write(SYSTEM) as tx, writing(target):
            found = export(tx, start, end)
            target.write_text(found.as_csv(), encoding="utf-8", newline="")
    if as_json:
        out.print_json(json.dumps(_figures(found), ensure_ascii=False), indent=None)
        return
    _show(found)
    out.print(shown(target), markup=False, soft_wrap=True)
    note("Masking misses some names; read the table before it leaves the hospital.")


def _figures(found: Feedback) -> dict[str, object]:
    return {
        "rows": len(found.rows),
        "agreed": sum(row.agreed for row in found.rows),
        "masked": {kind.value: count for kind, count in found.masked.items() if count},
        "restricted": found.restricted,
        "erased": found.erased,
    }


def _show(found: Feedback) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row(t("decisions"), str(len(found.rows)), style="bold")
    table.add_row(t("where the model's first was chosen"), str(sum(row.agreed for row in found.rows)))
    for kind, count in found.masked.items():
        if count:
            table.add_row(t("masked: {kind}", kind=kind.token), str(count), style="dim")
    table.add_row(t("left out: restricted cases"), str(found.restricted), style="dim")
    table.add_row(t("left out: erased patients"), str(found.erased), style="dim")
    out.print(table)
