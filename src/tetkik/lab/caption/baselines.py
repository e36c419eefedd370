"""What a captioner must beat: one training caption for all images, and that of the nearest training image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.files import written_whole
from tetkik.lab.caption.metrics.scores import quick_scores
from tetkik.lab.caption.metrics.word_overlap import treebank_words
from tetkik.lab.engine.batches import in_steps
from tetkik.lab.engine.processes import gathered
from tetkik.statistics.intervals import Ints
from tetkik.values.common import ProgressCallback

if TYPE_CHECKING:
    from torch import Tensor

    from tetkik.lab.caption.prepared import PreparedPart


# What images of a split look like to an embedding, computed once by all processes, and the most alike.


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
    part: PreparedPart,
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


_SIDE = 16


class Nearness(StrEnum):
    """By what the most similar training image is found."""

    FEATURES = "features"
    """The model's own frozen features of the image, their mean over its tokens."""
    PIXELS = "pixels"
    """Grey values of 16 x 16 pixels, without their mean."""
    NONE = "none"
    """No baselines at all."""


def constant_caption(
    captions: Sequence[str],
    *,
    tried: int = 150,
    against: int = 300,
    seed: int = 0,
    progress: ProgressCallback = lambda *_: None,
) -> str:
    """The caption with the greatest CIDEr and ROUGE-L against the others, of `tried` drawn at random."""
    random = np.random.default_rng(seed)
    distinct = sorted(set(captions))
    lengths = np.array([len(treebank_words(caption)) for caption in distinct])
    # A very long or a very short caption is never the medoid: not worth trying.
    low, high = np.percentile(lengths, 20, method="lower"), np.percentile(lengths, 80, method="higher")
    usual = np.flatnonzero((lengths >= low) & (lengths <= high))
    chosen: list[str] = [distinct[at] for at in random.permutation(usual)[:tried].tolist()]
    judges = [captions[at] for at in random.permutation(len(captions))[:against].tolist()]
    figures = []
    for done, caption in enumerate(chosen):
        progress("constant caption", done, len(chosen))
        scores = quick_scores([caption] * len(judges), judges)
        figures.append((scores["cider"], scores["rouge_l"]))
    table = np.array(figures)
    best = table.max(axis=0)
    best_at = int(np.argmax((table / np.where(best > 0, best, 1)).sum(axis=1)))
    return chosen[best_at]


def pixel_embeddings(squares: NDArray[np.uint8]) -> Embeddings:
    """(n, 256), float32: coarse grey values of `squares`, (n, size, size, 3), uint8."""
    grey = squares.astype(np.float32).mean(axis=3)
    edges = np.linspace(0, grey.shape[1], _SIDE + 1).astype(int)[:-1]
    small = np.add.reduceat(np.add.reduceat(grey, edges, axis=1), edges, axis=2).reshape(len(grey), -1)
    centred: Embeddings = small - small.mean(axis=1, keepdims=True)
    return centred


def nearest_rows(
    accelerator: Any,
    training: PreparedPart,
    judged: PreparedPart,
    embedding: Callable[[NDArray[np.uint8]], Embeddings],
    batch_size: int,
    kept: Path,
    progress: ProgressCallback = lambda *_: None,
) -> Ints:
    """For each row of `judged` the most similar row of `training`, the same in every process.

    They are read from the file `kept` where they were found before, whose name says of what; else all
    processes share the images, and `kept` is written where the disk lets them.
    """
    (known,) = gathered(
        accelerator, [_read_rows(kept, judged, training)] if accelerator.is_main_process else []
    )
    if known is not None:
        return known
    store, queries = (
        embeddings_of(accelerator, part, embedding, batch_size, "nearest images", progress)
        for part in (training, judged)
    )
    found = most_alike(queries, store)
    if accelerator.is_main_process:
        # A prepared folder may be one that nobody may write to.
        with suppress(OSError):
            kept.parent.mkdir(exist_ok=True)
            with written_whole(kept) as file:
                np.save(file, found, allow_pickle=False)
    return found


def _read_rows(kept: Path, judged: PreparedPart, training: PreparedPart) -> Ints | None:
    try:
        found: Ints = np.load(kept, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = found.shape == (len(judged),) and found.dtype == np.int64
    return found if sound and found.min() >= 0 and found.max() < len(training) else None
