"""`tetkik caption train`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tetkik.cli.config import configurable
from tetkik.cli.console import note, out, print_line, progress, show_notice, t, writing
from tetkik.cli.options import argument, check_output_folder, option, with_options
from tetkik.cli.tables import metrics_shown
from tetkik.errors import UsageError
from tetkik.lab.caption.prepared import Split
from tetkik.lab.caption.training.options import CaptionTraining

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.caption.prepared import Prepared


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
        from tetkik.cli.caption.plan import show_plan
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
