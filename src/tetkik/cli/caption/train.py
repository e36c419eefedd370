"""`tetkik caption train`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tetkik.cli.console import out, print_line, progress, show_notice, t, writing
from tetkik.cli.options import argument, check_output_folder, option, with_options
from tetkik.cli.tables import metrics_shown
from tetkik.errors import UsageError
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.training.options import CaptionTraining

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.caption.prepared import Prepared


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
    plan: Annotated[bool, option("Only say how much memory the training would need.")] = False,
    card: Annotated[
        str | None, option("With --plan: the card to plan for, such as t4; without it this one.")
    ] = None,
) -> None:
    """A bundle with its card; nothing is written where the training does not end well."""
    from tetkik.lab.caption.prepared import open_prepared

    data = None if prepared is None else open_prepared(prepared)
    if called := data_name or (data and data.source):
        options = replace(options, data_name=called)
    if plan:
        from tetkik.cli.caption.plan import show_plan
        from tetkik.lab.caption.training.plan import plan_training

        show_plan(plan_training(options, data, card))
        return
    if card is not None:
        raise UsageError("--card belongs to --plan; leave it out to train.")
    if data is None:
        raise UsageError("There is nothing to train on; name the folder that `tetkik caption prepare` wrote.")
    if folder is None:
        raise UsageError("Nothing says where to write the model; name a folder with --out.")
    check_output_folder(folder, options.id)
    judged_folder = _test_folder(data, folder) if test else None
    from tetkik.lab.caption.train import train_caption

    with progress(t("train"), speed=True) as report, writing(folder):
        bundle = train_caption(data, folder, options, report, show_notice)
    _show(bundle, folder)
    # Of several processes the first one does it.
    if judged_folder is not None and os.environ.get("RANK", "0") == "0":
        from tetkik.cli.caption.evaluate import evaluate

        out.print()
        evaluate(
            data.folder,
            split=Split.TEST,
            model=str(bundle.path),
            base=options.base,
            folder=judged_folder,
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


def _show(bundle: Bundle, folder: Path) -> None:
    from tetkik.lab.engine.session import log_folder

    if bundle.manifest.metrics:
        out.print(t("On validation, which chose the epoch:"), markup=False)
        out.print(metrics_shown(bundle.manifest.metrics))
    print_line("The model is in {path}.", path=bundle.path)
    log = log_folder(folder)
    print_line("Log, curves and captions are in {path}.", path=log)
