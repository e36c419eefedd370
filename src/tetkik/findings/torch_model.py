"""A model of findings on torch: bundles without ONNX, and folders of transformers that are no bundles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.bundle import Bundle, Manifest, Task, bundle_id
from tetkik.choices import Device
from tetkik.errors import BundleMismatch
from tetkik.findings.networks import FAMILIES
from tetkik.findings.networks.encoder import ENCODER, EncoderNetwork, restored_encoder
from tetkik.findings.networks.huggingface import (
    SOFTMAX,
    HuggingFaceNetwork,
    label_names,
    open_classifier,
    read_preprocessing,
)
from tetkik.findings.onnx_model import preprocessing_of
from tetkik.findings.operating_points import UNCALIBRATED, default_thresholds
from tetkik.imaging.prepare import Preprocessing
from tetkik.networks.network import Network, answer_in_fp32, set_input_channels
from tetkik.networks.onnx_session import on_cuda
from tetkik.networks.state import restore

Classifier = Network | HuggingFaceNetwork | EncoderNetwork

_BATCH = 16
"""Most images in one run, so that memory stays flat."""


class TorchFindings:
    """A model of findings on torch; heatmaps hook the layers of `network`."""

    def __init__(
        self,
        manifest: Manifest,
        preprocessing: Preprocessing,
        network: Classifier,
        device: Device = Device.AUTO,
    ) -> None:
        self.manifest = manifest
        self.preprocessing = preprocessing
        answer_in_fp32()
        self._device = torch.device("cuda" if on_cuda(device, there=torch.cuda.is_available()) else "cpu")
        self.network = network.eval().to(self._device)
        sample = torch.zeros((1, preprocessing.channels, preprocessing.size, preprocessing.size))
        self._has_maps = self.network.has_maps(sample.to(self._device))

    @classmethod
    def load(cls, bundle: Bundle, device: Device = Device.AUTO) -> TorchFindings:
        """From an opened bundle with `model.safetensors`."""
        kind = bundle.manifest.kind
        if kind == "huggingface":
            network: Classifier = open_classifier(str(bundle.path))
        elif kind == ENCODER:
            network = restored_encoder(bundle)
        elif kind in FAMILIES:
            network = _restored(bundle, kind)
        else:
            raise BundleMismatch(
                "{path} is a model of findings of kind {kind}, which this Tetkik does not know; update "
                "Tetkik.",
                path=bundle.path,
                kind=kind,
            )
        return cls(bundle.manifest, preprocessing_of(bundle), network, device)

    @classmethod
    def from_transformers(cls, name: str, folder: Path, device: Device = Device.AUTO) -> TorchFindings:
        """From a folder that transformers wrote; labels by name, uncalibrated, at the default threshold."""
        network = open_classifier(str(folder))
        preprocessing = read_preprocessing(folder)
        labels = label_names(network.model.config)
        manifest = Manifest(
            id=bundle_id(Path(name).name) or "huggingface",
            version=folder.name[:12] if folder.parent.name == "snapshots" else "0",
            task=Task.FINDINGS,
            kind="huggingface",
            labels=labels,
            preprocessing=preprocessing.as_json(),
            thresholds=default_thresholds(labels),
            calibration=dict(UNCALIBRATED),
            created=datetime.fromtimestamp((folder / "config.json").stat().st_mtime, UTC).date().isoformat(),
        )
        return cls(manifest, preprocessing, network, device)

    def scores(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if not len(batch):
            return np.zeros((0, len(self.manifest.labels)), np.float32)
        with torch.inference_mode():
            return np.concatenate([_array(self.network(part).sigmoid()) for part in self._parts(batch)])

    def scores_and_maps(
        self, batch: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        if not self._has_maps or not len(batch):
            return self.scores(batch), None
        with torch.inference_mode():
            pairs = [self.network.logits_and_maps(part) for part in self._parts(batch)]
        scores = np.concatenate([_array(logits.sigmoid()) for logits, _ in pairs])
        return scores, np.concatenate([_array(maps) for _, maps in pairs])

    def _parts(self, batch: NDArray[np.float32]) -> Iterator[torch.Tensor]:
        for start in range(0, len(batch), _BATCH):
            yield torch.from_numpy(np.ascontiguousarray(batch[start : start + _BATCH])).to(self._device)


def _restored(bundle: Bundle, kind: str) -> Network:
    """One of our networks with the weights of `bundle`; an imported one may have a head of its own."""
    file = bundle.file("model.safetensors")
    network = FAMILIES[kind].make(len(bundle.manifest.labels), 0.0)
    set_input_channels(network, preprocessing_of(bundle).channels)
    restore(network, file, kind, bundle.manifest.training.get("hidden_layers", ()))
    network.exclusive = bundle.manifest.training.get("activation") == SOFTMAX
    return network


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.cpu().numpy()
    return array
