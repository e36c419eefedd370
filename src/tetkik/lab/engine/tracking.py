"""The epochs of a training in a tracker of experiments, through accelerate: numbers, and no name of a file.

Trackers write beside the model; while the setting `offline` is on they are given no server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tetkik.errors import MissingExtra, UsageError
from tetkik.settings import settings


class Tracker(StrEnum):
    """Where the figures of each epoch are logged beside the log of the training."""

    NONE = "none"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


_PACKAGES = {
    Tracker.TENSORBOARD: ("tensorboard", "tensorboardX"),
    Tracker.MLFLOW: ("mlflow",),
    Tracker.WANDB: ("wandb",),
}
_LOCAL = ("/", "./", "../", "file:", "sqlite:")
"""How a tracking URI of MLflow begins that names no server; `databricks` alone names one."""
_WANDB_PRIVATE: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


def check_tracker(tracker: Tracker) -> None:
    """Refuse a tracker that cannot work before anything is trained.

    Raises:
        MissingExtra: its package is not installed.
        UsageError: it is a server's, and the setting `offline` is on; or it would log more than it should.
    """
    names = _PACKAGES.get(tracker, ())
    if names and not any(find_spec(name) for name in names):
        raise MissingExtra(
            "The tracker {tracker} needs the package {name}; `pip install {name}`, or leave --tracker out.",
            tracker=tracker,
            name=names[0],
        )
    if (
        tracker is Tracker.MLFLOW
        and settings().offline
        and _mlflow_uri()
        and not _mlflow_uri().startswith(_LOCAL)
    ):
        raise UsageError(
            "MLFLOW_TRACKING_URI names a server, and the setting offline is on; set TETKIK_OFFLINE=false, or "
            "leave the variable out to log into the folder beside the model."
        )
    if tracker is Tracker.WANDB:
        _wandb_settings()


def _mlflow_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def _wandb_settings() -> Any:
    """What keeps W&B from noting the command line, the machine and what is printed; `UsageError` where this
    version of it does not know how.
    """
    try:
        return import_module("wandb").Settings(**_WANDB_PRIVATE)
    except Exception as fault:  # of each version another
        raise UsageError(
            "This version of W&B cannot keep the command line out of its log ({fault}); update wandb, or "
            "choose another --tracker.",
            fault=type(fault).__name__,
        ) from None


@contextmanager
def tracked(accelerator: Any, tracker: Tracker, folder: Path, options: Mapping[str, Any]) -> Iterator[None]:
    """Start what `accelerator` logs with, in `folder`; it ends with the block.

    Of `options` the numbers and switches are logged: a text may name a hospital, or a file.
    """
    if tracker is Tracker.NONE:
        yield
        return
    more: dict[str, Any] = {}
    if tracker is Tracker.WANDB:
        more = {"dir": str(folder), "settings": _wandb_settings()}
    ours = _environment(tracker, folder)
    before = {name: os.environ[name] for name in ours if name in os.environ}
    os.environ.update(ours)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        accelerator.init_trackers("tetkik", numbers_of(options), {tracker.value: more})
        try:
            yield
        finally:
            for one in accelerator.trackers:
                one.finish()
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(before)


def numbers_of(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers and switches among values, those of mappings within by `outer/inner`."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= numbers_of(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found[f"{prefix}{name}"] = value
    return found


def _environment(tracker: Tracker, folder: Path) -> dict[str, str]:
    """What a tracker is told beside its options: where to write, and to report nothing to its maker."""
    if tracker is Tracker.MLFLOW:
        local = (
            {} if _mlflow_uri() else {"MLFLOW_TRACKING_URI": f"sqlite:///{folder.resolve() / 'mlflow.db'}"}
        )
        return local | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    if tracker is Tracker.WANDB:
        private = {"WANDB_ERROR_REPORTING": "false", "DO_NOT_TRACK": "true"}
        return private | ({"WANDB_MODE": "offline"} if settings().offline else {})
    return {}
