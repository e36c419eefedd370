"""`tetkik findings export-feedback`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tetkik.cli.console import note, out, show_error, shown, t
from tetkik.cli.opened import opened_records
from tetkik.errors import UsageError, as_fault_of
from tetkik.values import SYSTEM, Judgement

if TYPE_CHECKING:
    from tetkik.records.reports.findings_feedback import Judged, Written

_DAY = "%Y-%m-%d"


def export_feedback(
    *,
    folder: Annotated[
        Path, typer.Option("--out", help=t("The folder for the table and the images."), metavar="DIR")
    ],
    images: Annotated[
        bool, typer.Option("--images", help=t("Write the images, too, without what identifies."))
    ] = False,
    since: Annotated[
        str | None, typer.Option("--from", help=t("From this day on: 2026-11-21."), metavar="DAY")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help=t("Up to this day, it included."), metavar="DAY")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=t("Print the figures as one JSON object."))] = False,
) -> None:
    """What radiologists said of findings, as a table for `tetkik findings train`, without identity."""
    start, end = _day(since), _day(until)
    with opened_records() as records:
        from tetkik.records.reports.findings_feedback import judged_images, write_feedback

        # The files are written before the transaction ends: what nobody could keep was not exported.
        with records.write(SYSTEM) as tx, as_fault_of(folder):
            judged = judged_images(tx, start, end + timedelta(days=1) if end else None)
            written = write_feedback(tx, judged, folder, pictures=images)
    if as_json:
        out.print_json(json.dumps(_figures(judged, written)), indent=None)
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
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
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


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, _DAY).replace(tzinfo=UTC)
    except ValueError:
        raise UsageError("{day} is not a day; write it as 2026-11-21.", day=text) from None
