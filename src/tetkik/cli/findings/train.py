"""`tetkik findings train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tetkik.cli.config import configurable
from tetkik.cli.console import note, out, print_line, progress, t, warn, writing
from tetkik.cli.options import BundleFolder, argument, check_output_folder, option, with_options
from tetkik.cli.tables import metrics_shown
from tetkik.errors import UsageError
from tetkik.lab.findings.training.options import (
    NO_AUGMENTATION,
    Augmentation,
    TeacherOptions,
    TeacherUse,
    TrainingOptions,
)

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.findings.data import LabelledImages

_GIB = 1 << 30
_SMALL_CARD = 8 * _GIB


@configurable
@with_options
def train(
    table: Annotated[
        Path | None,
        argument("A table of files and labels: CSV, Parquet, or a folder of `datasets`.", "LABELS.csv"),
    ] = None,
    *,
    folder: BundleFolder,
    images: Annotated[Path | None, option("The folder to which the table's files are relative.")] = None,
    source: Annotated[
        list[str] | None,
        option(
            "A data set, as KIND:PATH or KIND:PATH=WEIGHT; may be given several times.",
            metavar="KIND:PATH[=WEIGHT]",
        ),
    ] = None,
    known: Annotated[
        list[str] | None,
        option("Which labels a row of the table vouches for, as COLUMN~REGEX=LABEL,LABEL.", metavar="RULE"),
    ] = None,
    all_labels: Annotated[bool, option("Learn every label of the data, not only the shared ones.")] = False,
    options: TrainingOptions,
    augment: Annotated[bool, option("Turn, scale, shift and shade training images.")] = True,
    flip: Annotated[bool, option("Mirror half of the training images; the heart has a side.")] = False,
    teacher: Annotated[
        Path | None, option("A CSV with the column file and a teacher's probabilities.")
    ] = None,
    teacher_use: Annotated[TeacherUse, option("A second head, or plain distillation.")] = TeacherUse.HEAD,
    teacher_share: Annotated[
        float, option("Share of the teacher's head in the final logit; 1 is it alone.")
    ] = 0.5,
    teacher_weight: Annotated[float, option("Of the teacher's loss beside that of the labels.")] = 1.0,
    plan: Annotated[bool, option("Only say how much memory the training would need.")] = False,
) -> None:
    """A bundle with its card; nothing is written where the training does not end well."""
    check_output_folder(folder, options.id)
    if flip and not augment:
        raise UsageError("--flip changes training images and --no-augment forbids it; leave one of them out.")
    options = replace(options, augmentation=Augmentation(flip=flip) if augment else NO_AUGMENTATION)
    if teacher is not None:
        options = replace(
            options, teacher=TeacherOptions(teacher, teacher_use, teacher_share, teacher_weight)
        )
    if plan:
        _show_plan(options)
        return
    data = _data(table, images, source or [], known or [], keep_others=all_labels)
    _say_what_is_there(data, options)
    from tetkik.lab.findings.train import train_findings

    with progress(t("train")) as report, writing(folder):
        bundle = train_findings(data, folder, options, report)
    _show(bundle, folder)


def _data(
    table: Path | None, images: Path | None, sources: list[str], known: list[str], *, keep_others: bool
) -> LabelledImages:
    from tetkik.lab.findings.data import join
    from tetkik.lab.findings.sources import Reading, parse_spec, table_spec
    from tetkik.lab.findings.sources.label_coverage import parse_rule

    specs = [parse_spec(spec) for spec in sources]
    if table is not None:
        specs.insert(0, table_spec(table, images))
    elif images is not None:
        raise UsageError("--images belongs to a table; name the table, or give the folder with --source.")
    if not specs:
        raise UsageError("There is nothing to train on; name a table, or data sets with --source.")
    rules = tuple(parse_rule(rule) for rule in known)
    return join(specs, Reading(keep_others=keep_others, known=rules))


def _say_what_is_there(data: LabelledImages, options: TrainingOptions) -> None:
    """How many images, what was left out, and which labels will not be assessed."""
    from tetkik.lab.findings.training.data import count_labels

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


def _show(bundle: Bundle, folder: Path) -> None:
    from tetkik.lab.engine.session import log_folder

    manifest = bundle.manifest
    out.print(metrics_shown(one for one in manifest.metrics if one.name.startswith(("mean_", "auroc:"))))
    out.print(
        t(
            "{assessed} of {all} labels are assessed.",
            assessed=len(manifest.thresholds),
            all=len(manifest.labels),
        ),
        markup=False,
    )
    print_line("The model is in {path}.", path=bundle.path)
    log = log_folder(folder)
    print_line("Log, curves and scores are in {path}.", path=log)
