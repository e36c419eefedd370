"""`tetkik findings sources`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.cli.console import language, note, out, print_json_line, progress, shown, t, writing
from tetkik.cli.options import TableAsJson, argument, option
from tetkik.cli.tables import add_row, table
from tetkik.lab.engine.figure_tables import cell_text, short

if TYPE_CHECKING:
    from rich.table import Table

    from tetkik.lab.findings.agreement import Agreement, Rate
    from tetkik.lab.findings.data import LabelledImages
    from tetkik.lab.findings.source_summary import Summary

_COLUMNS = 4
"""Sources that fit beside one another; more are in the files and the JSON."""
_LEAST = 5.0
"""Pairs of findings of which chance would give fewer are not shown."""
_PAIRS = 5


def sources(
    specs: Annotated[
        list[str],
        argument(
            "Data sets, as KIND:PATH[?OPTION=VALUE&...][=WEIGHT]; kinds: nih, chexpert, mimic, vindr, "
            "csv, folder.",
            "KIND:PATH...",
        ),
    ],
    *,
    known: Annotated[
        list[str] | None,
        option(
            "What rows know beside what they list, as COLUMN~REGEX=LABEL,LABEL; may be repeated.",
            metavar="RULE",
        ),
    ] = None,
    others: Annotated[bool, option("Keep labels beyond the shared ones as columns.")] = False,
    files: Annotated[bool, option("Whether a row's image must exist.")] = True,
    duplicates: Annotated[bool, option("Read every image and join those that show the same.")] = False,
    adjudicated: Annotated[
        Path | None,
        option(
            "The table of adjudicated NIH labels; the labels taken from reports are judged by it.",
            metavar="FILE.csv",
        ),
    ] = None,
    folder: Annotated[
        Path | None, option("A folder for sources.json and the tables as CSV.", "--out", metavar="DIR")
    ] = None,
    as_json: TableAsJson = False,
) -> None:
    """Counts, prevalence by source, overlap, and findings that stand together."""
    from tetkik.documents.write import write_files
    from tetkik.lab.findings.agreement import judge_text_labels, read_adjudicated
    from tetkik.lab.findings.data import read_sources
    from tetkik.lab.findings.source_summary import summarise, summary_files
    from tetkik.lab.findings.sources import Reading, parse_rule

    rules = tuple(parse_rule(rule) for rule in known or ())
    images = read_sources(specs, Reading(check_files=files, keep_others=others, known=rules))
    if duplicates:
        images = _joined(images)
    summary = summarise(images)
    agreements = judge_text_labels(read_adjudicated(adjudicated)) if adjudicated else ()
    contents = summary_files(summary, agreements)
    if as_json:
        print_json_line(json.loads(contents["sources.json"]))
    else:
        _show(summary, agreements)
    if folder is not None:
        with writing(folder):
            paths = write_files(contents, folder)
        note("{count} files are in {folder}.", count=len(paths), folder=folder)


def _joined(images: LabelledImages) -> LabelledImages:
    from tetkik.lab.engine.duplicate_images import duplicate_images, thumbnails

    with progress(t("duplicates")) as report:
        small, readable = thumbnails(images.files, progress=report)
    if unreadable := len(readable) - int(readable.sum()):
        note("Images that cannot be read: {count}; they are not compared.", count=unreadable)
    return images.grouped(duplicate_images(small, readable))


def _show(summary: Summary, agreements: tuple[Agreement, ...]) -> None:
    out.print(
        Text(t("{n} images", n=summary.images), style="bold"),
        Text(t("{n} patients or groups", n=summary.groups), style="dim"),
    )
    tables = (
        _sources(summary),
        _labels(summary),
        _overlaps(summary),
        _pairs(summary),
        _agreements(agreements),
    )
    for made in tables:
        if made is not None:
            out.print()
            out.print(made)
    for title, counts in (
        (t("Rows left out"), {t(reason): count for reason, count in summary.left_out.items()}),
        (t("Labels without a counterpart"), summary.other_labels),
    ):
        if counts:
            out.print()
            made = table(title, "n")
            for name, count in counts.items():
                add_row(made, shown(name), count)
            out.print(made)


def _sources(summary: Summary) -> Table:
    titles = (
        t("images"),
        t("patients"),
        t("nameless"),
        t("groups"),
        "PA / AP",
        t("F / M"),
        t("age"),
        t("weight"),
    )
    made = table(t("source"), *titles)
    for source in summary.sources:
        views, sexes = _two(source.views, "PA", "AP"), _two(source.sexes, "F", "M")
        age = None if source.age is None else f"{source.age[1]:.0f}"
        counts = (source.images, source.patients, source.unnamed, source.groups)
        add_row(made, shown(source.source), *counts, views, sexes, age, f"{100 * source.weight:.0f}%")
    return made


def _two(counts: Mapping[str, int], first: str, second: str) -> str:
    some, more = counts.get(first, 0), counts.get(second, 0)
    return f"{some} / {more}" if some or more else "–"


def _labels(summary: Summary) -> Table:
    side_by_side = summary.sources if 1 < len(summary.sources) <= _COLUMNS else ()
    titles = [t("label"), t("present"), t("absent"), t("unknown"), t("prevalence")]
    made = table(*titles, *(shown(source.source) for source in side_by_side))
    for count in summary.whole.labels:
        beside = (
            next((one.prevalence for one in source.labels if one.label == count.label), None)
            for source in side_by_side
        )
        shares = ("–" if share is None else f"{100 * share:.1f}%" for share in (count.prevalence, *beside))
        add_row(made, shown(count.label), count.present, count.absent, count.unknown, *shares)
    return made


def _overlaps(summary: Summary) -> Table | None:
    if not summary.overlaps:
        return None
    made = table(
        t("sources that share people or pictures"), t("groups"), t("images by name"), t("rows of each")
    )
    for overlap in summary.overlaps:
        rows = f"{overlap.first_rows} / {overlap.second_rows}"
        add_row(made, shown(f"{overlap.first} · {overlap.second}"), overlap.groups, overlap.images, rows)
    return made


def _pairs(summary: Summary) -> Table | None:
    pairs = summary.pairs(_LEAST)
    if not pairs:
        return None
    made = table(t("findings together"), t("observed"), t("expected"), t("ratio"), t("of"))
    chosen = (*pairs[:_PAIRS], *pairs[max(_PAIRS, len(pairs) - _PAIRS) :])
    for pair in chosen:
        names = shown(f"{pair.first} · {pair.second}")
        add_row(made, names, pair.observed, f"{pair.expected:.1f}", short(pair.ratio), pair.n)
    return made


def _agreements(agreements: tuple[Agreement, ...]) -> Table | None:
    if not agreements:
        return None
    rates = (t("prevalence"), t("sensitivity"), t("specificity"), t("PPV"), "kappa")
    made = table(t("labels from reports, judged"), "n", *rates)
    for item in agreements:
        found = (item.prevalence, item.sensitivity, item.specificity, item.ppv, item.kappa)
        add_row(made, item.label, item.n, *map(_rate, found))
    return made


def _rate(rate: Rate) -> str:
    value, interval = (cell_text(short(item), language()) for item in (rate.value, rate.ci))
    return f"{value} [{interval}]" if rate.value is not None and rate.ci is not None else value
