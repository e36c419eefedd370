"""`tetkik caption train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.bundle import bundle_id
from tetkik.caption.options import AdapterOptions, Learning, Quantisation
from tetkik.cli.console import err, language, out, progress, shown, t, writing
from tetkik.cli.options import ModelName
from tetkik.cli.tables import brackets, in_language, table
from tetkik.errors import UsageError
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.training.options import (
    DEFAULT_BASE,
    CaptionTraining,
    OptimizerKind,
    StopBy,
)
from tetkik.lab.engine.precision import Precision
from tetkik.lab.engine.schedule import ScheduleKind

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.caption.prepared import Prepared
    from tetkik.language import Sentence

_USUAL, _ADAPTER = CaptionTraining(), AdapterOptions()


def train(
    prepared: Annotated[
        Path | None,
        typer.Argument(help=t("The folder that `caption prepare` wrote."), metavar="DIR"),
    ] = None,
    *,
    folder: Annotated[
        Path | None, typer.Option("--out", help=t("The folder of the bundle to write."))
    ] = None,
    base: Annotated[
        str, typer.Option("--base", help=t("The model to start from: a Hugging Face id or a folder."))
    ] = DEFAULT_BASE,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision", help=t("Commit of the base on the hub; without it the one the hub names now.")
        ),
    ] = None,
    name: ModelName = None,
    licence: Annotated[
        str, typer.Option("--licence", help=t("Licence of the weights, for the card."))
    ] = _USUAL.licence,
    data_name: Annotated[
        str | None,
        typer.Option("--data-name", help=t("What the card calls the data; without it the source's name.")),
    ] = None,
    learning: Annotated[
        Learning,
        typer.Option("--learning", help=t("What learns: an adapter, or all weights after the vision tower.")),
    ] = _USUAL.learning,
    rank: Annotated[int, typer.Option("--rank", min=1, help=t("Rank of the adapter."))] = _ADAPTER.rank,
    alpha: Annotated[
        float, typer.Option("--alpha", help=t("The adapter is scaled by alpha / rank."))
    ] = _ADAPTER.alpha,
    dropout: Annotated[
        float, typer.Option("--dropout", min=0, max=0.9, help=t("Dropout at the adapter's input."))
    ] = _ADAPTER.dropout,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help=t(
                "A linear layer that gets an adapter, such as q_proj; may be given several times. Without it "
                "the query and value projections."
            ),
            metavar="LAYER",
        ),
    ] = None,
    qformer: Annotated[
        bool,
        typer.Option(
            "--qformer", help=t("Adapters in the Q-Former too; the features to cache are then much larger.")
        ),
    ] = _ADAPTER.qformer,
    projection: Annotated[
        bool, typer.Option("--projection", help=t("Train the projection into the language model too."))
    ] = _ADAPTER.projection,
    rslora: Annotated[
        bool, typer.Option("--rslora", help=t("Scale the adapter by alpha / sqrt(rank)."))
    ] = _ADAPTER.rslora,
    dora: Annotated[
        bool, typer.Option("--dora", help=t("Learn magnitude and direction apart; slower."))
    ] = _ADAPTER.dora,
    quantisation: Annotated[
        Quantisation,
        typer.Option(
            "--quantisation",
            help=t("Numbers of the frozen language model: 8 or 4 bits save memory."),
        ),
    ] = _USUAL.quantisation,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help=t("Words before the caption; without it the family's own."))
    ] = None,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=4, help=t("A caption is cut after so many tokens."))
    ] = _USUAL.max_tokens,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help=t("Most passes over the data."))
    ] = _USUAL.epochs,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help=t("Captions in one step, over all processes."))
    ] = _USUAL.batch_size,
    accumulation: Annotated[
        int, typer.Option("--accumulation", min=1, help=t("Parts of a step, to save memory."))
    ] = _USUAL.accumulation,
    checkpointing: Annotated[
        bool,
        typer.Option(
            "--checkpointing", help=t("Compute activations again in the backward pass, to save memory.")
        ),
    ] = _USUAL.checkpointing,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help=t("The highest learning rate."))
    ] = _USUAL.learning_rate,
    warm_up: Annotated[
        float,
        typer.Option("--warm-up", min=0, max=1, help=t("Share of the steps in which the rate rises.")),
    ] = _USUAL.warm_up,
    schedule: Annotated[
        ScheduleKind, typer.Option("--schedule", help=t("How the learning rate falls afterwards."))
    ] = _USUAL.schedule,
    optimizer: Annotated[
        OptimizerKind, typer.Option("--optimizer", help=t("What changes the weights."))
    ] = _USUAL.optimizer,
    weight_decay: Annotated[
        float, typer.Option("--weight-decay", min=0, help=t("Weight decay of matrices."))
    ] = _USUAL.weight_decay,
    smoothing: Annotated[
        float, typer.Option("--smoothing", min=0, max=0.9, help=t("Label smoothing."))
    ] = _USUAL.smoothing,
    stop_by: Annotated[
        StopBy,
        typer.Option("--stop-by", help=t("What validation chooses the epoch by, and when to stop.")),
    ] = _USUAL.stop_by,
    judged: Annotated[
        int,
        typer.Option(
            "--judged", min=1, help=t("Validation images to caption, in each epoch and at the end.")
        ),
    ] = _USUAL.judged,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help=t("Epochs without a gain before it stops."))
    ] = _USUAL.patience,
    precision: Annotated[
        Precision, typer.Option("--precision", help=t("Numbers to train in."))
    ] = _USUAL.precision,
    feature_cache: Annotated[
        bool,
        typer.Option(
            "--feature-cache/--no-feature-cache",
            help=t("Compute the frozen image features once and keep them on disk."),
        ),
    ] = _USUAL.cache_features,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help=t("A folder to keep the image features for the next time.")),
    ] = None,
    tune: Annotated[
        int, typer.Option("--tune", min=0, help=t("How many settings to try first, on validation."))
    ] = _USUAL.tune,
    merge: Annotated[
        bool, typer.Option("--merge", help=t("Write whole weights, so that the model needs no base."))
    ] = _USUAL.merge,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, help=t("Of first weights, order of images and dropout.")),
    ] = _USUAL.seed,
    threads: Annotated[
        int, typer.Option("--threads", min=0, help=t("CPU threads; 0 leaves torch's choice."))
    ] = _USUAL.threads,
    checkpoint_steps: Annotated[
        int,
        typer.Option("--checkpoint-steps", min=1, help=t("Steps between checkpoints within an epoch.")),
    ] = _USUAL.checkpoint_steps,
    resume: Annotated[
        bool, typer.Option("--resume", help=t("Go on with an interrupted training of the same data."))
    ] = _USUAL.resume,
    test: Annotated[
        bool,
        typer.Option(
            "--test", help=t("Then judge the finished model on the test split, as `caption evaluate` does.")
        ),
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help=t("Only say how much memory the training would need."))
    ] = False,
    card: Annotated[
        str | None,
        typer.Option("--card", help=t("With --plan: the card to plan for, such as t4; without it this one.")),
    ] = None,
) -> None:
    """A bundle with its card; nothing is written where the training does not end well."""
    from tetkik.lab.caption.prepared import open_prepared

    data = None if prepared is None else open_prepared(prepared)
    options = CaptionTraining(
        base=base,
        revision=revision,
        id=name,
        licence=licence,
        data_name=data_name or (data.source if data is not None else _USUAL.data_name),
        learning=learning,
        adapter=AdapterOptions(rank, alpha, dropout, tuple(target or ()), qformer, projection, rslora, dora),
        quantisation=quantisation,
        prompt=prompt,
        max_tokens=max_tokens,
        epochs=epochs,
        batch_size=batch_size,
        accumulation=accumulation,
        learning_rate=learning_rate,
        warm_up=warm_up,
        weight_decay=weight_decay,
        optimizer=optimizer,
        schedule=schedule,
        smoothing=smoothing,
        checkpointing=checkpointing,
        cache_features=feature_cache,
        cache=cache,
        stop_by=stop_by,
        judged=judged,
        patience=patience,
        precision=precision,
        seed=seed,
        tune=tune,
        merge=merge,
        resume=resume,
        threads=threads,
        checkpoint_steps=checkpoint_steps,
    )
    if plan:
        from tetkik.cli.caption.plan import show_plan
        from tetkik.lab.caption.training.plan import plan_training

        show_plan(plan_training(options, data, card))
        return
    if card is not None:
        raise UsageError("--card belongs to --plan; leave it out to train.")
    if data is None:
        raise UsageError("There is nothing to train on; name the folder that `tetkik caption prepare` wrote.")
    target_folder = _checked(folder, name)
    judged_folder = _test_folder(data, target_folder) if test else None
    from tetkik.lab.caption.train import train_caption

    with progress(t("train"), speed=True) as report, writing(target_folder):
        bundle = train_caption(data, target_folder, options, in_language(report), _tell)
    _show(bundle, target_folder)
    # Of several processes under `accelerate launch` the first one does it.
    if judged_folder is not None and os.environ.get("RANK", "0") == "0":
        from tetkik.cli.caption.evaluate import evaluate

        out.print()
        # A caption that two articles share is no reason to end without figures: it is left out with a notice.
        evaluate(
            data.folder,
            split=Split.TEST,
            model=str(bundle.path),
            base=base,
            folder=judged_folder,
            leave_out_seen=True,
        )


def _test_folder(data: Prepared, folder: Path) -> Path:
    """Where the figures on the test split go: a fault is reported before the training and not after."""
    from tetkik.lab.engine.evaluation_page import check_target

    if not data.rows(Split.TEST):
        raise UsageError(
            "{folder} has no test rows; leave out --test, or prepare it with --set-aside.", folder=data.folder
        )
    judged = folder.with_name(f"{folder.name}-test")
    check_target(judged)
    return judged


def _checked(folder: Path | None, name: str | None) -> Path:
    """Where to write, before the training and not after."""
    if folder is None:
        raise UsageError("Nothing says where to write the model; name a folder with --out.")
    if folder.suffix in {".zip", ".csv"}:
        raise UsageError("--out {path} must be a folder; leave the ending out.", path=folder)
    if name is not None and name != bundle_id(name):
        raise UsageError(
            "--id {name} is no name for a model; use letters without accents, digits, dots and dashes, at "
            "most 100.",
            name=name,
        )
    return folder


def _tell(sentence: Sentence) -> None:
    err.print(shown(sentence.in_language(language())), style="dim", soft_wrap=True)


def _show(bundle: Bundle, folder: Path) -> None:
    from tetkik.lab.engine.output import log_folder
    from tetkik.statistics import Interval

    if bundle.manifest.metrics:
        out.print(t("On validation, which chose the epoch:"), markup=False)
        shown_table = table(t("figure"), t("value"), t("95%"), "n")
        for metric in bundle.manifest.metrics:
            interval = (
                Interval(metric.low, metric.high)
                if metric.low is not None and metric.high is not None
                else None
            )
            shown_table.add_row(metric.name, f"{metric.value:.3f}", brackets(interval), str(metric.n))
        out.print(shown_table)
    out.print(t("The model is in {path}.", path=bundle.path), markup=False, soft_wrap=True)
    log = log_folder(folder)
    out.print(t("Log, curves and captions are in {path}.", path=log), markup=False, soft_wrap=True)
