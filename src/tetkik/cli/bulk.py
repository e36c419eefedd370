"""`tetkik bulk`: whole archives and tables, by processes of this machine or on a Ray cluster."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.bundle import Task
from tetkik.cli.console import note, print_json_line, print_line, progress, t
from tetkik.cli.options import AnswerAsJson, Model, OnDevice, argument, option
from tetkik.errors import MissingExtra, UsageError
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from tetkik.choices import Device
    from tetkik.fleet.bulk import BulkResult

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Out = Annotated[
    Path,
    option("The folder of the parts; the same one goes on with what is missing.", "--out", metavar="DIR"),
]
RayAddress = Annotated[
    str | None,
    option("Score on the Ray cluster at this address, or auto; without it on this machine.", "--ray"),
]
Processes = Annotated[
    int | None,
    option("Processes that score on this machine. Default: one for each core.", min=1, max=1024),
]
Column = Annotated[
    str | None, option("The column of the tables that is read; without it the one that is named as usual.")
]
HashPaths = Annotated[bool, option("Write paths as keyed hashes; the key lies in DIR/paths.key.")]
PartRows = Annotated[int, option("Inputs in one part.", min=1, max=1_000_000)]


@app.command("findings", help=t("Score an archive of images into Parquet."))
def findings(
    source: Annotated[
        str, argument("A folder, an image, a table (.parquet, .csv), or s3://bucket/folder.", "ARCHIVE")
    ],
    *,
    out: Out,
    model: Model = None,
    images: Annotated[
        str | None,
        option("Where the paths in a table start; without it beside the table.", "--images", metavar="DIR"),
    ] = None,
    column: Column = None,
    hash_paths: HashPaths = False,
    ray: RayAddress = None,
    processes: Processes = None,
    part_rows: PartRows = 256,
    device: OnDevice = None,
    as_json: AnswerAsJson = False,
) -> None:
    """One row for each image; a bad file is a row with an error."""
    result = _run(
        Task.FINDINGS, source, out, model, images, column, hash_paths, ray, processes, part_rows, device
    )
    _show(result, out, as_json)


@app.command("triage", help=t("Score tables of complaints into Parquet."))
def triage(
    source: Annotated[
        str, argument("A table (.parquet, .csv) with a column text, a folder of them, or s3://…", "TABLE")
    ],
    *,
    out: Out,
    model: Model = None,
    column: Column = None,
    hash_paths: HashPaths = False,
    ray: RayAddress = None,
    processes: Processes = None,
    part_rows: PartRows = 10_000,
    device: OnDevice = None,
    as_json: AnswerAsJson = False,
) -> None:
    """One row for each complaint, without its words; a bad row is a row with an error."""
    result = _run(
        Task.TRIAGE, source, out, model, None, column, hash_paths, ray, processes, part_rows, device
    )
    _show(result, out, as_json)


def _run(
    task: Task,
    source: str,
    out: Path,
    model: str | None,
    images: str | None,
    column: str | None,
    hash_paths: bool,
    ray: str | None,
    processes: int | None,
    part_rows: int,
    device: Device | None,
) -> BulkResult:
    if ray is not None and processes is not None:
        raise UsageError("--processes is for this machine; leave it out with --ray.")
    try:
        import pyarrow  # noqa: F401

        from tetkik.fleet.bulk import make_job, run_bulk
        from tetkik.fleet.bulk.local import LocalRunner

        if ray is not None:
            import ray as _ray  # noqa: F401
    except ImportError:
        raise MissingExtra("Bulk scoring needs pyarrow and Ray; `{extra}`.", extra="ray") from None
    from tetkik.fleet.bulk.ray_cluster import connected

    with ExitStack() as stack:
        job = make_job(task, source, model=model, images=images, column=column, device=device)
        runner = LocalRunner(processes) if ray is None else stack.enter_context(connected(ray))
        tell = stack.enter_context(progress("bulk"))
        return run_bulk(
            job,
            out,
            runner,
            part_rows=part_rows,
            hash_paths=hash_paths,
            progress=lambda done, parts: tell("parts", done, parts),
        )


def _show(result: BulkResult, out: Path, as_json: bool) -> None:
    if as_json:
        print_json_line(
            {"rows": result.rows, "errors": result.errors, "parts": result.parts, "kept": result.kept}
        )
    else:
        print_line(
            "{rows} rows in {parts} parts, {errors} of them with an error: {out}",
            rows=result.rows,
            parts=result.parts,
            errors=result.errors,
            out=out,
        )
        note(DISCLAIMER["en"])
    if result.errors:
        raise typer.Exit(1)
