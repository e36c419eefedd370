"""The loading of a model of findings, whichever kind its bundle holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.bundle import Bundle, Task, resolve
from tetkik.bundle.hub import looks_like_hub_id, user_path
from tetkik.errors import BundleMismatch, MissingExtra
from tetkik.findings.interface import FindingsModel
from tetkik.findings.onnx_model import THREADS, OnnxFindings
from tetkik.networks.huggingface import model_folder
from tetkik.settings import FindingsProvider

if TYPE_CHECKING:
    from tetkik.findings.torch_model import TorchFindings


def load_model(
    model: str | Bundle,
    provider: FindingsProvider = FindingsProvider.ONNXRUNTIME,
    threads: int = THREADS,
) -> FindingsModel:
    """Load a model of findings.

    Args:
        model: a built-in or imported id, the path of a bundle, a folder that transformers wrote, a Hugging
            Face id of either, or an opened bundle.
        provider: what runs an ONNX network, with so many `threads`.

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
        return OnnxFindings.load(model, provider, threads)
    model.file("model.safetensors")
    return _torch().load(model)


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
