"""What a frozen encoder says of the images of a training: computed once, in fp32, and kept on the disk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tetkik.errors import TrainingError, UsageError
from tetkik.findings.networks.encoder import Encoder, Pooling, embed
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.batches import in_steps
from tetkik.lab.engine.checkpoint import room_on_disk
from tetkik.lab.findings.training.data import as_input, load_batches
from tetkik.lab.findings.training.decoded_images import CachedImages, DecodedImages, Store, digests_of, fits
from tetkik.lab.findings.training.options import TrainingOptions
from tetkik.networks.network import answer_in_fp32
from tetkik.values import ProgressCallback

_GIB = 1 << 30
_BATCH = 16
"""Most images that the encoder sees at once; a head takes far more."""
_KINDS: Mapping[Pooling, np.dtype[Any]] = {
    Pooling.LINEAR: np.dtype(np.float32),
    Pooling.ATTENTION: np.dtype(np.float16),
}
"""The patches of an image are a thousand times as many numbers, and are halved."""


@torch.no_grad()
def embedded_images(
    encoder: Encoder,
    pooling: Pooling,
    images: DecodedImages,
    files: Sequence[Path],
    preprocessing: Preprocessing,
    folder: Path,
    *,
    options: TrainingOptions,
    device: torch.device,
    progress: ProgressCallback,
) -> CachedImages:
    """For each of `images`, decoded from `files`, what a head of that pooling reads.

    It is kept in `folder` by the encoder's weights, the preprocessing and the bytes of the image's file; what
    is not there yet is computed.

    Raises:
        UsageError: they are more than the limit of the settings.
        TrainingError: they have numbers that cannot be kept.
        OutputError: the disk is full.
    """
    done = {"encoder": encoder.fingerprint(), "pooling": pooling, **preprocessing.as_json()}
    answer_in_fp32()
    encoder.to(device)
    blank = torch.zeros(1, preprocessing.channels, preprocessing.size, preprocessing.size, device=device)
    shape, kind = tuple(embed(encoder, pooling, blank).shape[1:]), _KINDS[pooling]
    with ThreadPoolExecutor() as pool:
        digests = digests_of(files, pool, progress)
    store = Store(folder, "embeddings", done, shape, kind)
    first = {digest: row for row, digest in reversed(list(enumerate(digests))) if digest}
    missing = np.array(sorted(row for digest, row in first.items() if digest not in store), np.int64)
    size = math.prod(shape) * kind.itemsize
    needed, there = len(missing) * size, (len(first) - len(missing)) * size
    if needed and not fits(needed, folder, options.cache_limit, there=there):
        raise UsageError(
            "What the encoder says of the images needs {size:.1f} GiB, more than --cache-limit or the "
            "disk allows; raise it, take --encoder-head linear, or give --cache a folder with more room.",
            size=(needed + there) / _GIB,
        )
    count = 0
    with room_on_disk(folder):
        for rows, batch in load_batches(images, in_steps(missing, min(options.batch_size, _BATCH)), device):
            found = embed(encoder, pooling, as_input(batch, preprocessing)).cpu().numpy()
            with np.errstate(over="ignore"):
                kept = [(str(digests[row]), one.astype(kind)) for row, one in zip(rows, found, strict=True)]
            if not all(np.isfinite(one).all() for _, one in kept):
                raise TrainingError(
                    "What the encoder says of the images has numbers beyond {kind}, in which it is kept; "
                    "take --encoder-head linear, or another encoder.",
                    kind=kind.name,
                )
            store.add(item for item, row in zip(kept, rows, strict=True) if images.readable[row])
            count += len(rows)
            progress("encoding images", count, len(missing))
    encoder.cpu()
    return CachedImages(store.arrays(), store.places(digests))
