"""Frozen features: computed once for each image and kept on disk, or computed again each time.

They lie in a store (`engine.arrays`) for each frozen part, cut, set of numbers and split, by their row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tetkik.caption.families.staged import StagedNetwork, learns
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.network import Cut
from tetkik.errors import OutputError, TrainingError
from tetkik.lab.caption.prepared import PreparedPart
from tetkik.lab.caption.training.nonfinite import nonfinite_features, overflowing_features
from tetkik.lab.engine.arrays import ArrayStore, free_bytes
from tetkik.lab.engine.batches import Rows, in_steps, prefetched
from tetkik.lab.engine.precision import Precision
from tetkik.lab.engine.processes import wait_for_all
from tetkik.language import Sentence
from tetkik.statistics import Ints
from tetkik.values import ProgressCallback

GB = 1e9
_SPARE = 256 << 20
"""Bytes of the disk that stay free for checkpoints."""


class Features(Protocol):
    """Where the features of rows come from."""

    def fetch(self, rows: Rows) -> Tensor:
        """What lies on the disk of these rows, on the CPU; called in a thread."""

    def at_cut(self, network: StagedNetwork, fetched: Tensor, device: torch.device) -> Tensor:
        """What the part of the network that learns is given, on the device."""


@dataclass(frozen=True, slots=True)
class LiveFeatures:
    """Pixels, through the frozen part each time."""

    part: PreparedPart
    image: ImageSpec

    def fetch(self, rows: Rows) -> Tensor:
        """(rows, 3, size, size), float32."""
        return torch.from_numpy(self.image.normalised(self.part.squares(rows)))

    def at_cut(self, network: StagedNetwork, fetched: Tensor, device: torch.device) -> Tensor:
        """The frozen part's output, or the pixels themselves where all of it learns."""
        return network.frozen_features(fetched.to(device, non_blocking=True))


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """Features on disk, memory-mapped, and where in the store each row's are."""

    store: ArrayStore
    places: Ints

    def fetch(self, rows: Rows) -> Tensor:
        """(rows, tokens, width), as it is on disk."""
        return torch.from_numpy(self.store.arrays[self.places[rows]])

    def at_cut(self, network: StagedNetwork, fetched: Tensor, device: torch.device) -> Tensor:
        """The same, on the device."""
        return fetched.to(device, non_blocking=True)


def places_of(store: ArrayStore, rows: int) -> Ints:
    """Where the features of each of so many rows are; -1 where they are not there."""
    return store.places(map(str, range(rows)))


def open_features(store: ArrayStore, rows: int) -> FeatureCache:
    """The features, when those of all rows are there."""
    places = places_of(store.open(), rows)
    if (places < 0).any():
        raise OutputError(
            "Features that were computed are no longer in {folder}; run the same command again.",
            folder=store.folder,
        )
    return FeatureCache(store, places)


def feature_numbers(precision: Precision) -> np.dtype[Any]:
    """fp16 beside weights of 16 bits, which a larger number is refused for; on fp32 nothing is to be lost."""
    return np.dtype(np.float32 if precision is Precision.FP32 else np.float16)


def features_key(network: StagedNetwork, dtype: np.dtype[Any]) -> dict[str, Any]:
    """What features depend on besides the images: two runs with the same key may share them."""
    return {
        "weights": frozen_digest(network),
        "family": network.family,
        "cut": network.cut.value,
        "shape": list(network.feature_shape()),
        "image": network.image.as_json(),
        "dtype": dtype.name,
    }


def split_store(folder: Path, key: dict[str, Any], split: str, digest: str) -> ArrayStore:
    """Where the features of a split of a prepared folder go; `key` is of `features_key`."""
    shape = (int(key["shape"][0]), int(key["shape"][1]))
    done = {**key, "split": split, "digest": digest}
    return ArrayStore(folder, "features", done, shape, np.dtype(key["dtype"]))


_PARTS = {
    Cut.VISION: Sentence("the vision tower"),
    Cut.BRIDGE: Sentence("the Q-Former"),
    Cut.PROJECTION: Sentence("the projection"),
}


def cache_place(network: StagedNetwork) -> Sentence:
    """Behind which part of the network features are cached, and why not later."""
    if network.cut is Cut.NOTHING:
        return Sentence("The vision tower learns, so that no image features can be cached.")
    tokens, width = network.feature_shape()
    if network.cut is Cut.PROJECTION:
        why = Sentence("no weight before it learns")
    elif any(learns(part) for part in network.learning_parts().values()):
        why = Sentence("weights after it learn")
    else:
        why = Sentence("the projection after it only makes them larger")
    return Sentence(
        "Image features are cached behind {part}, {tokens} x {width} numbers an image: {why}.",
        {"part": _PARTS[network.cut], "tokens": tokens, "width": width, "why": why},
    )


def frozen_would_be_smaller(network: StagedNetwork) -> bool:
    """Whether a Q-Former that does not learn would make features smaller."""
    return network.bridge is not None and network.cut is Cut.VISION


def feature_store(out: Path) -> Path:
    """Where the features of the training that writes `out` go without --cache."""
    return out.with_name(f".{out.name}.features")


def check_room(needed: int, folder: Path, *, smaller: bool) -> None:
    """Refuse features that do not fit; `smaller` where they would be with a Q-Former that is frozen."""
    free = free_bytes(folder)
    if not needed or needed + _SPARE <= free:
        return
    raise OutputError(
        (
            "The image features need {needed:.1f} GB and {folder} has {free:.1f} GB free; name another disk "
            "with --cache, leave the Q-Former frozen, whose features are much smaller, or add "
            "--no-feature-cache."
            if smaller
            else "The image features need {needed:.1f} GB and {folder} has {free:.1f} GB free; name another "
            "disk with --cache, or add --no-feature-cache."
        ),
        needed=needed / GB,
        folder=folder,
        free=free / GB,
    )


def write_features(
    accelerator: Any,
    network: StagedNetwork,
    part: PreparedPart,
    store: ArrayStore,
    *,
    batch: int,
    precision: Precision,
    progress: ProgressCallback,
) -> None:
    """Make what was missing when the store was opened, each process its share, and wait for the others."""
    # Every process must have opened it before any of them adds to it.
    wait_for_all(accelerator)
    rank, world = accelerator.process_index, accelerator.num_processes
    mine = np.array_split(np.flatnonzero(places_of(store, len(part)) < 0), world)[rank]
    source = LiveFeatures(part, network.image)
    done = 0
    for rows, pixels in prefetched(source.fetch, in_steps(mine, batch)):
        found = source.at_cut(network, pixels, accelerator.device).float().cpu().numpy()
        _check(found, rows, part.ids, partial(nonfinite_features, precision=precision))
        with np.errstate(over="ignore"):
            kept = found.astype(store.dtype)
        _check(kept, rows, part.ids, overflowing_features)
        store.add([*zip(map(str, rows.tolist()), kept, strict=True)])
        done += len(rows)
        progress("image features", done * world, len(mine) * world)
    wait_for_all(accelerator)


def _check(
    values: NDArray[Any], rows: Rows, ids: Sequence[str], fault: Callable[[Sequence[str]], TrainingError]
) -> None:
    sound = np.isfinite(values).all(axis=(1, 2))
    if not sound.all():
        raise fault([ids[row] for row in rows[~sound].tolist()])


def frozen_digest(network: StagedNetwork, last: Cut | None = None) -> str:
    """SHA-256 over the weights that an image's features come from: stages up to `last`, or to the cut.

    A revision that changes the language model alone leaves the features as they are.
    """
    digest = hashlib.sha256()
    for stage in network.stages():
        for name in stage.parts:
            part = network.part(name)
            tensors = part.state_dict() if isinstance(part, torch.nn.Module) else {"": part}
            for key, tensor in sorted(tensors.items()):
                digest.update(f"{name}.{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
                plain = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
                digest.update(plain.cpu().numpy().data)
        if stage.cut is (last or network.cut):
            break
    return digest.hexdigest()
