"""A model of findings that needs no torch: ONNX Runtime, or OpenVINO where the settings ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle, Manifest
from tetkik.choices import Device, FindingsProvider
from tetkik.errors import BundleCorrupt, UsageError
from tetkik.findings.interface import preprocessing_of
from tetkik.findings.shared_session import Images, Session, SharedSession
from tetkik.imaging.prepare import Preprocessing
from tetkik.networks.onnx_session import gpu_failed, onnx_session

THREADS = 2
"""Where nobody says how many."""


class OrtSession:
    """A graph on ONNX Runtime."""

    def __init__(self, file: Path, threads: int = THREADS, device: Device = Device.CPU) -> None:
        self._session: Any = onnx_session(file, threads, device)
        self.outputs = tuple(node.name for node in self._session.get_outputs())

    def run(self, names: tuple[str, ...], batch: Images) -> tuple[NDArray[np.float32], ...]:
        """Those of its `outputs` for (images, channels, size, size)."""
        return tuple(self._session.run(list(names), {"image": batch}))


class OpenVinoSession:
    """A graph on OpenVINO; with `bf16` it computes in bf16 where the processor can (AVX-512 BF16, AMX).

    Scores then differ in the third decimal.
    """

    def __init__(self, file: Path, threads: int = THREADS, *, bf16: bool = False) -> None:
        import openvino

        core = openvino.Core()
        native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        compiled: Any = core.compile_model(
            core.read_model(str(file)),
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                # OpenVINO's own choice is bf16 wherever it can: said here, so that no machine answers
                # differently unasked.
                "INFERENCE_PRECISION_HINT": "bf16" if bf16 and native else "f32",
            },
        )
        self._request: Any = compiled.create_infer_request()
        self.outputs = tuple(output.get_any_name() for output in compiled.outputs)

    def run(self, names: tuple[str, ...], batch: Images) -> tuple[NDArray[np.float32], ...]:
        """As `OrtSession.run`; a request holds its own memory."""
        self._request.infer({"image": np.ascontiguousarray(batch)})
        return tuple(np.array(self._request.get_tensor(name).data) for name in names)


def open_session(
    file: Path, provider: FindingsProvider, threads: int = THREADS, device: Device = Device.CPU
) -> Session:
    """`file` on `provider`; on ONNX Runtime where OpenVINO is not installed, or CUDA is asked for."""
    if provider is not FindingsProvider.ONNXRUNTIME and device is not Device.CUDA:
        try:
            return OpenVinoSession(file, threads, bf16=provider is FindingsProvider.OPENVINO_BF16)
        except ImportError:
            pass
    return OrtSession(file, threads, device)


class OnnxFindings:
    """A model of findings from a bundle with `model.onnx`."""

    def __init__(self, manifest: Manifest, preprocessing: Preprocessing, session: Session) -> None:
        self.manifest = manifest
        self.preprocessing = preprocessing
        self._session = SharedSession(session)

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        provider: FindingsProvider = FindingsProvider.ONNXRUNTIME,
        threads: int = THREADS,
        device: Device = Device.CPU,
    ) -> OnnxFindings:
        """From an opened bundle with `model.onnx`."""
        preprocessing = preprocessing_of(bundle)
        file, size = bundle.file("model.onnx"), preprocessing.size
        try:
            model = cls(bundle.manifest, preprocessing, open_session(file, provider, threads, device))
            found = model.scores(np.zeros((1, preprocessing.channels, size, size), np.float32)).shape
        except UsageError:
            raise
        # The runtimes' own exceptions have no common root but this one.
        except Exception as error:
            if device is not Device.CPU:
                model = cls.load(bundle, provider, threads)
                if device is Device.AUTO:
                    return model
                raise gpu_failed(bundle.path, error) from None
            raise BundleCorrupt(
                "{path}: {name} is not a network of findings that can be run ({fault}); train or import it "
                "again.",
                path=bundle.path,
                name=file.name,
                fault=type(error).__name__,
            ) from None
        if found != (1, len(bundle.manifest.labels)):
            raise BundleCorrupt(
                "{path}: the network has {found} outputs and the manifest {named} labels; train or "
                "export it again.",
                path=bundle.path,
                found=found[-1],
                named=len(bundle.manifest.labels),
            )
        return model

    def scores(self, batch: Images) -> NDArray[np.float32]:
        if not len(batch):
            return np.zeros((0, len(self.manifest.labels)), np.float32)
        return self._session.run(("scores",), batch)[0]

    def scores_and_maps(self, batch: Images) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        if "maps" not in self._session.outputs or not len(batch):
            return self.scores(batch), None
        scores, maps = self._session.run(("scores", "maps"), batch)
        return scores, maps
