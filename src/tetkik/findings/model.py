"""What every model of findings can do, and the loading of whichever kind a bundle holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle, Manifest, Task, resolve
from tetkik.errors import BundleCorrupt, BundleMismatch, MissingExtra
from tetkik.findings.hub import model_folder
from tetkik.imaging.prepare import Preprocessing
from tetkik.networks.huggingface import looks_like_hub_id, user_path

if TYPE_CHECKING:
    from tetkik.findings.torch_model import TorchFindings


class FindingsModel(Protocol):
    """A multi-label image classifier."""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself; `labels` is in the order of the columns below."""

    @property
    def preprocessing(self) -> Preprocessing:
        """What an image must go through first."""

    def scores(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's sigmoids.

        Args:
            batch: (images, channels, size, size), float32, from `tetkik.imaging.prepare`.

        Returns:
            (images, labels), float32, 0 to 1.
        """

    def scores_and_maps(
        self, batch: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The sigmoids, and the class activation maps where the network has exact ones.

        Args:
            batch: as for `scores`.

        Returns:
            (images, labels) float32, and (images, labels, h, w) float32 or None: the mean of a label's map
            plus a constant of the label is its logit.
        """


def load_model(model: str | Bundle) -> FindingsModel:
    """Load a model of findings.

    Args:
        model: a built-in or imported id, the path of a bundle, a folder that transformers wrote, a Hugging
            Face id of either, or an opened bundle.

    Raises:
        BundleError: none such, damaged, or not for findings.
        MissingExtra: it needs torch or transformers, and that is not installed.
    """
    if isinstance(model, str):
        folder = _transformers_folder(model)
        if folder is not None:
            return _torch().from_transformers(model, folder)
        _refuse_checkpoint(model)
        model = resolve(model, Task.FINDINGS)
    if "model.onnx" in model.manifest.files:
        from tetkik.findings.onnx_model import OnnxFindings

        return OnnxFindings.load(model)
    model.file("model.safetensors")
    return _torch().load(model)


def preprocessing_of(bundle: Bundle) -> Preprocessing:
    """What a bundle's manifest says must be done to an image.

    Raises:
        BundleCorrupt: it cannot be read.
    """
    try:
        return Preprocessing.from_json(bundle.manifest.preprocessing)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BundleCorrupt(
            "The preprocessing in the manifest of {path} cannot be read ({fault}); train or import it again.",
            path=bundle.path,
            fault=error,
        ) from None


def _refuse_checkpoint(model: str) -> None:
    path = user_path(model)
    if path.suffix in {".pt", ".pth", ".ckpt", ".safetensors"} and path.is_file():
        raise BundleMismatch(
            "{path} is a checkpoint and no bundle; "
            "`tetkik findings import {path} --out DIR` makes one of it.",
            path=path,
        )


def _transformers_folder(model: str) -> Path | None:
    """Where `model` lies if it is one of transformers and no bundle; None otherwise."""
    path = user_path(model)
    if not (model and path.is_dir()):
        if not looks_like_hub_id(model):
            return None
        path = model_folder(model)
    is_transformers = (path / "config.json").is_file() and not (path / "manifest.json").is_file()
    return path if is_transformers else None


def _torch() -> type[TorchFindings]:
    try:
        from tetkik.findings.torch_model import TorchFindings
    except ImportError:
        raise MissingExtra(
            "A model without ONNX needs torch and transformers; `pip install 'tetkik[torch]'`."
        ) from None
    return TorchFindings
