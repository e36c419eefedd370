"""Where a model of transformers lies: a folder, or a Hugging Face id through the hub's own client."""

from __future__ import annotations

from pathlib import Path

from tetkik.errors import BundleNotFound
from tetkik.networks.huggingface import from_hub, looks_like_hub_id, user_path

_WANTED = ["*.json", "*.md", "*.onnx", "*.safetensors", "*.bin", "*.pt", "*.pth"]


def model_folder(name: str) -> Path:
    """The folder of the model `name`.

    A path is itself. An id comes from the hub's cache or, where the setting `offline` is off, from the hub.

    Raises:
        BundleNotFound: neither.
    """
    path = user_path(name)
    if path.is_dir():
        return path
    if path.exists() or not looks_like_hub_id(name):
        raise BundleNotFound(
            "There is no network called {name}; give one of our own, a folder of transformers, or a "
            "Hugging Face "
            "id (owner/model).",
            name=name,
        )
    return from_hub(name, _WANTED)
