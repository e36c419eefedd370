"""A network on ONNX Runtime's own CPU provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def onnx_session(network: bytes | Path, threads: int) -> Any:
    """The session of a network; it is read as ONNX, whatever its bytes or its name look like.

    ONNX Runtime would read bytes that begin like its own format (ORT) as that, without the checks of ONNX.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.load_model_format", "ONNX")
    source = network if isinstance(network, bytes) else str(network)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
