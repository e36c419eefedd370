"""What every model of transformers needs: its folder, from the hub or its cache, its JSON, and quiet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tetkik.bundle.hub import from_hub, looks_like_hub_id, user_path
from tetkik.errors import BundleCorrupt, BundleNotFound

_WANTED = ["*.json", "*.md", "*.onnx", "*.safetensors", "*.bin", "*.pt", "*.pth"]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No remarks and bars of transformers, which would stand between the lines of a command; only errors."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def model_folder(name: str) -> Path:
    """The folder of the model `name` of transformers: a path is itself, an id is as `from_hub` has it."""
    path = user_path(name)
    if path.is_dir():
        return path
    if path.exists() or not looks_like_hub_id(name):
        raise BundleNotFound(
            "There is no network called {name}; give one of our own, a folder of transformers, or a "
            "Hugging Face id (owner/model).",
            name=name,
        )
    return from_hub(name, _WANTED)


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """The object in the configuration file `name` of `folder`; empty where there is no such file."""
    try:
        values = json.loads((folder / name).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise BundleCorrupt(
            "{folder} has no readable {file} ({fault}); give a folder that save_pretrained wrote.",
            folder=folder,
            file=name,
            fault=type(error).__name__,
        ) from None
    return dict(values) if isinstance(values, dict) else {}
