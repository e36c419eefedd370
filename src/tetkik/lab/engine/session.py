"""The frame of every training: the accelerator, the work folder, and what is left where it fails or ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from tetkik.errors import as_fault_of
from tetkik.lab.engine.checkpoint import Diverged, WorkFolder
from tetkik.lab.engine.options import EngineOptions
from tetkik.lab.engine.precision import accelerator_for
from tetkik.lab.engine.processes import wait_for_all
from tetkik.lab.engine.tracking import check_tracker, tracked
from tetkik.language import Sentence
from tetkik.values import ProgressCallback

OptionsT = TypeVar("OptionsT", bound=EngineOptions)
Notify = Callable[[Sentence], None]
"""Told what a person wants to know while a training runs, one sentence at a time."""


@dataclass(frozen=True, slots=True)
class Session(Generic[OptionsT]):
    """One process of a training: its `accelerate.Accelerator`, and settings whose precision is not AUTO."""

    accelerator: Any
    options: OptionsT
    work: WorkFolder
    progress: ProgressCallback

    @property
    def main(self) -> bool:
        return bool(self.accelerator.is_main_process)


@contextmanager
def training_session(
    out: Path,
    options: OptionsT,
    identity: Callable[[OptionsT], Mapping[str, Any]],
    progress: ProgressCallback,
    *,
    cache: Path | None = None,
    find_unused: bool = False,
) -> Iterator[Session[OptionsT]]:
    """Open the work folder beside `out`; it is removed when the block ends well, or without any progress.

    Args:
        identity: of data and settings: what must be the same for a resume.
        cache: a folder that is removed when the block ends well; None for a cache that stays.
        find_unused: whether some weights may have no part in the answer.

    Raises:
        TrainingError: the work folder holds another training, or `resume` is off and it holds this one.
    """
    check_tracker(options.tracker)
    tracker_folder = log_folder(out) / options.tracker
    with accelerator_for(
        options.precision,
        threads=options.threads,
        find_unused=find_unused,
        timeout=options.process_timeout,
        tracker=options.tracker,
        folder=tracker_folder,
    ) as (accelerator, precision):
        options = replace(options, precision=precision)
        main = accelerator.is_main_process
        work = WorkFolder.beside(out)
        if main:
            with as_fault_of(out):
                work.begin(identity(options), options.resume)
        wait_for_all(accelerator)
        try:
            with tracked(accelerator, options.tracker, tracker_folder, options.as_json()):
                yield Session(accelerator, options, work, progress if main else silence)
        except BaseException as fault:
            if main and not work.has_progress():
                work.remove()
            elif main and isinstance(fault, Diverged):
                work.note_divergence()
            raise
        if main:
            work.remove()
            if cache is not None:
                shutil.rmtree(cache, ignore_errors=True)
        wait_for_all(accelerator)


def log_folder(out: Path) -> Path:
    """Where the log of the training that writes `out` goes."""
    return out.parent / f"{out.name}-log"


def write_log(out: Path, files: Mapping[str, str | bytes]) -> None:
    """Write the log, by the names of its files.

    They are not part of the bundle: names of images and captions may be those of a hospital.
    """
    log_folder(out).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (log_folder(out) / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def public_name(base: str) -> str:
    """A hub id as it is; of a path the last part only, which tells nothing of the machine."""
    path = Path(base).expanduser()
    return path.resolve().name if path.exists() else base


def silence(step: str, done: int, total: int | None) -> None:
    """Progress of a process that is not the main one."""
