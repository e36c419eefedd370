"""Where a base lies: a folder in the layout of Hugging Face, or an id on its hub at one commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tetkik.bundle.hub import from_hub, looks_like_hub_id, user_path
from tetkik.errors import BundleCorrupt, BundleNotFound, UsageError

_LIGHT = ["*.json", "*.txt", "*.model"]
"""Configuration and tokenizer, without weights."""
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True, slots=True)
class BaseLocation:
    """A base that was found, by the name a bundle may give it; the commit is None for a folder."""

    folder: Path
    name: str
    revision: str | None
    given: str


def is_path(base: str) -> bool:
    """Whether `base` means a place on this computer rather than an id of the hub."""
    return user_path(base).exists() or not looks_like_hub_id(base)


def find_base(base: str, revision: str | None = None, *, weights: bool = True) -> BaseLocation:
    """Where `base` lies; from the hub's cache, or with the setting `offline` off from the hub.

    Without `weights` only configuration and tokenizer are fetched. A revision is a commit, tag or branch.
    """
    if not is_path(base):
        folder = from_hub(base, [*_LIGHT, "*.safetensors"] if weights else _LIGHT, revision)
        # The hub's cache names the folder of a snapshot by its commit.
        found = BaseLocation(folder, base, folder.name if _COMMIT.match(folder.name) else None, base)
    else:
        if revision is not None:
            raise UsageError(
                "{base} is a folder, which has no revisions; leave --revision out or give a Hugging Face id.",
                base=base,
            )
        folder = user_path(base)
        if not folder.is_dir():
            raise BundleNotFound(
                "There is no base model at {base}; give a folder in the layout of Hugging Face or an id such "
                "as Salesforce/blip2-opt-2.7b.",
                base=base,
            )
        found = BaseLocation(folder, folder.resolve().name, None, base)
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
