"""`tetkik caption prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.cli.console import note, out, print_json_line, print_line, progress, shown, t, warn, writing
from tetkik.cli.options import FiguresAsJson, argument, option
from tetkik.cli.tables import table, totals
from tetkik.lab.caption.sources.opening import SourceKind

if TYPE_CHECKING:
    from rich.table import Table

    from tetkik.lab.caption.prepare import PrepareReport

_MIB = 1 << 20
_GIB = 1 << 30


def prepare(
    source: Annotated[
        str,
        argument(
            "The folder of ROCOv2, of ROCO or of a Hugging Face dataset; a table (CSV, TSV) of files and "
            "captions; or a hub id.",
            "SOURCE",
        ),
    ],
    *,
    target: Annotated[Path, option("The prepared folder.", "--out", metavar="DIR")],
    kind: Annotated[SourceKind, option("The layout; auto tells it by what lies there.")] = SourceKind.AUTO,
    images: Annotated[
        Path | None,
        option("For a table: the folder its file names are relative to. Default: its own.", metavar="DIR"),
    ] = None,
    base: Annotated[
        str | None,
        option(
            "The model to prepare for: its image size and its tokenizer. Default: BLIP-2's size.",
            metavar="ID_OR_PATH",
        ),
    ] = None,
    revision: Annotated[str | None, option("Commit of the base on the hub.")] = None,
    max_tokens: Annotated[int, option("With a base: captions are cut after so many tokens.", min=4)] = 128,
    rgb_only: Annotated[bool, option("Leave out files that are not stored in RGB mode.")] = False,
    aside: Annotated[
        float | None,
        option(
            "Share of the training cases that becomes the test split, by hash.",
            "--set-aside",
            metavar="SHARE",
        ),
    ] = None,
    keep_duplicates: Annotated[
        bool, option("Keep a picture or caption in every split that it is in.")
    ] = False,
    limit: Annotated[int | None, option("Only the first N rows of each split.", metavar="N", min=1)] = None,
    workers: Annotated[int, option("Processes that decode. Default: one a core.", min=0)] = 0,
    shard_mb: Annotated[int, option("MiB of pixels in one shard; it bounds the memory.", min=1)] = 64,
    as_json: FiguresAsJson = False,
) -> None:
    """Images and captions, checked, cleaned, resized and tokenised once for a model."""
    from tetkik.lab.caption.prepare import PrepareOptions, missing_files
    from tetkik.lab.caption.prepare import prepare as run
    from tetkik.lab.caption.sources import open_source, set_aside

    options = PrepareOptions(
        base=base,
        revision=revision,
        rgb_only=rgb_only,
        keep_duplicates=keep_duplicates,
        max_tokens=max_tokens,
        limit=limit,
        workers=workers,
        shard_mb=shard_mb,
    )
    opened = open_source(source, kind, images=images)
    if aside is not None:
        opened = set_aside(opened, aside)
    missing, rows, first = missing_files(opened, limit)
    if missing:
        warn(
            "Image files that are missing: {count} of {rows}, such as {file}.",
            count=missing,
            rows=rows,
            file=first,
        )
    with progress("prepare") as tell, writing(target):
        report = run(opened, target, options, tell)
    if as_json:
        print_json_line(report.as_json())
        return
    _show(report)
    if limit is None:
        _compare(report)


def _show(report: PrepareReport) -> None:
    out.print(
        Text(shown(report.source), style="bold"),
        Text(t("{n} images kept", n=f"{report.kept:,}"), style="dim"),
    )
    out.print()
    out.print(_splits(report))
    if report.reference is not None:
        out.print(Text(t("Published: {reference}.", reference=report.reference), style="dim"))
    rgb = sum(part.tally.rgb for part in report.splits)
    grey = sum(part.tally.rgb_grey for part in report.splits)
    if rgb:
        out.print()
        print_line(
            "Of {rgb} files stored as RGB, {grey} are grey pictures: filtering by file mode selects a "
            "file format, not colour.",
            rgb=f"{rgb:,}",
            grey=f"{grey:,}",
        )
    for title, counts in (
        (t("Rows left out"), {t(reason.value): count for reason, count in report.left_out.items()}),
        (
            t("Alike in two splits"),
            {t(kind.value): count for kind, count in report.duplicates.items() if count},
        ),
    ):
        if counts:
            out.print()
            made = table(title, "n")
            for words, count in counts.items():
                made.add_row(Text(words), f"{count:,}")
            out.print(made)
    out.print()
    out.print(_facts(report))


def _splits(report: PrepareReport) -> Table:
    published = report.reference is not None
    titles = ["", t("listed"), t("stored as RGB"), t("of them grey"), t("left out"), t("kept")]
    if published:
        titles[2:2] = [t("published")]
        titles[4:4] = [t("published")]
    made = table(*titles)
    for part in report.splits:
        tally = part.tally
        cells = [tally.listed, tally.rgb, tally.rgb_grey, sum(tally.left_out.values()), part.kept]
        texts = [f"{cell:,}" for cell in cells]
        if published:
            texts[1:1] = [_count(part.published)]
            texts[3:3] = [_count(part.published_rgb)]
        made.add_row(part.split.value, *texts)
    return made


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _facts(report: PrepareReport) -> Table:
    made = totals()
    made.add_row(t("words of a caption, median"), f"{report.median_words:g}")
    if report.median_tokens is not None:
        made.add_row(t("tokens of a caption, median"), f"{report.median_tokens:g}")
        made.add_row(t("captions that were cut"), f"{report.cut:,}")
    made.add_row(t("cases or articles in more than one split"), f"{report.crossing_groups:,}")
    made.add_row(
        t("on disk"),
        f"{report.bytes / _GIB:.1f} GiB" if report.bytes >= _GIB else f"{report.bytes / _MIB:.1f} MiB",
    )
    return made


def _compare(report: PrepareReport) -> None:
    for part in report.splits:
        tally = part.tally
        if part.published is not None and tally.listed != part.published:
            warn(
                "{split}: {listed} rows, where {published} were published.",
                split=part.split.value,
                listed=f"{tally.listed:,}",
                published=f"{part.published:,}",
            )
        elif part.published_rgb is not None and tally.rgb != part.published_rgb:
            warn(
                "{split}: {rgb} files stored as RGB, where {published} were published.",
                split=part.split.value,
                rgb=f"{tally.rgb:,}",
                published=f"{part.published_rgb:,}",
            )
    if report.crossing_groups:
        warn(
            "{count} cases or articles are in more than one split of this source; its figures on test are "
            "the more flattering for it.",
            count=f"{report.crossing_groups:,}",
        )
    note("Rows left out and duplicates are listed in {folder}.", folder=report.out)
