"""Which model it was: the hash that stands with everything that a model said."""

from __future__ import annotations

from functools import cache

from tetkik.bundle import Task, resolve, sha256_of
from tetkik.bundle.store import MANIFEST


@cache
def bundle_sha256(model: str, task: Task) -> str:
    """SHA-256 of the manifest of a model's bundle: it holds the hash of every file, so it tells them all.

    Args:
        model: an id or a path.
        task: what it is for.

    Raises:
        BundleError: no such model, damaged, or for another task.
    """
    return sha256_of(resolve(model, task).path / MANIFEST)
