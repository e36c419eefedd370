"""A model that is loaded once and used for as long as its files stay what they were.

A service runs for months, and a bundle is imported anew under its name meanwhile: whoever takes the model
next gets the new one, whoever has the old one goes on with it, and it leaves the memory with the last of
them. A model that was taken away is not given any more.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tetkik.bundle.store import MANIFEST, is_bundle, place_of, resolve, sha256_of
from tetkik.errors import BundleCorrupt, BundleError

T = TypeVar("T")
_TRIES = 6
_PAUSE = 0.05
"""Seconds between two looks at a bundle that is being replaced; it is a matter of two renamings."""
_Mark = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of change of every file: a bundle that was put in another's place has others."""


@dataclass(frozen=True, slots=True, eq=False)
class CachedModel(Generic[T]):
    """A loaded model and which one it is."""

    model: T
    sha256: str  # of its manifest, which holds the hash of every file; empty where it has none


class ModelCache(Generic[T]):
    """The models of one kind that are loaded in this process, by the name that they are asked for.

    Taking one costs a look at the dates and sizes of its files. A model of the hub stays as it was loaded.
    """

    def __init__(self, load: Callable[[str], T]) -> None:
        self._load = load
        self._lock = threading.RLock()
        self._held: dict[str, tuple[_Mark, CachedModel[T]]] = {}

    def get(self, name: str) -> CachedModel[T]:
        """The model of this name as it is on the disk now.

        Raises:
            BundleError: no such model, damaged, or for another task; or it does not cease to change.
        """
        held = self._held.get(name)
        if held is not None and held[0] == _mark(name):
            return held[1]
        with self._lock:
            return self._loaded(name)

    def _loaded(self, name: str) -> CachedModel[T]:
        for left in reversed(range(_TRIES)):
            mark = _mark(name)
            held = self._held.get(name)
            if held is not None and held[0] == mark:
                return held[1]  # another thread was faster
            try:
                kept = CachedModel(self._load(name), _sha256(name))
            # Whatever half a bundle makes a library raise: it is raised again once the bundle stands still.
            except Exception:
                if not left or (held is None and mark == _mark(name)):
                    self._held.pop(name, None)
                    raise
            else:
                # Files that changed in between may be of two bundles.
                if mark == _mark(name):
                    self._held[name] = mark, kept
                    return kept
                del kept
            time.sleep(_PAUSE)
        raise BundleCorrupt(
            "The model {model} changes while it is being loaded; ask again once its import is through.",
            model=name,
        )


def _sha256(name: str) -> str:
    try:
        return sha256_of((place_of(name) or resolve(name).path) / MANIFEST)
    except (BundleError, OSError):
        return ""  # a model of the hub, or of transformers, that has no manifest


def _mark(name: str) -> _Mark:
    """What tells the files of a model from those of another; empty for a model of the hub, and for none."""
    place = place_of(name)
    try:
        return () if place is None else tuple(sorted(_marks(place, "", whole=is_bundle(place))))
    except OSError:
        return ()  # it is being replaced this very moment


def _marks(folder: Path | str, within: str, *, whole: bool) -> Iterator[tuple[str, int, int, int]]:
    """Of the folder, and of those in it where it is a bundle: any other may hold anything."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if whole and entry.is_dir(follow_symlinks=False):
                yield from _marks(entry.path, f"{within}{entry.name}/", whole=True)
            else:
                about = entry.stat()
                yield f"{within}{entry.name}", about.st_ino, about.st_size, about.st_mtime_ns
