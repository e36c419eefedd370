"""The frame of every training: the accelerator, the work folder, and what is left where it fails or ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tetkik.errors import as_fault_of
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.output import silence
from tetkik.lab.engine.precision import Precision, accelerator_for
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class SessionOptions(Protocol):
    @property
    def precision(self) -> Precision: ...

    @property
    def threads(self) -> int: ...

    @property
    def resume(self) -> bool: ...


if TYPE_CHECKING:

    class _Options(SessionOptions, DataclassInstance, Protocol): ...


OptionsT = TypeVar("OptionsT", bound="_Options")


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
    with accelerator_for(options.precision, threads=options.threads, find_unused=find_unused) as (
        accelerator,
        precision,
    ):
        options = replace(options, precision=precision)
        main = accelerator.is_main_process
        work = WorkFolder.beside(out)
        if main:
            with as_fault_of(out):
                work.begin(identity(options), options.resume)
        accelerator.wait_for_everyone()
        try:
            yield Session(accelerator, options, work, progress if main else silence)
        except BaseException:
            if main and not work.has_progress():
                work.remove()
            raise
        if main:
            work.remove()
            if cache is not None:
                shutil.rmtree(cache, ignore_errors=True)
        accelerator.wait_for_everyone()
