"""`tetkik findings predict`."""

from __future__ import annotations

import csv
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.console import out, print_json_line, t
from tetkik.cli.findings.inputs import (
    Images,
    Thresholds,
    Workers,
    parse_thresholds,
    require_images,
    show_answers,
)
from tetkik.cli.options import LinesAsJson, Model, OnDevice, Paths, option
from tetkik.errors import UsageError
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from tetkik.findings.heatmaps import HeatmapWriter
    from tetkik.findings.predict import Study


class HeatmapMethod(StrEnum):
    """As `tetkik.findings.heatmaps.Method`, which loads Pillow."""

    CAM = "cam"
    GRAD_CAM = "grad_cam"
    OCCLUSION = "occlusion"


def predict(
    images: Images = None,
    *,
    source: Paths = None,
    model: Model = None,
    heatmaps: Annotated[
        Path | None, option("The folder for pictures of where the model looked.", metavar="DIR")
    ] = None,
    heatmap_method: Annotated[
        HeatmapMethod | None, option("How heatmaps are made; without it the best that the model allows.")
    ] = None,
    thresholds: Thresholds = None,
    as_json: LinesAsJson = False,
    as_csv: Annotated[
        bool, option("Print the scores as CSV: one line an image, one column a label.", "--csv")
    ] = False,
    no_gate: Annotated[bool, option("Read every image, suitable or not; for evaluation only.")] = False,
    workers: Workers = None,
    device: OnDevice = None,
) -> None:
    """One answer for each image, in order; a bad file costs that file alone."""
    from tetkik.findings.predict import load_findings

    require_images(images, source)
    if as_csv and (as_json or heatmaps is not None):
        raise UsageError("--csv prints scores alone; leave out --json and --heatmaps.")
    on_torch = heatmaps is not None and heatmap_method is HeatmapMethod.GRAD_CAM
    given = parse_thresholds(thresholds)
    findings = load_findings(model, gate=not no_gate, on_torch=on_torch, thresholds=given, device=device)
    writer = None
    if heatmaps is not None:
        from tetkik.findings.heatmaps import HeatmapWriter, Method, heatmaps_for

        method = None if heatmap_method is None else Method(heatmap_method.value)
        writer = HeatmapWriter.open(findings, heatmaps, heatmaps_for(findings.model, method))
    side = writer.side if writer else 0

    def show(study: Study, first: bool) -> None:
        if as_csv:
            _show_csv(study, tuple(findings.points.points), first=first)
        else:
            _show(study, writer, as_json, first=first)

    def close() -> None:
        if as_csv:
            return
        out.print()
        out.print(t("Model: {model}.", model=findings.name), style="dim")
        out.print(t(DISCLAIMER["en"]), style="dim")

    show_answers(
        images,
        source,
        lambda files: findings.study_many(files, workers, side),
        show,
        close,
        label="findings",
        as_json=as_json,
    )


def _show_csv(study: Study, labels: tuple[str, ...], *, first: bool) -> None:
    """The network's scores in the order of the labels, empty where not assessed."""
    lines = StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    if first:
        writer.writerow(("file", *labels))
    scores = {item.label: item.score for item in study.result.findings}
    writer.writerow(
        (study.result.path, *("" if (at := scores.get(x)) is None else f"{at:.6f}" for x in labels))
    )
    typer.echo(lines.getvalue(), nl=False)


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
