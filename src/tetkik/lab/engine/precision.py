"""The numbers to train in, and the `accelerate.Accelerator` that goes with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tetkik.errors import UsageError
from tetkik.lab.engine.processes import ALONE, wait_for_all
from tetkik.lab.engine.tracking import Tracker

if TYPE_CHECKING:
    import torch

PROCESS_TIMEOUT = 4 * 3600
"""Seconds; NCCL's own 10 minutes are less than a slow disk may take."""
_YES = frozenset({"y", "yes", "t", "true", "on", "1"})
"""What accelerate takes for yes in a variable of the environment."""


class Precision(StrEnum):
    """The numbers in which a network is trained; the weights that learn stay fp32."""

    AUTO = "auto"
    """bf16 where the processor or the GPU has it, fp16 on another GPU, fp32 on another CPU."""
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


@contextmanager
def accelerator_for(
    precision: Precision,
    *,
    threads: int = 0,
    find_unused: bool = False,
    timeout: int = PROCESS_TIMEOUT,
    tracker: Tracker = Tracker.NONE,
    folder: Path | None = None,
) -> Iterator[tuple[Any, Precision]]:
    """The `accelerate.Accelerator` of this process without mixed precision, and the precision it came to.

    The training loop does mixed precision and loss scaling itself. 0 threads leave torch's own choice; with
    `find_unused` some weights may have no part in the answer; `timeout` is the process group's, in seconds;
    `tracker` is what it logs with, in `folder`.
    """
    import torch
    from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
    from accelerate.state import AcceleratorState

    cuda = torch.cuda.is_available()
    if precision is Precision.AUTO:
        precision = _quickest(cuda)
    if precision is Precision.FP16 and not cuda:
        raise UsageError("Precision fp16 needs a GPU; choose bf16 or fp32.")
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        accelerator = Accelerator(
            mixed_precision="no",
            log_with=None if tracker is Tracker.NONE else tracker.value,
            project_dir=folder,
            kwargs_handlers=[
                DistributedDataParallelKwargs(find_unused_parameters=find_unused),
                InitProcessGroupKwargs(timeout=timedelta(seconds=timeout)),
            ],
        )
        # While none of the processes can have failed: a later fault of one then reaches those that wait.
        wait_for_all(accelerator)
        yield accelerator, precision
    finally:
        torch.set_num_threads(before)
        # Or the next training of this process could not choose other settings.
        AcceleratorState._reset_state()


@contextmanager
def launched_accelerator() -> Iterator[Any]:
    """The accelerator of this process where `torchrun` started several, else `ALONE`.

    `ALONE` has a device where ACCELERATE_USE_CPU asks for the processor, as in a training.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() in _YES:
            import torch

            yield SimpleNamespace(**vars(ALONE), device=torch.device("cpu"))
        else:
            yield ALONE
        return
    with accelerator_for(Precision.FP32) as (accelerator, _):
        yield accelerator


def _quickest(cuda: bool) -> Precision:
    """bf16 only where the processor multiplies it: elsewhere it is slower than fp32."""
    import torch

    if cuda:
        return Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP16
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return (
        Precision.BF16 if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else Precision.FP32
    )


def torch_type(precision: Precision) -> torch.dtype:
    """The numbers that a network computes in; fp32 for AUTO."""
    import torch

    return {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}.get(precision, torch.float32)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Mixed precision for a forward pass; nothing in fp32."""
    import torch

    number = torch_type(precision)
    # A disabled autocast still checks its type, and a CPU has no fp32 for it.
    enabled = number is not torch.float32
    return torch.autocast(device.type, number if enabled else torch.bfloat16, enabled=enabled)
