"""`tetkik findings calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.bundle import Task, refuse_same_folder, resolve
from tetkik.cli.console import language, note, out, print_line, progress, t, warn, writing
from tetkik.cli.findings.evaluate import Images, Known, NoGate, Sources, read_images
from tetkik.cli.findings.inputs import Workers
from tetkik.cli.options import (
    BundleFolder,
    FiguresAsJson,
    ModelName,
    NeededModel,
    argument,
    check_output_folder,
    option,
)
from tetkik.cli.tables import add_row, echo_json, say_list, short, table
from tetkik.lab.findings.thresholds import Rule

if TYPE_CHECKING:
    from rich.table import Table

    from tetkik.lab.findings.calibrated import Calibrated


def calibrate(
    data: Annotated[Path | None, argument("A table of images and their labels.", "[LABELS.csv]")] = None,
    *,
    model: NeededModel,
    folder: BundleFolder,
    images: Images = None,
    sources: Sources = None,
    known: Known = None,
    rule: Annotated[Rule, option("What makes a label's threshold the best.", "--threshold")] = Rule.YOUDEN,
    min_positives: Annotated[
        int,
        option("Patients or groups known each way below which a label keeps what it had.", min=1),
    ] = 30,
    data_name: Annotated[str | None, option("What the card calls the data; else the folder.")] = None,
    no_gate: NoGate = False,
    seed: Annotated[int, option("Of the division into folds.", min=0)] = 0,
    name: ModelName = None,
    workers: Workers = None,
    as_json: FiguresAsJson = False,
) -> None:
    """A bundle with the same weights; calibration and all points come from these images."""
    from tetkik.lab.findings.calibration import CalibrationOptions
    from tetkik.lab.findings.calibration import calibrate as fit

    check_output_folder(folder, name)
    bundle = resolve(model, Task.FINDINGS)
    refuse_same_folder(bundle, folder)
    labelled = read_images(data, sources or [], images, known or [], check_files=True)
    called = data_name or (data or images or Path(", ".join(sources or []))).name
    options = CalibrationOptions(called, rule, min_positives, not no_gate, seed, name)
    with progress(t("calibrate")) as report, writing(folder):
        done = fit(bundle, labelled, folder, options, workers, report)
    if as_json:
        echo_json(done.as_json())
    else:
        _show(done)
        print_line("The model is in {path}.", path=done.bundle.path)


def _show(done: Calibrated) -> None:
    from tetkik.lab.engine.learned_report import around
    from tetkik.lab.findings.calibrated import Change

    out.print(
        Text(done.bundle.manifest.name, style="bold"),
        Text(t("{n} images", n=done.images), style="dim"),
        Text(t("{n} patients or groups", n=done.groups), style="dim"),
    )
    out.print(_labels(done))
    say_list(around((), [done.learned], [done.source]))
    if done.same_patient:
        note("Other images of the same patients left out: {count}.", count=done.same_patient)
    if kept := done.of(Change.KEPT):
        note("Too few cases; they keep what they had: {labels}.", labels=", ".join(kept))
    if lost := done.of(Change.NOT_ASSESSED):
        warn(
            "The scores of these labels do not tell the images apart, so they are no longer assessed: "
            "{labels}.",
            labels=", ".join(lost),
        )


def _labels(done: Calibrated) -> Table:
    from tetkik.lab.findings.calibrated import Change
    from tetkik.values import label_name

    titles = ("n+", "n−", t("threshold before"), t("threshold"), t("sensitivity"), t("specificity"))
    made = table(t("finding"), *titles, t("stated from"), t("ruled out"))
    for item in done.labels:
        if item.change is Change.CALIBRATED:
            after = item.after
            assert after is not None
            found = map(item.figures.get, ("sensitivity", "specificity"))
            shares = (short(figure and figure.value) for figure in found)
            counts = (item.counts.present, item.counts.absent)
            thresholds = (short(item.before.threshold), short(after.threshold))
            drafts = (short(after.asserts), t("yes") if after.rules_out else t("no"))
            add_row(made, label_name(item.label, language()), *counts, *thresholds, *shares, *drafts)
    return made
