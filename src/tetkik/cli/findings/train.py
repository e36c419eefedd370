"""`tetkik findings train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tetkik.bundle import REFERENCE_IMAGES, bundle_id
from tetkik.cli.console import note, out, progress, t, warn, writing
from tetkik.cli.options import BundleFolder, Licence, ModelName, Resume
from tetkik.cli.tables import in_language
from tetkik.errors import UsageError
from tetkik.lab.engine.precision import Precision
from tetkik.lab.findings.thresholds import Rule
from tetkik.lab.findings.training.options import (
    IMAGENET,
    NO_AUGMENTATION,
    REFERENCE_NETWORK,
    Augmentation,
    ClassWeights,
    LossKind,
    TeacherOptions,
    TeacherUse,
    TrainingOptions,
)

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.findings.data import LabelledImages

_GIB = 1 << 30
_SMALL_CARD = 8 * _GIB


def train(
    table: Annotated[
        Path | None,
        typer.Argument(help=t("A CSV file with the columns file and labels."), metavar="LABELS.csv"),
    ] = None,
    *,
    folder: BundleFolder,
    images: Annotated[
        Path | None, typer.Option("--images", help=t("The folder to which the table's files are relative."))
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help=t("A data set, as KIND:PATH or KIND:PATH=WEIGHT; may be given several times."),
            metavar="KIND:PATH[=WEIGHT]",
        ),
    ] = None,
    known: Annotated[
        list[str] | None,
        typer.Option(
            "--known",
            help=t("Which labels a row of the table vouches for, as COLUMN~REGEX=LABEL,LABEL."),
            metavar="RULE",
        ),
    ] = None,
    all_labels: Annotated[
        bool, typer.Option("--all-labels", help=t("Learn every label of the data, not only the shared ones."))
    ] = False,
    name: ModelName = None,
    licence: Licence = "unknown",
    data_name: Annotated[
        str, typer.Option("--data-name", help=t("What the card calls the data."))
    ] = "training images",
    network: Annotated[
        str,
        typer.Option(
            "--network",
            help=t(
                "densenet121, mobilenet_v2, mobilenet_v2_bn, resnet18, or a Hugging Face id or folder of an "
                "image classifier."
            ),
        ),
    ] = REFERENCE_NETWORK,
    weights: Annotated[
        str,
        typer.Option("--weights", help=t("Weights to start from: imagenet, none, or a file.")),
    ] = IMAGENET,
    size: Annotated[
        int | None,
        typer.Option("--size", help=t("Side of the network's square in pixels; without it its own.")),
    ] = None,
    stretch: Annotated[
        bool,
        typer.Option("--stretch", help=t("Make the 1st and 99th percentile of each image black and white.")),
    ] = False,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help=t("Most passes over the data."))] = 30,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help=t("Images in one step."))] = 32,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", min=0, help=t("Highest learning rate of AdamW."))
    ] = 1e-4,
    head_rate: Annotated[
        float, typer.Option("--head-rate", help=t("How many times that rate the last layer gets."))
    ] = 1.0,
    weight_decay: Annotated[float, typer.Option("--weight-decay", help=t("Weight decay of AdamW."))] = 1e-5,
    loss: Annotated[LossKind, typer.Option("--loss", help=t("What is made small."))] = LossKind.BCE,
    class_weights: Annotated[
        ClassWeights, typer.Option("--class-weights", help=t("How much a presence weighs."))
    ] = ClassWeights.NONE,
    ema: Annotated[
        float, typer.Option("--ema", help=t("Decay of a moving average of the weights; 0 keeps none."))
    ] = 0.0,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help=t("Epochs without a gain before it stops."))
    ] = 5,
    augment: Annotated[
        bool, typer.Option("--augment/--no-augment", help=t("Turn, scale, shift and shade training images."))
    ] = True,
    flip: Annotated[
        bool, typer.Option("--flip", help=t("Mirror half of the training images; the heart has a side."))
    ] = False,
    precision: Annotated[
        Precision, typer.Option("--precision", help=t("Numbers to train in."))
    ] = Precision.AUTO,
    accumulation: Annotated[
        int, typer.Option("--accumulation", min=1, help=t("Parts of a step, to save memory."))
    ] = 1,
    freeze: Annotated[
        int,
        typer.Option(
            "--freeze", min=0, help=t("Stages of the network, from its input, that are not trained.")
        ),
    ] = 0,
    ridge: Annotated[
        bool,
        typer.Option(
            "--ridge", help=t("Add a member: ridge regression on the stages of the untrained network.")
        ),
    ] = False,
    members: Annotated[
        int, typer.Option("--members", min=1, help=t("Networks of different seeds, averaged into one."))
    ] = 1,
    folds: Annotated[
        int,
        typer.Option(
            "--folds",
            min=0,
            help=t("Measure out of fold over so many parts, and train the final network on all rows."),
        ),
    ] = 0,
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", help=t("A CSV with the column file and a teacher's probabilities.")),
    ] = None,
    teacher_use: Annotated[
        TeacherUse, typer.Option("--teacher-use", help=t("A second head, or plain distillation."))
    ] = TeacherUse.HEAD,
    teacher_share: Annotated[
        float,
        typer.Option(
            "--teacher-share", help=t("Share of the teacher's head in the final logit; 1 is it alone.")
        ),
    ] = 0.5,
    teacher_weight: Annotated[
        float, typer.Option("--teacher-weight", help=t("Of the teacher's loss beside that of the labels."))
    ] = 1.0,
    min_positives: Annotated[
        int,
        typer.Option(
            "--min-positives",
            min=1,
            help=t("Patients or groups known each way below which a label is not assessed."),
        ),
    ] = 30,
    threshold: Annotated[
        Rule, typer.Option("--threshold", help=t("What makes a label's threshold the best."))
    ] = Rule.YOUDEN,
    report_source: Annotated[
        list[str] | None,
        typer.Option("--report-source", help=t("A source on whose rows alone figures are stated too.")),
    ] = None,
    tune: Annotated[
        int, typer.Option("--tune", min=0, help=t("How many settings to try first, on validation."))
    ] = 0,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help=t("Of the split, the weights and the order of images."))
    ] = 0,
    threads: Annotated[
        int, typer.Option("--threads", min=0, help=t("CPU threads; 0 leaves torch's choice."))
    ] = 0,
    cache: Annotated[
        Path | None, typer.Option("--cache", help=t("A folder to keep the decoded images for the next time."))
    ] = None,
    cache_limit: Annotated[
        float,
        typer.Option(
            "--cache-limit", min=0, help=t("GiB of decoded images above which they are decoded each time.")
        ),
    ] = 32.0,
    half: Annotated[
        bool, typer.Option("--half", help=t("Store the kernels of model.onnx as fp16, in half the bytes."))
    ] = False,
    keep_torch: Annotated[
        bool, typer.Option("--keep-torch/--no-torch", help=t("Put the weights as safetensors in the bundle."))
    ] = True,
    reference: Annotated[
        int,
        typer.Option(
            "--reference",
            min=0,
            help=t("Most held-out images that the reference for drift is taken from; 0 for none."),
        ),
    ] = REFERENCE_IMAGES,
    resume: Resume = False,
    plan: Annotated[
        bool, typer.Option("--plan", help=t("Only say how much memory the training would need."))
    ] = False,
) -> None:
    """A bundle with its card; nothing is written where the training does not end well."""
    if folder.suffix in {".zip", ".csv"}:
        raise UsageError("--out {path} must be a folder; leave the ending out.", path=folder)
    _check_id(name)
    options = TrainingOptions(
        network=network,
        weights=weights,
        size=size,
        stretch=stretch,
        id=name,
        licence=licence,
        data_name=data_name,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        head_rate=head_rate,
        weight_decay=weight_decay,
        loss=loss,
        class_weights=class_weights,
        patience=patience,
        ema=ema,
        augmentation=_augmentation(augment, flip),
        precision=precision,
        accumulation=accumulation,
        freeze=freeze,
        members=members,
        ridge=ridge,
        folds=folds,
        teacher=None
        if teacher is None
        else TeacherOptions(teacher, teacher_use, teacher_share, teacher_weight),
        min_positives=min_positives,
        threshold=threshold,
        report_sources=tuple(report_source or ()),
        seed=seed,
        tune=tune,
        resume=resume,
        threads=threads,
        cache=cache,
        cache_limit=cache_limit,
        half=half,
        keep_torch=keep_torch,
        reference=reference,
    )
    if plan:
        _show_plan(options)
        return
    data = _data(table, images, source or [], known or [], keep_others=all_labels)
    _say_what_is_there(data, options)
    from tetkik.lab.findings.train import train_findings

    with progress(t("train")) as report, writing(folder):
        bundle = train_findings(data, folder, options, in_language(report))
    _show(bundle, folder)


def _augmentation(augment: bool, flip: bool) -> Augmentation:
    if augment:
        return Augmentation(flip=flip)
    if flip:
        raise UsageError("--flip changes training images and --no-augment forbids it; leave one of them out.")
    return NO_AUGMENTATION


def _data(
    table: Path | None, images: Path | None, sources: list[str], known: list[str], *, keep_others: bool
) -> LabelledImages:
    from tetkik.lab.findings.data import join
    from tetkik.lab.findings.sources import Reading, SourceSpec, parse_spec
    from tetkik.lab.findings.sources.label_coverage import parse_rule

    specs = [parse_spec(spec) for spec in sources]
    if table is not None:
        specs.insert(0, SourceSpec("csv", table, {} if images is None else {"images": str(images)}))
    elif images is not None:
        raise UsageError("--images belongs to a table; name the table, or give the folder with --source.")
    if not specs:
        raise UsageError("There is nothing to train on; name a table, or data sets with --source.")
    rules = tuple(parse_rule(rule) for rule in known)
    return join(specs, Reading(keep_others=keep_others, known=rules))


def _say_what_is_there(data: LabelledImages, options: TrainingOptions) -> None:
    """How many images, what was left out, and which labels will not be assessed."""
    from tetkik.lab.findings.training.label_counts import count_labels

    note("{count} images in {groups} groups.", count=len(data), groups=len(set(data.group.tolist())))
    for reason, count in data.left_out.items():
        note("left out, {reason}: {count}", reason=t(str(reason)), count=count)
    known = count_labels(data.truth, data.labels, data.group, data.source)
    silent = [item.label for item in known if not item.assessed(options.min_positives)]
    if silent:
        names = ", ".join(silent)
        warn("Too little is known of these labels; they will not be assessed: {labels}", labels=names)
    for item in known:
        if item.shortcut and item.assessed(options.min_positives):
            warn(
                "{label}: {alone} of its {present} positives come from sources without a negative, so its "
                "figures may measure the source.",
                label=item.label,
                alone=item.alone,
                present=item.present,
            )


def _show_plan(options: TrainingOptions) -> None:
    from tetkik.lab.findings.train import plan_training
    from tetkik.values import FINDING_LABELS

    plan = plan_training(FINDING_LABELS, options)
    lines = (
        ("weights, gradients, optimiser ({count:.1f} million)", plan.weights),
        ("activations of {batch} images", plan.activations),
        ("the library itself", plan.overhead),
        ("all", plan.total),
    )
    for template, count in lines:
        words = t(template, count=plan.parameters / 1e6, batch=plan.batch)
        out.print(f"{words:<52}{count / _GIB:6.2f} GiB", markup=False)
    if plan.total > _SMALL_CARD:
        warn("More than 8 GiB; --accumulation or a smaller --batch-size lowers it.")
    else:
        note("It fits a card with 8 GiB.")


def _check_id(name: str | None) -> None:
    """Before the training, not after."""
    if name is not None and name != bundle_id(name):
        raise UsageError(
            "--id {name} is no name for a model; use letters without accents, digits, dots and dashes, at "
            "most 100.",
            name=name,
        )


def _show(bundle: Bundle, folder: Path) -> None:
    from tetkik.lab.engine.output import log_folder

    manifest = bundle.manifest
    for metric in manifest.metrics:
        if metric.name.startswith(("mean_", "auroc:")):
            interval = "" if metric.low is None else f"  {metric.low:.3f} - {metric.high:.3f}"
            out.print(f"{metric.name:<34}{metric.value:.3f}{interval}  n {metric.n}", markup=False)
    out.print(
        t(
            "{assessed} of {all} labels are assessed.",
            assessed=len(manifest.thresholds),
            all=len(manifest.labels),
        ),
        markup=False,
    )
    out.print(t("The model is in {path}.", path=bundle.path), markup=False, soft_wrap=True)
    log = log_folder(folder)
    out.print(t("Log, curves and scores are in {path}.", path=log), markup=False, soft_wrap=True)
