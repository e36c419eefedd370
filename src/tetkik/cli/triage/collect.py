"""`tetkik triage collect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import err, note, out, print_line, progress, warn
from tetkik.cli.options import argument, option
from tetkik.errors import MissingExtra

if TYPE_CHECKING:
    from tetkik.lab.triage.collect import CrawlSummary, Site

_SHOWN_FAILURES = 5


def collect(
    *,
    site: Annotated[
        str, argument("A built-in site (doktorsitesi), or the TOML file that describes one.", "SITE")
    ],
    folder: Annotated[Path, option("Folder of the collection; an earlier crawl in it goes on.", "--out")],
    permission: Annotated[
        bool,
        option(
            "Your word that the site's owner allows the crawl, and the law the use of the texts.",
            "--i-have-permission",
        ),
    ] = False,
    contact: Annotated[str, option("E-mail or web address that the site's owner can write to.")] = "",
    limit: Annotated[
        int | None, option("At most this many list pages now, in turn from the sections.", min=1)
    ] = None,
    base_url: Annotated[
        str | None, option("Ask this host instead, such as a mirror on your own machine.")
    ] = None,
) -> None:
    """One line a question into `complaints.jsonl`; what was done in `summary.json`."""
    try:
        from tetkik.lab.triage import collect as collecting
    except ImportError:  # of parsel, which reads pages and comes with Scrapy
        raise MissingExtra(
            "Collecting needs Scrapy, which is not installed; `{extra}`.", extra="data"
        ) from None

    description = collecting.load_site(site, base_url=base_url)
    if permission:
        _show_estimate(description, limit)
    with progress(description.id) as tell:
        summary = collecting.collect(
            description,
            folder,
            contact=contact,
            permission=permission,
            limit=limit,
            progress=tell,
        )
    _show(summary, folder)
    if summary.ending is collecting.Ending.STOPPED:
        warn("Stopped; run the same command again to go on where it ended.")
        raise typer.Exit(130)
    if summary.ending is collecting.Ending.LIMIT:
        note("As many pages as asked for; run the same command again to go on.")
    elif summary.ending is collecting.Ending.GIVEN_UP:
        warn("The site failed too often in a row; run the same command again later to go on.")
    if summary.failures:
        raise typer.Exit(1)


def _show_estimate(site: Site, limit: int | None) -> None:
    """How long the crawl takes at least: the pace is the site's, not the network's."""
    pages = len(site.sections) * site.max_pages if limit is None else limit
    hours = pages * site.pace.delay / 3600
    values = {"pages": pages, "delay": f"{site.pace.delay:g}", "time": f"{hours:.1f}"}
    if site.questions.follow:
        note(
            "Up to {pages} list pages, one request in {delay} s: {time} hours, and as much again for each "
            "question of a list page, which has a page of its own.",
            **values,
        )
    else:
        note("Up to {pages} list pages, one request in {delay} s: {time} hours.", **values)


def _show(summary: CrawlSummary, folder: Path) -> None:
    for label, rows in summary.rows_per_label.items():
        out.print(f"{rows:>8}  {label}", markup=False)
    print_line(
        "{rows} questions ({added} new) from {pages} list pages in {path}.",
        rows=summary.rows,
        added=summary.rows_added,
        pages=summary.pages_done,
        path=folder / "complaints.jsonl",
    )
    if not summary.failures:
        return
    warn(
        "Pages that could not be read: {count}; the next run tries them again ({path} lists them all).",
        count=len(summary.failures),
        path=folder / "summary.json",
    )
    for failure in summary.failures[:_SHOWN_FAILURES]:
        err.print(f"  {failure.reason}: {failure.url}", style="dim", markup=False, soft_wrap=True)
