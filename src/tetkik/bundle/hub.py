"""Models by the name that the hub of Hugging Face knows them by, through its own client."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from tetkik.errors import BundleNotFound
from tetkik.settings import settings

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")


def user_path(name: str) -> Path:
    """`name` as a path, with `~` for the home folder where there is one."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path.expanduser fails where there is no such user


def looks_like_hub_id(name: str) -> bool:
    """Whether `name` has the form `owner/model` and is no path."""
    return not name.startswith((".", "/", "~")) and _HUB_ID.match(name) is not None


def from_hub(model: str, patterns: Sequence[str] | None = None, revision: str | None = None) -> Path:
    """The folder of the model `owner/model` in the hub's cache; fetched where the setting `offline` is off.

    Args:
        patterns: of the files to fetch; None takes all.
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
                allow_patterns=None if patterns is None else list(patterns),
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
