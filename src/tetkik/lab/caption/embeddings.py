"""What images of a split look like to an embedding, computed once by all processes, and the most alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.batches import in_steps
from tetkik.lab.engine.processes import gathered
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from torch import Tensor

    from tetkik.lab.caption.prepared import Part

Embeddings = NDArray[np.float32]
_CHUNK = 256


def embedding(seen: Tensor) -> Embeddings:
    """(n, width), of unit length: the mean over the tokens of what the vision tower sees."""
    return unit_length(seen.detach().float().flatten(2).mean(dim=1).cpu().numpy())


def unit_length(values: Embeddings) -> Embeddings:
    """The rows of (n, width), each of length 1; one of zeros stays."""
    norm = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(norm > 0, norm, 1), np.float32)


def most_alike(queries: Embeddings, store: Embeddings) -> NDArray[np.int64]:
    """(n,): the row of `store` with the greatest cosine to each of `queries`; both are of unit length."""
    found = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = np.argmax(queries[part] @ store.T, axis=1)
    return found


def embeddings_of(
    accelerator: Any,
    part: Part,
    embedding: Callable[[NDArray[np.uint8]], Embeddings],
    batch_size: int,
    step: str,
    progress: ProgressCallback = lambda *_: None,
) -> Embeddings:
    """(rows, width), of unit length: `embedding` of the squares of `part`, (n, size, size, 3), uint8.

    Each process has its share of the batches, which are those of one process, so that their number changes
    no digit.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    batches = in_steps(np.arange(len(part)), batch_size)
    mine = batches[rank::world]
    made, done, total = [np.zeros((0, 0), np.float32)], 0, sum(map(len, mine))
    for rows in mine:
        made.append(unit_length(embedding(part.squares(rows)).astype(np.float32)))
        done += len(rows)
        progress(step, done, total)
    parts = gathered(accelerator, [np.concatenate(made[1:] or made)])
    found = np.empty((len(part), parts[0].shape[1]), np.float32)
    for place, values in enumerate(parts):
        if len(values):
            found[np.concatenate(batches[place::world])] = values
    return found
