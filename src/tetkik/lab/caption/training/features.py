"""Frozen features: computed once for each image and kept on disk, or computed again each time.

FOLDER/features-0123456789abcdef/    one frozen part, one cut, one set of numbers
  train-1a2b3c4d/                    the images of one split, by the digest of the prepared folder
    block-00000.npy                  (rows, tokens, width), of rows 0 to N-1, written whole or not at all

A block is made in memory and then written, so memory is bounded, several processes can share the work, and
what was made before an interruption is found again.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import uuid
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
from tetkik.files import written_whole
from tetkik.lab.caption.prepared import PreparedPart
from tetkik.lab.caption.training.nonfinite import nonfinite_features, overflowing_features
from tetkik.lab.engine.batches import Rows, prefetched
from tetkik.lab.engine.checkpoint import room_on_disk
from tetkik.lab.engine.precision import Precision
from tetkik.lab.engine.processes import wait_for_all
from tetkik.language import Sentence
from tetkik.values import ProgressCallback

GB = 1e9
_BLOCK_BYTES = 64 << 20
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
    """Features on disk, memory-mapped: blocks of (rows, tokens, width), each but the last of `block_rows`."""

    blocks: tuple[NDArray[Any], ...]
    block_rows: int

    def fetch(self, rows: Rows) -> Tensor:
        """(rows, tokens, width), as it is on disk."""
        return torch.from_numpy(
            np.stack([self.blocks[row // self.block_rows][row % self.block_rows] for row in rows.tolist()])
        )

    def at_cut(self, network: StagedNetwork, fetched: Tensor, device: torch.device) -> Tensor:
        """The same, on the device."""
        return fetched.to(device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """Where the features of one split go; `shape` is (tokens, width), `dtype` float16 or float32."""

    folder: Path
    rows: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def block_rows(self) -> int:
        return max(1, _BLOCK_BYTES // self.row_bytes)

    def starts(self) -> range:
        return range(0, self.rows, self.block_rows)

    def file(self, start: int) -> Path:
        return self.folder / f"block-{start // self.block_rows:05d}.npy"

    def block(self, start: int) -> NDArray[Any] | None:
        """A block that is there, memory-mapped; None where it is missing or damaged."""
        try:
            found: NDArray[Any] = np.load(self.file(start), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        rows = min(self.block_rows, self.rows - start)
        return found if found.shape == (rows, *self.shape) and found.dtype == self.dtype else None

    def missing(self) -> list[int]:
        """The first rows of the blocks that have to be made."""
        return [start for start in self.starts() if self.block(start) is None]

    def open(self) -> FeatureCache:
        """The features, when all blocks are there."""
        blocks = tuple(block for start in self.starts() if (block := self.block(start)) is not None)
        if len(blocks) < len(self.starts()):
            raise OutputError(
                "Features that were computed are no longer in {folder}; run the same command again.",
                folder=self.folder,
            )
        return FeatureCache(blocks, self.block_rows)


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


def feature_plan(store: Path, key: dict[str, Any], split: str, digest: str, rows: int) -> FeaturePlan:
    """Where the features of a split of a prepared folder go; `key` is of `features_key`."""
    text = json.dumps(key, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    shape = (int(key["shape"][0]), int(key["shape"][1]))
    folder = store / f"features-{name}" / f"{split}-{digest[:8]}"
    return FeaturePlan(folder, rows, shape, np.dtype(key["dtype"]))


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


def missing_bytes(plans: Sequence[FeaturePlan]) -> int:
    """Bytes that are still to be written."""
    return sum(
        min(plan.block_rows, plan.rows - start) * plan.row_bytes for plan in plans for start in plan.missing()
    )


def feature_store(out: Path) -> Path:
    """Where the features of the training that writes `out` go without --cache."""
    return out.with_name(f".{out.name}.features")


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free


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
    plan: FeaturePlan,
    *,
    batch: int,
    precision: Precision,
    progress: ProgressCallback,
) -> None:
    """Make the blocks that are missing, each process its share, and wait for those of the others."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    starts = plan.missing()
    # Every process must have seen what is missing before any of them makes it.
    wait_for_all(accelerator)
    mine = starts[accelerator.process_index :: accelerator.num_processes]
    world = accelerator.num_processes
    rows = [np.arange(start, min(start + plan.block_rows, plan.rows)) for start in mine]
    parts = [block[place : place + batch] for block in rows for place in range(0, len(block), batch)]
    source = LiveFeatures(part, network.image)
    stream = prefetched(source.fetch, parts)
    total, done = sum(len(block) for block in rows) * world, 0
    for start, block in zip(mine, rows, strict=True):
        values = np.empty((len(block), *plan.shape), plan.dtype)
        filled = 0
        while filled < len(block):
            which, pixels = next(stream)
            found = source.at_cut(network, pixels, accelerator.device).float().cpu().numpy()
            _check(found, which, part.ids, partial(nonfinite_features, precision=precision))
            with np.errstate(over="ignore"):
                kept = found.astype(plan.dtype)
            _check(kept, which, part.ids, overflowing_features)
            values[filled : filled + len(which)] = kept
            filled += len(which)
            done += len(which)
            progress("image features", min(done * world, total), total)
        file = plan.file(start)
        # Two trainings may share the cache: each has a name of its own until the block is whole.
        unfinished = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
        with room_on_disk(plan.folder), written_whole(file, unfinished) as content:
            np.save(content, values, allow_pickle=False)
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
