"""`tetkik triage train`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.bundle import REFERENCE_COMPLAINTS, bundle_id
from tetkik.cli.console import note, out, progress, t, warn, writing
from tetkik.cli.options import BundleFolder, Licence, ModelName, Resume
from tetkik.cli.output_folder import check_output_folder
from tetkik.cli.tables import in_language
from tetkik.cli.triage.evaluate import say_left_out
from tetkik.lab.engine.precision import Precision
from tetkik.lab.triage.transformer.options import DEFAULT_BASE, Imbalance, TransformerOptions
from tetkik.values import DEPARTMENTS, ProgressCallback

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.triage.data import Complaints
    from tetkik.lab.triage.linear.train import LinearOptions


class Kind(StrEnum):
    """Family of models."""

    LINEAR = "linear"
    TRANSFORMER = "transformer"


def train(
    data: Annotated[
        Path, typer.Argument(help=t("A CSV file with the columns text and label."), metavar="DATA.csv")
    ],
    *,
    folder: BundleFolder,
    kind: Annotated[
        Kind, typer.Option("--kind", help=t("A light linear model, or a transformer."))
    ] = Kind.LINEAR,
    name: ModelName = None,
    all_labels: Annotated[
        bool,
        typer.Option("--all-labels", help=t("Learn every label of the table, not only the 15 departments.")),
    ] = False,
    licence: Licence = "unknown",
    data_name: Annotated[
        str, typer.Option("--data-name", help=t("What the card calls the data."))
    ] = "training table",
    reference: Annotated[
        int,
        typer.Option(
            "--reference",
            min=0,
            help=t("Most held-out complaints that the reference for drift is taken from; 0 for none."),
        ),
    ] = REFERENCE_COMPLAINTS,
    resume: Resume = False,
    assess: Annotated[
        bool,
        typer.Option(
            "--assess/--no-assess", help=t("Linear: measure the card's figures by nested cross-validation.")
        ),
    ] = True,
    deduplicate: Annotated[
        bool,
        typer.Option("--deduplicate/--no-deduplicate", help=t("Linear: look for near duplicates first.")),
    ] = True,
    base: Annotated[
        str | None,
        typer.Option("--base", help=t("Transformer: a Hugging Face id or a path; without it BioBERTurk.")),
    ] = None,
    tune: Annotated[
        int,
        typer.Option("--tune", min=0, help=t("Transformer: how many settings to try first, on validation.")),
    ] = 0,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help=t("Transformer: most passes over the data."))
    ] = 5,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help=t("Transformer: rows in one step."))
    ] = 32,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", min=0, help=t("Transformer: highest learning rate."))
    ] = 3e-5,
    max_length: Annotated[
        int, typer.Option("--max-length", min=8, help=t("Transformer: tokens read of a complaint."))
    ] = 256,
    imbalance: Annotated[
        Imbalance, typer.Option("--imbalance", help=t("Transformer: what is done about rare departments."))
    ] = Imbalance.WEIGHTS,
    precision: Annotated[
        Precision, typer.Option("--precision", help=t("Transformer: numbers to train in."))
    ] = Precision.AUTO,
    accumulation: Annotated[
        int, typer.Option("--accumulation", min=1, help=t("Transformer: parts of a step, to save memory."))
    ] = 1,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help=t("Transformer: epochs without a gain before it stops."))
    ] = 2,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help=t("Transformer: of the split and the weights."))
    ] = 0,
    threads: Annotated[
        int, typer.Option("--threads", min=0, help=t("Transformer: CPU threads; 0 leaves torch's choice."))
    ] = 0,
    keep_fp32: Annotated[
        bool, typer.Option("--keep-fp32", help=t("Transformer: put the fp32 network into the bundle too."))
    ] = False,
) -> None:
    """A bundle with its card; nothing is written where the training does not end well."""
    from tetkik.lab.triage.data import read_complaints

    check_output_folder(folder, name)
    complaints = read_complaints(data, labels=None if all_labels else DEPARTMENTS)
    say_left_out(complaints.left_out)
    with progress(t("train")) as report, writing(folder):
        tell = in_language(report)
        if kind is Kind.LINEAR:
            if tune:
                note("The linear model always chooses its settings itself; --tune is for transformers.")
            from tetkik.lab.triage.linear.train import LinearOptions

            linear = LinearOptions(
                id=name or bundle_id(folder.resolve().name) or "triage-linear",
                assess=assess,
                deduplicate=deduplicate,
                resume=resume,
                licence=licence,
                data_name=data_name,
                reference=reference,
            )
            bundle = _linear(complaints, folder, linear, tell)
        else:
            from tetkik.lab.triage.transformer.train import train_transformer

            options = TransformerOptions(
                base=base or DEFAULT_BASE,
                id=name,
                licence=licence,
                data_name=data_name,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                max_length=max_length,
                imbalance=imbalance,
                patience=patience,
                seed=seed,
                precision=precision,
                accumulation=accumulation,
                resume=resume,
                tune=tune,
                threads=threads,
                keep_fp32=keep_fp32,
                reference=reference,
            )
            bundle = train_transformer(complaints, folder, options, tell)
    _show(bundle)


def _linear(complaints: Complaints, folder: Path, options: LinearOptions, tell: ProgressCallback) -> Bundle:
    from tetkik.lab.triage.linear.train import train_linear

    try:
        return train_linear(complaints, folder, options, tell)
    except KeyboardInterrupt:
        warn("Stopped; run the same command with --resume to go on where it ended.")
        raise typer.Exit(130) from None


def _show(bundle: Bundle) -> None:
    for metric in bundle.manifest.metrics:
        interval = "" if metric.low is None else f"  {metric.low:.3f} - {metric.high:.3f}"
        out.print(f"{metric.name:<16}{metric.value:.3f}{interval}  n {metric.n}", markup=False)
    out.print(t("The model is in {path}.", path=bundle.path), markup=False, soft_wrap=True)
