"""`tetkik findings predict`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import err, note, out, print_json_line, progress, show_error, t
from tetkik.cli.findings.inputs import answered
from tetkik.cli.options import LinesAsJson, Model, Paths
from tetkik.errors import TetkikError, UsageError
from tetkik.settings import settings
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from tetkik.findings.heatmaps import HeatmapWriter
    from tetkik.findings.predict import Study


def predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(help=t("Images, folders of them, or quoted patterns."), metavar="IMAGE"),
    ] = None,
    *,
    source: Paths = None,
    model: Model = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(
            "--heatmaps", help=t("The folder for pictures of where the model looked."), metavar="DIR"
        ),
    ] = None,
    as_json: LinesAsJson = False,
    no_gate: Annotated[
        bool,
        typer.Option("--no-gate", help=t("Read every image, suitable or not; for evaluation only.")),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=0,
            max=256,
            help=t("Processes that read files; 0 for none. Default: one for each core."),
        ),
    ] = None,
) -> None:
    """One answer for each image, in order; a bad file costs that file alone."""
    from tetkik.findings.predict import load_findings

    if not images and source is None:
        raise UsageError("No image was given; name a file or a folder, or a list of files with --input.")
    findings = load_findings(model, gate=not no_gate)
    writer = None
    if heatmaps is not None:
        from tetkik.findings.heatmaps import HeatmapWriter

        writer = HeatmapWriter.open(findings, heatmaps)
    number, failed = 0, False
    with ExitStack() as stack:
        # Where the answers themselves scroll past on a terminal, a bar would only stand in their way.
        tell = stack.enter_context(progress("findings")) if err.is_terminal and not out.is_terminal else None
        side = writer.side if writer else 0
        answers = answered(images or [], source, lambda files: findings.study_many(files, workers, side))
        for number, (path, item) in enumerate(answers, 1):
            if isinstance(item, TetkikError):
                failed = True
                _show_failure(path, item, as_json)
            else:
                _show(item, writer, as_json, first=number == 1)
            if tell is not None:
                tell("images", number, None)
    if number == 0:
        note("There is no image in {name}.", name=t("standard input") if source == "-" else source)
    elif not as_json:
        out.print()
        out.print(t("Model: {model}.", model=findings.name), style="dim")
        out.print(t(DISCLAIMER["en"]), style="dim")
    if failed:
        raise typer.Exit(1)


def _show_failure(path: str, error: TetkikError, as_json: bool) -> None:
    if as_json:
        print_json_line({"path": path or None, "error": error.in_language(settings().language)})
    else:
        show_error(error)


def _show(study: Study, writer: HeatmapWriter | None, as_json: bool, *, first: bool) -> None:
    drawn = {} if writer is None else writer.write(study)
    if as_json:
        answer = study.result.as_json()
        if writer is not None:
            answer["heatmaps"] = {label: str(path) for label, path in drawn.items()}
        print_json_line(answer)
        return
    from tetkik.cli.findings.answer import show_answer

    if not first:
        out.print()
    show_answer(study.result)
    for path in drawn.values():
        out.print("  " + t("Heatmap: {path}", path=path), style="dim", soft_wrap=True)
