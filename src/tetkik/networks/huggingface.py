"""What every model of transformers needs: its folder, from the hub or its cache, its JSON, and quiet."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tetkik.errors import BundleCorrupt, BundleNotFound
from tetkik.settings import settings

_WANTED = ["*.json", "*.md", "*.onnx", "*.safetensors", "*.bin", "*.pt", "*.pth"]
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")


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


def user_path(name: str) -> Path:
    """`name` as a path, with `~` for the home folder where there is one."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser fails where there is no such user


def looks_like_hub_id(name: str) -> bool:
    """Whether `name` has the form `owner/model` and is no path."""
    return not name.startswith((".", "/", "~")) and _HUB_ID.match(name) is not None


def from_hub(model: str, patterns: Sequence[str], revision: str | None = None) -> Path:
    """The folder of the model `owner/model` in the hub's cache; fetched where the setting `offline` is off.

    Args:
        revision: commit, tag or branch; None takes what the hub names now.

    Raises:
        BundleNotFound: there is none, no network, or no client of the hub.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise BundleNotFound(
            "{model} looks like a Hugging Face id, and its client is not installed; "
            "`pip install huggingface-hub`, or give a path.",
            model=model,
        ) from None
    try:
        return Path(
            snapshot_download(
                model,
                revision=revision,
                allow_patterns=list(patterns),
                local_files_only=settings().offline,
            )
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise BundleNotFound(
            "{model} could not be had from the hub ({fault}); set TETKIK_OFFLINE=false where there is a "
            "network, or give a path.",
            model=model,
            fault=type(error).__name__,
        ) from None


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
