"""The numbers to train in, and the `accelerate.Accelerator` that goes with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from tetkik.errors import UsageError


class Precision(StrEnum):
    """The numbers in which a network is trained; the weights that learn stay fp32."""

    AUTO = "auto"
    """bf16 where the processor or the GPU has it, fp16 on another GPU, fp32 on another CPU."""
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


@contextmanager
def accelerator_for(
    precision: Precision, *, threads: int = 0, find_unused: bool = False, autocast: bool = False
) -> Iterator[tuple[Any, Precision]]:
    """The `accelerate.Accelerator` of this process, and the precision it came to.

    Args:
        precision: asked for.
        threads: CPU threads of each process; 0 leaves torch's own choice.
        find_unused: whether some weights may have no part in the answer.
        autocast: whether the accelerator does the mixed precision; otherwise the loop does it itself.

    Raises:
        UsageError: fp16 without a GPU.
    """
    import torch
    from accelerate import Accelerator, DistributedDataParallelKwargs
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
        yield (
            Accelerator(
                mixed_precision=precision.value if autocast and precision is not Precision.FP32 else "no",
                kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=find_unused)],
            ),
            precision,
        )
    finally:
        torch.set_num_threads(before)
        # Or the next training of this process could not choose other settings.
        AcceleratorState._reset_state()


def _quickest(cuda: bool) -> Precision:
    """bf16 only where the processor multiplies it: elsewhere it is slower than fp32."""
    import torch

    if cuda:
        return Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP16
    told: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return Precision.BF16 if told.get("amx_bf16") or told.get("avx512_bf16") else Precision.FP32
