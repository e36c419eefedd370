"""`tetkik findings export-feedback`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import note, out, print_json_line, show_error, shown, t
from tetkik.cli.options import FiguresAsJson, Since, Until, option, parse_day
from tetkik.cli.records import open_configured_records
from tetkik.cli.tables import totals
from tetkik.errors import as_fault_of
from tetkik.values import SYSTEM, Judgement

if TYPE_CHECKING:
    from tetkik.records.reports.findings_feedback import Judged, Written


def export_feedback(
    *,
    folder: Annotated[Path, option("The folder for the table and the images.", "--out", metavar="DIR")],
    images: Annotated[bool, option("Write the images, too, without what identifies.")] = False,
    since: Since = None,
    until: Until = None,
    as_json: FiguresAsJson = False,
) -> None:
    """What radiologists said of findings, as a table for `tetkik findings train`, without identity."""
    start, end = parse_day(since), parse_day(until, end=True)
    with open_configured_records() as records:
        from tetkik.records.reports.findings_feedback import judged_images, write_feedback

        # The files are written before the transaction ends: what nobody could keep was not exported.
        with records.write(SYSTEM) as tx, as_fault_of(folder):
            judged = judged_images(tx, start, end)
            written = write_feedback(tx, judged, folder, pictures=images)
    if as_json:
        print_json_line(_figures(judged, written))
    else:
        _show(judged, written)
        out.print(shown(folder / "labels.csv"), markup=False, soft_wrap=True)
        if images:
            note("De-identification can miss something; look at the images before they leave the hospital.")
    for error in written.refused.values():
        show_error(error)
    if written.refused:
        raise typer.Exit(1)


def _figures(judged: Judged, written: Written) -> dict[str, object]:
    return {
        "images": len(judged.images),
        "rows": written.rows,
        "pictures": written.pictures,
        "refused": len(written.refused),
        "verdicts": {kind.value: count for kind, count in judged.verdicts.items()},
        "restricted": judged.restricted,
        "erased": judged.erased,
    }


def _show(judged: Judged, written: Written) -> None:
    table = totals()
    table.add_row(t("images with a judgement"), str(len(judged.images)), style="bold")
    verdicts = judged.verdicts
    table.add_row(t("findings that were accepted"), str(verdicts[Judgement.ACCEPTED]))
    table.add_row(t("findings that were rejected"), str(verdicts[Judgement.REJECTED]))
    table.add_row(t("findings that were added"), str(verdicts[Judgement.ADDED]))
    table.add_row(t("images written"), str(written.pictures))
    table.add_row(t("left out: images that cannot be de-identified"), str(len(written.refused)), style="dim")
    table.add_row(t("left out: restricted cases"), str(judged.restricted), style="dim")
    table.add_row(t("left out: erased patients"), str(judged.erased), style="dim")
    out.print(table)
