"""`tetkik triage train`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.cli.config import configurable
from tetkik.cli.console import note, out, print_line, progress, t, warn, writing
from tetkik.cli.options import BundleFolder, check_output_folder, option, with_options
from tetkik.cli.tables import metrics_shown
from tetkik.cli.triage.evaluate import Data, Invented, say_left_out
from tetkik.lab.engine.card import model_id
from tetkik.lab.engine.tracking import Tracker
from tetkik.lab.triage.transformer.data import TransformerOptions
from tetkik.values import DEPARTMENTS, ProgressCallback

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.triage.data import Complaints
    from tetkik.lab.triage.linear.train import LinearOptions


class ModelFamily(StrEnum):
    """Family of models."""

    LINEAR = "linear"
    TRANSFORMER = "transformer"
    URGENCY = "urgency"


@configurable
@with_options
def train(
    data: Data,
    *,
    folder: BundleFolder,
    kind: Annotated[
        ModelFamily,
        option(
            "A linear model, a transformer, or a model of urgency; epochs, tuning, precision and processes "
            "are the transformer's."
        ),
    ] = ModelFamily.LINEAR,
    all_labels: Annotated[
        bool, option("Learn every label of the table, not only the 15 departments.")
    ] = False,
    assess: Annotated[bool, option("Linear: measure the card's figures by nested cross-validation.")] = True,
    deduplicate: Annotated[bool, option("Linear: look for near duplicates first.")] = True,
    invented: Invented = None,
    options: TransformerOptions,
) -> None:
    """A bundle with its card; nothing is written where the training does not end well."""
    from tetkik.lab.triage.data import read_complaints, read_invented

    check_output_folder(folder, options.id)
    if options.tracker is not Tracker.NONE and kind is not ModelFamily.TRANSFORMER:
        note("A linear model has no epochs to log; --tracker is for transformers.")
    if kind is ModelFamily.URGENCY:
        _say(_urgency(data, folder, options, assess=assess))
        return
    complaints = read_complaints(data, labels=None if all_labels else DEPARTMENTS)
    say_left_out(complaints.left_out)
    more = read_invented(invented, labels=set(complaints.labels)) if invented else None
    with progress(t("train")) as report, writing(folder):
        tell = report
        if kind is ModelFamily.LINEAR:
            if options.tune:
                note("The linear model always chooses its settings itself; --tune is for transformers.")
            from tetkik.lab.triage.linear.train import LinearOptions

            linear = LinearOptions(
                id=model_id(options.id, folder, "triage-linear"),
                assess=assess,
                deduplicate=deduplicate,
                resume=options.resume,
                licence=options.licence,
                data_name=options.data_name,
                reference=options.reference,
            )
            bundle = _linear(complaints, folder, linear, tell, more)
        else:
            from tetkik.lab.triage.transformer.train import train_transformer

            bundle = train_transformer(complaints, folder, options, tell)
    _say(bundle)


def _urgency(data: Path, folder: Path, options: TransformerOptions, *, assess: bool) -> Bundle:
    from tetkik.lab.triage.urgency.train import UrgencyOptions, read_levels, train_urgency

    chosen = UrgencyOptions(
        id=model_id(options.id, folder, "urgency-linear"),
        licence=options.licence,
        data_name=options.data_name,
        assess=assess,
    )
    complaints, writers = read_levels(data)
    say_left_out(complaints.left_out)
    with progress(t("train")) as tell, writing(folder):
        return train_urgency(complaints, writers, folder, chosen, tell)


def _say(bundle: Bundle) -> None:
    out.print(metrics_shown(bundle.manifest.metrics))
    print_line("The model is in {path}.", path=bundle.path)


def _linear(
    complaints: Complaints,
    folder: Path,
    options: LinearOptions,
    tell: ProgressCallback,
    invented: Complaints | None,
) -> Bundle:
    from tetkik.lab.triage.linear.train import train_linear

    try:
        return train_linear(complaints, folder, options, tell, invented)
    except KeyboardInterrupt:
        warn("Stopped; run the same command with --resume to go on where it ended.")
        raise typer.Exit(130) from None
