"""`tetkik caption train`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.cli.config import configurable
from tetkik.cli.console import note, out, print_line, progress, show_notice, t, warn, writing
from tetkik.cli.options import argument, check_output_folder, option, with_options
from tetkik.cli.tables import metrics_shown, table
from tetkik.errors import OutputError, UsageError
from tetkik.lab.caption.prepared import Split
from tetkik.lab.caption.training.options import CaptionTraining

if TYPE_CHECKING:
    from tetkik.bundle.store import Bundle
    from tetkik.lab.caption.prepared import Prepared
    from tetkik.lab.caption.training.plan import CachePlan, EvaluationPlan, PassMemory, Plan, Setting


# How `tetkik caption train --plan` shows what a training needs.


_MIB, _GIB = 2**20, 2**30


def show_plan(plan: Plan, evaluation: EvaluationPlan | None = None) -> None:
    """What the card must hold, what the disk must hold, and what to set.

    Raises:
        OutputError: the image features are all to be written, and do not fit the disk.
    """
    from tetkik.lab.caption.training.plan import CONTEXT

    setting = plan.setting
    _say_for_what(plan)
    rows = _rows_of(setting, CONTEXT)
    shown = table(t("on the card"), "GiB")
    for words, size in rows:
        shown.add_row(words, _size(size))
    shown.add_row(Text(t("all"), style="bold"), Text(_size(setting.total), style="bold"))
    out.print(shown)
    if plan.images is not None and plan.cache is not None:
        _show_cache(plan, plan.images, plan.cache)
    _say_what_to_set(plan)
    if evaluation is not None:
        _show_evaluation(evaluation, CONTEXT)
    if plan.cache is not None:
        _check_room(plan.cache)


def _check_room(cache: CachePlan) -> None:
    try:
        cache.check()
    except OutputError as error:
        if cache.certain:
            raise
        warn(error.template, **error.values)


def _say_for_what(plan: Plan) -> None:
    options, rows = plan.setting.options, plan.rows
    note(
        "{base}, {numbers}, on {card} with {memory:.1f} GiB; captions of at most {longest} tokens, {mean} in "
        "the mean.",
        base=options.base,
        numbers=plan.precision.value,
        card=plan.card.name,
        memory=plan.card.memory / _GIB,
        longest=rows.longest,
        mean=rows.mean,
    )
    if not rows.known:
        note("No prepared folder was named, so ROCOv2 is planned for: {train} rows.", train=rows.train)


def _rows_of(setting: Setting, context: int) -> list[tuple[str, int]]:
    step = setting.step
    frozen = [(t("frozen weights in {numbers}", numbers=name), size) for name, size in step.frozen.items()]
    return [
        *frozen,
        (t("weights that learn ({count:.2f} million, fp32)", count=step.weights / 1e6), step.learned),
        (t("their gradients"), step.gradients),
        (t("state of the optimiser"), step.optimizer),
        (t("image features and tokens of {captions} captions", captions=setting.captions), step.batch),
        (t("activations, and weights written out to be multiplied"), step.working),
        ("  " + t("of these the logits of the captions"), min(step.logits, step.working)),
        (t("gaps between tensors (5% of these)"), setting.lost),
        *([] if setting.options.cache_features else [(t("frozen part before the cut"), setting.before)]),
        (t("CUDA and its libraries"), context),
    ]


def _show_cache(plan: Plan, images: PassMemory, cache: CachePlan) -> None:
    show_notice(cache.place)
    shown = table(t("once, before the first epoch"), "GiB")
    shown.add_row(t("frozen weights before the cut, on the card until then"), _size(images.frozen))
    shown.add_row(t("activations of 8 images"), _size(images.working))
    shown.add_row(t("all, with the language model"), _size(plan.setting.first))
    features = t(
        "image features on the disk, {images} x {each:.1f} KB", images=cache.images, each=cache.each / 1e3
    )
    shown.add_row(features, _size(cache.size))
    shown.add_row(t("free on the disk of {folder}", folder=cache.folder), _size(cache.free))
    out.print(shown)


def _say_what_to_set(plan: Plan) -> None:
    setting = plan.setting
    if plan.fits:
        print_line("It fits: {settings}", settings=_flags(setting))
        return
    warn(
        "It does not fit: one caption at a time needs {needed:.1f} GiB, and {card} has {memory:.1f}.",
        needed=setting.most / _GIB,
        card=plan.card.name,
        memory=plan.card.memory / _GIB,
    )
    if plan.nearest is None:
        warn("No other setting of this base was found that fits; choose a smaller base or a larger card.")
        return
    print_line(
        "This would fit, with {needed:.1f} GiB: {settings}",
        needed=plan.nearest.most / _GIB,
        settings=_flags(plan.nearest),
    )


def _flags(setting: Setting) -> str:
    """The options of the command, as they are typed."""
    options = setting.options
    words = [f"--batch-size {options.batch_size}", f"--accumulation {options.accumulation}"]
    if options.quantisation != "none":
        words.append(f"--quantisation {options.quantisation.value}")
    if options.checkpointing:
        words.append("--checkpointing")
    return " ".join(words)


def _show_evaluation(plan: EvaluationPlan, context: int) -> None:
    shown = table(t("to judge the test split"), "GiB")
    shown.add_row(t("all weights"), _size(plan.weights))
    keys = t(
        "keys and values of the search, {captions} x {beams} beams", captions=plan.captions, beams=plan.beams
    )
    shown.add_row(keys, _size(plan.keys))
    shown.add_row(t("activations, and weights written out to be multiplied"), _size(plan.working))
    shown.add_row(t("CUDA and its libraries"), _size(context))
    shown.add_row(Text(t("all"), style="bold"), Text(_size(plan.total), style="bold"))
    out.print(shown)
    if plan.total > plan.card.memory:
        warn(
            "The test does not fit: leave out --test, and run `tetkik caption evaluate` with a smaller "
            "--batch-size or fewer --beams."
        )


def _size(count: int) -> str:
    return f"{count / _GIB:.2f}" if count >= 10 * _MIB else f"{count / _GIB:.4f}"


@configurable
@with_options
def train(
    prepared: Annotated[Path | None, argument("The folder that `caption prepare` wrote.", "DIR")] = None,
    *,
    folder: Annotated[Path | None, option("The folder of the bundle to write.", "--out")] = None,
    data_name: Annotated[
        str | None, option("What the card calls the data; without it the source's name.")
    ] = None,
    options: CaptionTraining,
    test: Annotated[
        bool, option("Then judge the finished model on the test split, as `caption evaluate` does.")
    ] = False,
    plan: Annotated[
        bool, option("Only say what memory and disk it would need; with --test, the test as well.")
    ] = False,
    card: Annotated[
        str | None,
        option("With --plan: a card of that memory, such as 16GB; without it this one."),
    ] = None,
) -> None:
    """A bundle with its card; nothing is written where the training does not end well."""
    from tetkik.lab.caption.prepared import open_prepared

    data = None if prepared is None else open_prepared(prepared)
    if called := data_name or (data and data.source):
        options = replace(options, data_name=called)
    if plan:
        from tetkik.lab.caption.training.features import feature_store
        from tetkik.lab.caption.training.plan import plan_evaluation, plan_training

        if test and data is not None:
            _check_test_rows(data)
        made = plan_training(options, data, card, None if folder is None else feature_store(folder))
        show_plan(made, plan_evaluation(made) if test else None)
        return
    if card is not None:
        raise UsageError("--card belongs to --plan; leave it out to train.")
    if data is None:
        raise UsageError("There is nothing to train on; name the folder that `tetkik caption prepare` wrote.")
    if folder is None:
        raise UsageError("Nothing says where to write the model; name a folder with --out.")
    check_output_folder(folder, options.id)
    judged_folder = _test_folder(data, folder) if test else None
    from tetkik.bundle import Task, open_bundle
    from tetkik.lab.caption.decoded import announce, is_unfinished
    from tetkik.lab.caption.train import train_caption
    from tetkik.lab.caption.training.data import identity
    from tetkik.lab.engine.checkpoint import WorkFolder

    # Of several processes the first one speaks.
    main = os.environ.get("RANK", "0") == "0"
    # Not where another training into the same folder was begun since.
    trained = options.resume and not WorkFolder.beside(folder).has_progress()
    asked = identity(data, options) if judged_folder is not None else {}
    if trained and judged_folder is not None and is_unfinished(judged_folder, folder, asked):
        bundle = open_bundle(folder, Task.CAPTION)
        if main:
            note("The model {path} is trained already; its test goes on.", path=folder)
    else:
        with progress(t("train"), speed=True) as report, writing(folder):
            bundle = train_caption(data, folder, options, report, show_notice)
        if main:
            _show(bundle, folder)
            if judged_folder is not None:
                announce(judged_folder, bundle, asked)
    if judged_folder is not None:
        from tetkik.cli.caption.evaluate import evaluate

        if main:
            out.print()
        evaluate(
            data.folder,
            split=Split.TEST,
            model=str(bundle.path),
            base=options.base,
            folder=judged_folder,
        )


def _check_test_rows(data: Prepared) -> None:
    if not data.rows(Split.TEST):
        raise UsageError(
            "{folder} has no test rows; leave out --test, or prepare it with --set-aside.", folder=data.folder
        )


def _test_folder(data: Prepared, folder: Path) -> Path:
    """Where the figures on the test split go: a fault is reported before the training and not after."""
    from tetkik.lab.engine.charts import check_target

    _check_test_rows(data)
    judged = folder.with_name(f"{folder.name}-test")
    check_target(judged)
    return judged


def _show(bundle: Bundle, folder: Path) -> None:
    from tetkik.lab.engine.session import log_folder

    if bundle.manifest.metrics:
        out.print(t("On validation, which chose the epoch:"), markup=False)
        out.print(metrics_shown(bundle.manifest.metrics))
    print_line("The model is in {path}.", path=bundle.path)
    log = log_folder(folder)
    print_line("Log, curves and captions are in {path}.", path=log)
