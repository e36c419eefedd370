"""`tetkik triage export-feedback`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tetkik.cli.console import note, out, print_json_line, shown, t, writing
from tetkik.cli.options import FiguresAsJson, Since, Until, option, parse_day
from tetkik.cli.records import open_configured_records
from tetkik.cli.tables import totals

if TYPE_CHECKING:
    from tetkik.records.cases.triage_feedback import Feedback


def export_feedback(
    *,
    target: Annotated[Path, option("The table to write (CSV).", "--out")],
    since: Since = None,
    until: Until = None,
    as_json: FiguresAsJson = False,
) -> None:
    """What people at the desk decided, as a table for `tetkik triage train`, without identity."""
    start, end = parse_day(since), parse_day(until, end=True)
    with open_configured_records() as records:
        from tetkik.records.cases.triage_feedback import export
        from tetkik.values import SYSTEM

        # The file is written before the transaction ends: what nobody could keep was not exported.
        with records.write(SYSTEM) as tx, writing(target):
            found = export(tx, start, end)
            target.write_text(found.as_csv(), encoding="utf-8", newline="")
    if as_json:
        print_json_line(_figures(found))
        return
    _show(found)
    out.print(shown(target), markup=False, soft_wrap=True)
    note("Masking misses some names; read the table before it leaves the hospital.")


def _figures(found: Feedback) -> dict[str, object]:
    return {
        "rows": len(found.rows),
        "agreed": sum(row.agreed for row in found.rows),
        "urgency_changed": sum(row.overridden for row in found.rows),
        "masked": {kind.value: count for kind, count in found.masked.items() if count},
        "restricted": found.restricted,
        "erased": found.erased,
    }


def _show(found: Feedback) -> None:
    table = totals()
    table.add_row(t("decisions"), str(len(found.rows)), style="bold")
    table.add_row(t("where the model's first was chosen"), str(sum(row.agreed for row in found.rows)))
    table.add_row(t("where another urgency was set"), str(sum(row.overridden for row in found.rows)))
    for kind, count in found.masked.items():
        if count:
            table.add_row(t("masked: {kind}", kind=kind.token), str(count), style="dim")
    table.add_row(t("left out: restricted cases"), str(found.restricted), style="dim")
    table.add_row(t("left out: erased patients"), str(found.erased), style="dim")
    out.print(table)
