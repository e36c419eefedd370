"""Captions of similar images stand in the prompt: the index that a bundle carries, and how it is read.

Retrieval-augmented captioning as in SmallCap (Ramos et al., CVPR 2023), by the frozen vision tower's own
features instead of CLIP's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle
from tetkik.bundle.push import TRAINING_CAPTIONS
from tetkik.errors import BundleCorrupt

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = "neighbours.safetensors"
_CHUNK = 256
_SPARE = 8
"""So many times the wanted rows are looked at, since images of one case may have one caption."""


def embedding(seen: Tensor) -> NDArray[np.float32]:
    """(n, width), of unit length: the mean over the tokens of what the vision tower sees."""
    return unit_length(seen.detach().float().flatten(2).mean(dim=1).cpu().numpy())


def unit_length(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows of (n, width), each of length 1; one of zeros stays."""
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(norm > 0, norm, 1), np.float32)


def most_alike(
    queries: NDArray[np.float32],
    store: NDArray[np.float32],
    count: int,
    groups: NDArray[np.int64] | None = None,
    own: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """(n, count): the rows of `store` with the greatest cosine to each of `queries`, the greatest first.

    Both are of unit length. -1 stands for a row whose group, of `groups`, is the query's in `own`.
    """
    count = min(len(store), count)
    found = np.empty((len(queries), count), np.int64)
    for start in range(0, len(queries), _CHUNK):
        part = slice(start, start + _CHUNK)
        likeness = queries[part] @ store.T
        if groups is not None and own is not None:
            likeness[own[part, None] == groups[None]] = -np.inf
        rows = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(likeness, rows, axis=1)
        order = values.argsort(axis=1, kind="stable")[:, ::-1]
        alike = np.where(np.isfinite(values), rows, -1)
        found[part] = np.take_along_axis(alike, order, axis=1)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class NeighbourIndex:
    """Training images by what the vision tower sees, (rows, width), float32, and their captions.

    `count` captions go into a prompt. On disk features have 16 bits.
    """

    features: NDArray[np.float32]
    captions: tuple[str, ...]
    count: int

    def nearest(
        self,
        queries: NDArray[np.float32],
        groups: NDArray[np.int64] | None = None,
        own: NDArray[np.int64] | None = None,
        captions: Sequence[str] | None = None,
    ) -> list[list[str]]:
        """Captions of the most similar images for each of `queries`, (n, width), no caption twice.

        An image is left out where its group, of `groups`, (rows,), is the query's in `own`, (n,), or where
        its caption has the words of the query's in `captions`.
        """
        words = [_plain(text) for text in self.captions] if captions is not None else []
        found: list[list[str]] = []
        for of_one in most_alike(queries, self.features, _SPARE * self.count, groups, own).tolist():
            true = None if captions is None else _plain(captions[len(found)])
            texts = (
                self.captions[row] for row in of_one if row >= 0 and (true is None or words[row] != true)
            )
            found.append(list(dict.fromkeys(texts))[: self.count])
        return found

    def write(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"features": self.features.astype(np.float16)}, folder / FEATURES)
        content = {"count": self.count, "captions": self.captions}
        (folder / TRAINING_CAPTIONS).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _plain(text: str) -> str:
    """Its words, in small letters and without punctuation."""
    return " ".join("".join(char if char.isalnum() else " " for char in text.casefold()).split())


def read_neighbours(bundle: Bundle) -> NeighbourIndex | None:
    """The index in a bundle; None where it has none.

    Raises:
        BundleCorrupt: its parts do not fit together.
    """
    if FEATURES not in bundle.manifest.files:
        return None
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        features = load_file(bundle.path / FEATURES)["features"]
        content = json.loads((bundle.path / TRAINING_CAPTIONS).read_text("utf-8"))
        captions, count = tuple(map(str, content["captions"])), int(content["count"])
        if features.ndim != 2 or len(features) != len(captions) or count < 1 or not captions:
            raise ValueError(features.shape)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        raise BundleCorrupt(
            "{path} has an index of neighbours that cannot be read; train the captioner again.",
            path=bundle.path,
        ) from None
    return NeighbourIndex(features.astype(np.float32), captions, count)
