"""Where a model of transformers lies: a folder, or a Hugging Face id through the hub's own client."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tetkik.errors import BundleCorrupt, BundleNotFound
from tetkik.settings import settings

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_WANTED = ["*.json", "*.md", "*.onnx", "*.safetensors", "*.bin", "*.pt", "*.pth"]


def user_path(name: str) -> Path:
    """`name` as a path, with `~` for the home folder where there is one."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser fails where there is no such user


def looks_like_hub_id(name: str) -> bool:
    """Whether `name` has the form `owner/model` and is no path."""
    return not name.startswith((".", "/", "~")) and _HUB_ID.match(name) is not None


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
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise BundleNotFound(
            "{model} looks like a Hugging Face id, and its client is not installed; "
            "`pip install huggingface-hub`, or give a path.",
            model=name,
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED, local_files_only=settings().offline))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise BundleNotFound(
            "{model} could not be had from the hub ({fault}); set TETKIK_OFFLINE=false where there is a "
            "network, or give a path.",
            model=name,
            fault=type(error).__name__,
        ) from None


def read_json(file: Path) -> dict[str, Any]:
    """The object in a configuration file of transformers; empty where there is no such file.

    Raises:
        BundleCorrupt: it is not JSON.
    """
    try:
        values = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise BundleCorrupt(
            "{folder} has no readable {file} ({fault}); give a folder that save_pretrained wrote.",
            folder=file.parent,
            file=file.name,
            fault=type(error).__name__,
        ) from None
    return dict(values) if isinstance(values, dict) else {}
