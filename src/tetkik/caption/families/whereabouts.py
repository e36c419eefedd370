"""Where a base lies: a folder in the layout of Hugging Face, or an id on its hub at one commit."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tetkik.errors import BundleCorrupt, BundleNotFound, UsageError
from tetkik.settings import settings

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
_LIGHT = ["*.json", "*.txt", "*.model"]
"""Configuration and tokenizer, without weights."""
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A base that was found.

    Attributes:
        folder: where its files lie.
        name: what a bundle may call it: the hub's id, or the last part of a path.
        revision: commit of the hub's repository, 40 hexadecimal digits; None for a folder.
        given: what the user called it.
    """

    folder: Path
    name: str
    revision: str | None
    given: str


def is_path(base: str) -> bool:
    """Whether `base` means a place on this computer rather than an id of the hub."""
    return base.startswith((".", "/", "~")) or _user_path(base).exists() or _HUB_ID.match(base) is None


def find_base(base: str, revision: str | None = None, *, weights: bool = True) -> Whereabouts:
    """Where `base` lies; from the hub's cache, or with the setting `offline` off from the hub.

    Args:
        base: a folder or a hub id.
        revision: commit, tag or branch of the hub's repository; None takes what the hub names now.
        weights: whether they are wanted too; otherwise only configuration and tokenizer are fetched.

    Raises:
        UsageError: a revision for a folder.
        BundleNotFound: no such folder or id.
        BundleCorrupt: there are no weights as safetensors.
    """
    if not is_path(base):
        found = _from_hub(base, revision, weights)
    else:
        if revision is not None:
            raise UsageError(
                "{base} is a folder, which has no revisions; leave --revision out or give a Hugging Face id.",
                base=base,
            )
        folder = _user_path(base)
        if not folder.is_dir():
            raise BundleNotFound(
                "There is no base model at {base}; give a folder in the layout of Hugging Face or an id such "
                "as Salesforce/blip2-opt-2.7b.",
                base=base,
            )
        found = Whereabouts(folder, folder.resolve().name, None, base)
    if not (found.folder / "config.json").is_file():
        raise BundleCorrupt(
            "{base} has no config.json, so it is no model of transformers; give a folder that "
            "save_pretrained wrote.",
            base=base,
        )
    if weights and not any(found.folder.glob("*.safetensors")):
        raise BundleCorrupt(
            "{base} has no weights as safetensors, and other files can run code when they are opened; choose "
            "a revision with safetensors, or convert it once where you trust it "
            "(save_pretrained of transformers writes safetensors).",
            base=base,
        )
    return found


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """The object in the configuration file `name` of `folder`; empty where there is no such file.

    Raises:
        BundleCorrupt: it is not JSON.
    """
    file = folder / name
    try:
        values = json.loads(file.read_text("utf-8"))
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


def _user_path(name: str) -> Path:
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser fails where there is no such user


def _from_hub(base: str, revision: str | None, weights: bool) -> Whereabouts:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise BundleNotFound(
            "{model} looks like a Hugging Face id, and its client is not installed; "
            "`pip install huggingface-hub`, or give a path.",
            model=base,
        ) from None
    try:
        folder = Path(
            snapshot_download(
                base,
                revision=revision,
                allow_patterns=[*_LIGHT, "*.safetensors"] if weights else _LIGHT,
                local_files_only=settings().offline,
            )
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise BundleNotFound(
            "{model} could not be had from the hub ({fault}); set TETKIK_OFFLINE=false where there is a "
            "network, or give a path.",
            model=base,
            fault=type(error).__name__,
        ) from None
    # The hub's cache names the folder of a snapshot by its commit.
    commit = folder.name if _COMMIT.match(folder.name) else None
    return Whereabouts(folder, base, commit, base)
