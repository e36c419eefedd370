"""A network on ONNX Runtime, on the processor or on a GPU."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from tetkik.choices import Device
from tetkik.errors import UsageError

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"


def onnx_session(network: bytes | Path, threads: int, device: Device = Device.CPU) -> Any:
    """The session of a network; it is read as ONNX, whatever its bytes or its name look like.

    ONNX Runtime would read bytes that begin like its own format (ORT) as that, without the checks of ONNX.

    Raises:
        UsageError: CUDA is asked for and not there, or the network is in int8.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ONNX")
    source = network if isinstance(network, bytes) else str(network)
    available = onnxruntime.get_available_providers() if device is not Device.CPU else ()
    providers = providers_for(device, available, int8=_CUDA in available and _is_int8(network))
    session = onnxruntime.InferenceSession(source, options, providers=providers)
    # Where the driver or its libraries are missing, ONNX Runtime goes on without them.
    on_cuda(device, there=_CUDA in session.get_providers())
    return session


def providers_for(device: Device, available: Collection[str], *, int8: bool) -> list[Any]:
    """What ONNX Runtime is to run a network on, of what is `available`, the first first.

    On a GPU numbers are not rounded to TF32, so that it answers as the processor does.
    """
    if int8 and device is Device.CUDA:
        raise UsageError(
            "This network is in int8, which is for the processor; leave out --device cuda (or the setting "
            "device), or take a model with a network in fp32."
        )
    if int8 or not on_cuda(device, there=_CUDA in available):
        return [_CPU]
    return [(_CUDA, {"use_tf32": "0"}), _CPU]


def on_cuda(device: Device, *, there: bool) -> bool:
    """Whether a GPU is used; `there` says whether the runner can use one."""
    if device is Device.CUDA and not there:
        raise UsageError(
            "No GPU can be used here: torch or ONNX Runtime finds none, or lacks its libraries; leave out "
            "--device cuda (or the setting device), or install torch for CUDA and onnxruntime-gpu."
        )
    return there and device is not Device.CPU


def gpu_failed(path: Path, fault: Exception) -> UsageError:
    """For a network that the processor runs, and a GPU that was asked for by name does not."""
    return UsageError(
        "The GPU failed with {path} ({fault}), such as for want of memory, and the processor runs it; free "
        "the GPU, or leave out --device cuda (or the setting device).",
        path=path,
        fault=type(fault).__name__,
    )


def _is_int8(network: bytes | Path) -> bool:
    """Whether activations are quantised, by the names of the graph's operators."""
    return b"QuantizeLinear" in (network if isinstance(network, bytes) else network.read_bytes())
