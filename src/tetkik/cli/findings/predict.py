"""`tetkik findings predict`."""

from __future__ import annotations

import csv
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from tetkik.cli.console import language, out, print_json_line, shown, t
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
from tetkik.values.common import DISCLAIMER
from tetkik.values.finding import Finding, FindingsResult, ThresholdOn
from tetkik.values.finding_labels import NORMAL_LABELS, label_name, route_of
from tetkik.values.radiograph import Route

if TYPE_CHECKING:
    from tetkik.findings.heatmaps.writer import HeatmapWriter
    from tetkik.findings.predict import Study


# One answer about an image on the terminal: what kind it is, what was found, what was not looked for.


ROUTES = {Route.CHEST: "Chest radiograph", Route.BRAIN_MRI: "Brain MRI slice"}
_BAR = 24
_NAME = 30


def show_answer(result: FindingsResult) -> None:
    out.print(Text(shown(result.path), style="bold"), soft_wrap=True)
    head = Text("  ")
    if not result.suitable:
        head.append(f" {t('NOT READ')} ", style="black on yellow")
    elif result.route is not None:
        head.append(t(ROUTES[result.route]), style="cyan")
    if result.screen is not None:
        head.append(
            "  " + t("anything abnormal: {percent}%", percent=percent_of(result.screen)), style="bold"
        )
    if head.plain.strip():
        out.print(head)
    for reason in result.reasons:
        say_indented(reason, "yellow")
    for note in result.notes:
        say_indented(note, "dim")
    if result.suitable:
        _show_findings(result)


def _show_findings(result: FindingsResult) -> None:
    assessed = [finding for finding in result.findings if finding.assessed]
    for finding in sorted(assessed, key=_place):
        out.print(_line(finding))
    if assessed and not any(item.positive for item in assessed if item.label not in NORMAL_LABELS):
        if any(item.rules_out for item in assessed):
            say_indented(t("No finding reaches its threshold; only what is marked so is ruled out."))
        else:
            say_indented(t("No finding reaches its threshold; that alone rules nothing out."))
    missing = [
        label_name(item.label, language())
        for item in result.findings
        if not item.assessed and (result.route is None or route_of(item.label) is result.route)
    ]
    if missing:
        say_indented(t("Not assessed: {names}", names=", ".join(missing)), "dim")


def say_indented(sentence: str, style: str = "") -> None:
    """A sentence, indented on every line that it takes."""
    out.print(Padding(Text(shown(sentence), style=style), (0, 0, 0, 2)))


def _place(finding: Finding) -> tuple[int, bool, bool, float]:
    """By route, what is found first, then what is likeliest; the labels for "nothing wrong" last."""
    route = list(Route).index(route_of(finding.label))
    return route, finding.label in NORMAL_LABELS, not finding.positive, -_value(finding)


def _value(finding: Finding) -> float:
    value = finding.score if finding.probability is None else finding.probability
    return value or 0.0


def percent_of(value: float) -> str:
    """Never 0 or 100 for what is not quite that."""
    if value < 0.005:
        return "<1"
    return ">99" if value >= 0.995 else f"{100 * value:.0f}"


def _line(finding: Finding) -> Text:
    normal = finding.label in NORMAL_LABELS
    found = "green" if normal else "bold red"
    name = shown(label_name(finding.label, language()))
    line = Text().append("  ● " if finding.positive else "  ○ ", style=found if finding.positive else "dim")
    line.append(f"{name:<{_NAME}}", style="" if not finding.positive or normal else "bold")
    line.append(_bar(finding, max(0, min(_BAR, out.width - _NAME - 24)), found))
    # A score nobody has calibrated is not a probability and is not shown as a percentage.
    if finding.probability is None:
        line.append(f" {finding.score:.2f}")
    else:
        percent = t("{percent}%", percent=percent_of(finding.probability))
        line.append(f" {percent:>4}")
    if finding.uncertain:
        line.append("  " + t("unsure"), style="yellow")
    elif finding.positive and not normal:
        line.append("  " + (t("found") if finding.asserted else t("suggested")), style=found)
    elif finding.rules_out and not normal:
        line.append("  " + t("ruled out"), style="green")
    return line


def _bar(finding: Finding, width: int, found: str) -> Text:
    """The value as a bar, with a mark at the threshold where the two are on one scale."""
    filled = round(width * _value(finding))
    bar = Text("█" * filled, style=found if finding.positive else "cyan").append(
        "░" * (width - filled), style="dim"
    )
    shown_on = ThresholdOn.SCORE if finding.probability is None else ThresholdOn.PROBABILITY
    if width and finding.threshold is not None and finding.threshold_on is shown_on:
        place = min(width - 1, int(width * finding.threshold))
        bar = bar[:place] + Text("│", style="bold") + bar[place + 1 :]
    return bar


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

    if not first:
        out.print()
    show_answer(study.result)
    for path in drawn.values():
        out.print("  " + t("Heatmap: {path}", path=path), style="dim", soft_wrap=True)
