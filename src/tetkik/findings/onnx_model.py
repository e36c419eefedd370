"""A model of findings that needs no torch: ONNX Runtime, or OpenVINO where the settings ask for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.manifest import Manifest
from tetkik.bundle.store import Bundle
from tetkik.choices import Device, FindingsProvider
from tetkik.errors import BundleCorrupt, UsageError
from tetkik.imaging.prepare import Preprocessing
from tetkik.networks.onnx_session import gpu_failed, onnx_session

# What every model of findings can do.


class FindingsModel(Protocol):
    """A multi-label image classifier."""

    manifest: Manifest
    """What the bundle says of itself; `labels` is in the order of the columns below."""
    preprocessing: Preprocessing
    """What an image must go through first."""

    def scores(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sigmoids (images, labels) of (images, channels, size, size) as `tetkik.imaging.prepare` gives."""

    def scores_and_maps(
        self, batch: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The sigmoids, and class activation maps (images, labels, h, w) where the network has exact ones.

        The mean of a label's map plus a constant of the label is its logit.
        """


def preprocessing_of(bundle: Bundle) -> Preprocessing:
    """What a bundle's manifest says must be done to an image."""
    try:
        return Preprocessing.from_json(bundle.manifest.preprocessing)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BundleCorrupt(
            "The preprocessing in the manifest of {path} cannot be read ({fault}); train or import it again.",
            path=bundle.path,
            fault=error,
        ) from None


# One graph for several threads: what they ask while it is busy goes through it together in its next run.


Images = NDArray[np.float32]
Outputs = tuple[NDArray[np.float32], ...]
MOST = 16
"""Images of one run, beyond those of a single request."""


class Session(Protocol):
    """A loaded graph; for one thread at a time."""

    outputs: tuple[str, ...]

    def run(self, names: tuple[str, ...], batch: Images) -> Outputs:
        """Those of its `outputs` for (images, channels, size, size)."""


@dataclass(eq=False)
class _Request:
    names: tuple[str, ...]
    batch: Images
    answer: Outputs | None = None


class SharedSession:
    """A session for any number of threads. Nobody waits for others to come; who comes alone runs alone."""

    def __init__(self, session: Session) -> None:
        self.outputs = session.outputs
        self._session = session
        self._busy = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Request] = []

    def run(self, names: tuple[str, ...], batch: Images) -> Outputs:
        """As `Session.run`."""
        mine = _Request(names, batch)
        with self._lock:
            self._waiting.append(mine)
        with self._busy:
            if mine.answer is None:
                self._run_with(mine)
        assert mine.answer is not None
        return mine.answer

    def _run_with(self, mine: _Request) -> None:
        together = self._taken(mine)
        try:
            answers = self._session.run(mine.names, np.concatenate([one.batch for one in together]))
        except Exception:
            if len(together) == 1:
                raise
            together = [mine]  # the others run by themselves, when it is their turn
            answers = self._session.run(mine.names, mine.batch)
        ends = np.cumsum([len(one.batch) for one in together])[:-1]
        for one, answer in zip(
            together, zip(*(np.split(rows, ends) for rows in answers), strict=True), strict=True
        ):
            one.answer = answer

    def _taken(self, mine: _Request) -> list[_Request]:
        """A request and those that fit to it, in the order in which they came."""
        with self._lock:
            if mine in self._waiting:  # it is not where another's run failed with it
                self._waiting.remove(mine)
            together = [mine]
            for one in tuple(self._waiting):
                many = sum(len(other.batch) for other in together) + len(one.batch)
                if many <= MOST and one.names == mine.names and one.batch.shape[1:] == mine.batch.shape[1:]:
                    self._waiting.remove(one)
                    together.append(one)
            return together


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
