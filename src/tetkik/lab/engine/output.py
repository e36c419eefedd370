"""Where a training writes: looked at before hours of work, not after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tetkik.bundle import store
from tetkik.language import Sentence

Notify = Callable[[Sentence], None]
"""Told what a person wants to know while a training runs, one sentence at a time."""


check_target = store.check_target


def log_folder(out: Path) -> Path:
    """Where the log of the training that writes `out` goes."""
    return out.parent / f"{out.name}-log"


def public_name(base: str) -> str:
    """A hub id as it is; of a path the last part only, which tells nothing of the machine."""
    path = Path(base).expanduser()
    return path.resolve().name if path.exists() else base


def silence(step: str, done: int, total: int | None) -> None:
    """Progress of a process that is not the main one."""
