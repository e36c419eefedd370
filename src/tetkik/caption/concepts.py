"""The head of a bundle that names concepts of an image, for the prompt: linear in what the tower sees."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle
from tetkik.errors import BundleCorrupt

WEIGHTS = "concepts.safetensors"
NAMES = "concepts.json"


@dataclass(frozen=True, slots=True, eq=False)
class ConceptHead:
    """Scores linear in what the vision tower sees of an image, its `embedding`.

    `weight` is (width, concepts), `bias` (concepts,), both float32. Of an image at most `count` names are
    said, of those that score `threshold` or more.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    names: tuple[str, ...]
    threshold: float
    count: int

    def best(self, seen: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The highest scores of each row of `seen`, (n, width), and whose they are; both (n, `count`)."""
        scores: NDArray[np.float32] = seen @ self.weight + self.bias
        columns = np.argsort(-scores, axis=1, kind="stable")[:, : self.count].astype(np.int64)
        return np.take_along_axis(scores, columns, axis=1), columns

    def names_of(self, seen: NDArray[np.float32]) -> list[list[str]]:
        """What is said of each row of `seen`, the likeliest first."""
        return self.named(*self.best(seen))

    def named(self, scores: NDArray[np.float32], columns: NDArray[np.int64]) -> list[list[str]]:
        """The names of `columns`, (n, k), whose `scores` are high enough."""
        return [
            [self.names[column] for column in of_one[enough].tolist()]
            for of_one, enough in zip(columns, scores >= self.threshold, strict=True)
        ]

    def write(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"weight": self.weight, "bias": self.bias}, folder / WEIGHTS)
        content = {"names": self.names, "threshold": self.threshold, "count": self.count}
        (folder / NAMES).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def read_concepts(bundle: Bundle) -> ConceptHead | None:
    """The head in a bundle; None where it has none.

    Raises:
        BundleCorrupt: its parts do not fit together.
    """
    if WEIGHTS not in bundle.manifest.files:
        return None
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(bundle.path / WEIGHTS)
        weight, bias = (tensors[name].astype(np.float32) for name in ("weight", "bias"))
        content = json.loads((bundle.path / NAMES).read_text("utf-8"))
        names, count = tuple(map(str, content["names"])), int(content["count"])
        threshold = float(content["threshold"])
        if weight.ndim != 2 or weight.shape[1:] != bias.shape or len(bias) != len(names) or count < 1:
            raise ValueError(weight.shape)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        raise BundleCorrupt(
            "{path} has a head for concepts that cannot be read; train the captioner again.",
            path=bundle.path,
        ) from None
    return ConceptHead(weight, bias, names, threshold, count)
