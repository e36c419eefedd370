"""Which images show the same picture: recompressed, rescaled, saved with another contrast.

Each image is brought to 32 x 32 grey pixels. Its difference hash (64 bits: is a pixel brighter than its left
neighbour, on a 9 x 8 grid; Krawetz, "Kind of Like That", 2013) finds candidates, at most 4 bits apart: by the
pigeonhole principle such a pair agrees wholly in one of five bands of the bits, so that bands are sorted
instead of pairs compared. A candidate is then verified on the thumbnails: the correlation of their grey
values or, since collections brighten and equalise, of the ranks of these, must reach a threshold.

Whole films of different people can be alike, and slices that follow one another are: a missed copy lets a
model be judged on what it learned, while a wrong join only keeps two images on one side, so the threshold
leans to joining.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import TetkikError
from tetkik.imaging.prepare import Preprocessing, to_square
from tetkik.imaging.read import read_image
from tetkik.lab.engine.splits import connected
from tetkik.statistics import Bools, Floats, Ints
from tetkik.values import ProgressCallback

SIDE = 32
THRESHOLD = 0.99
_BITS = 4
_BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))
"""First bit and width of each band: one more band than bits may differ."""
_NEIGHBOURS = 4096
"""In one band an image meets this many of those with the same bits: it bounds the work where thousands of
images are nearly black."""
_CHUNK = 1 << 12
_ONES = np.array([value.bit_count() for value in range(1 << 16)], np.uint8)

Thumbnails = NDArray[np.uint8]


def thumbnails(
    files: Sequence[Path], *, workers: int = 4, progress: ProgressCallback | None = None
) -> tuple[Thumbnails, Bools]:
    """Small grey versions of images, (n, 32, 32), uint8, and which files could be read, (n,), bool."""
    images = np.zeros((len(files), SIDE, SIDE), np.uint8)
    readable = np.zeros(len(files), bool)
    with ThreadPoolExecutor(workers) as pool:
        for row, small in enumerate(pool.map(_thumbnail, files)):
            if small is not None:
                images[row], readable[row] = small, True
            if progress:
                progress("thumbnails", row + 1, len(files))
    return images, readable


def _thumbnail(file: Path) -> Thumbnails | None:
    try:
        image = read_image(file)
    except (TetkikError, OSError):
        return None
    return np.rint(to_square(image, Preprocessing(size=SIDE)) * 255).astype(np.uint8)


def duplicate_images(
    images: Thumbnails, readable: Bools | None = None, *, threshold: float = THRESHOLD
) -> Ints:
    """The group of images, (n, 32, 32), that show the same picture: (n,), int64, the smallest row of the
    group.

    Being a copy is passed on. An image stays alone where `readable`, (n,), is False; None is all True.
    `threshold` is the correlation at which two thumbnails show the same, in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], not {threshold}")
    groups = np.arange(len(images), dtype=np.int64)
    rows = groups if readable is None else np.flatnonzero(readable)
    if not len(rows):
        return groups
    # Identical thumbnails are one from here on: thousands of black images are not millions of pairs.
    distinct, first, place = np.unique(
        images[rows].reshape(len(rows), -1), axis=0, return_index=True, return_inverse=True
    )
    left, right = _candidates(difference_hashes(distinct.reshape(-1, SIDE, SIDE)))
    alike = np.zeros(len(left), bool)
    for start in range(0, len(left), _CHUNK):
        block = slice(start, start + _CHUNK)
        alike[block] = image_similarity(distinct[left[block]], distinct[right[block]]) >= threshold
    of_distinct = connected(len(distinct), left[alike], right[alike])
    smallest = np.full(len(distinct), len(images), np.int64)
    np.minimum.at(smallest, of_distinct, rows[first])
    groups[rows] = smallest[of_distinct][place.reshape(-1)]
    return groups


def image_similarity(left: Thumbnails, right: Thumbnails) -> Floats:
    """The larger correlation of grey values and of ranks, (pairs,), -1 to 1; 0 where an image is flat."""
    grey = correlation(left.astype(np.float32), right.astype(np.float32))
    return np.maximum(grey, correlation(ranks(left), ranks(right)))


def correlation(left: NDArray[np.float32], right: NDArray[np.float32]) -> Floats:
    """Of images (n, pixels) with others, or with one (1, pixels): (n,), -1 to 1; 0 where an image is flat."""
    a, b = (part - part.mean(axis=1, keepdims=True) for part in (left, right))
    spread = np.sqrt((a * a).sum(axis=1, dtype=np.float64) * (b * b).sum(axis=1, dtype=np.float64))
    product = (a * b).sum(axis=1, dtype=np.float64)
    found: Floats = np.divide(product, spread, out=np.zeros(len(a)), where=spread > 0)
    return found


def ranks(flat: Thumbnails) -> NDArray[np.float32]:
    """The mean rank of each pixel's value within its image: what no change of contrast touches."""
    offset = np.arange(len(flat))[:, None] * 256
    counts = np.bincount((flat + offset).ravel(), minlength=256 * len(flat)).reshape(-1, 256)
    rank = np.cumsum(counts, axis=1) - counts / 2
    of_pixel: Floats = np.take_along_axis(rank, flat.astype(np.int64), axis=1)
    return of_pixel.astype(np.float32)


def difference_hashes(images: Thumbnails) -> NDArray[np.uint64]:
    """Difference hashes of thumbnails (n, 32, 32): (n,), uint64."""
    rows, columns = area_shares(SIDE, 8), area_shares(SIDE, 9)
    grid = np.einsum("ri,nij,cj->nrc", rows, images.astype(np.float32), columns, optimize=True)
    bits = (grid[:, :, 1:] > grid[:, :, :-1]).reshape(len(images), 64)
    packed: NDArray[np.uint64] = np.packbits(bits, axis=1).view(np.uint64).ravel()
    return packed


def bits_apart(left: NDArray[np.uint64], right: NDArray[np.uint64] | np.uint64) -> Ints:
    """In how many bits hashes differ, (n,)."""
    distance: Ints = _ONES[(left ^ right).view(np.uint16)].reshape(-1, 4).sum(axis=1, dtype=np.int64)
    return distance


def area_shares(size: int, parts: int) -> NDArray[np.float32]:
    """(parts, size): the share that each pixel has in each of `parts` equal stretches."""
    edges = np.linspace(0, size, parts + 1)
    pixels = np.arange(size)
    ends = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    share: NDArray[np.float32] = (np.maximum(ends, 0) * parts / size).astype(np.float32)
    return share


def _candidates(hashes: NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Pairs of rows at most `_BITS` bits apart, each once."""
    count = len(hashes)
    pairs = [np.empty(0, np.int64)]
    for start, width in _BANDS:
        band = (hashes >> np.uint64(start)) & np.uint64((1 << width) - 1)
        order = np.argsort(band, kind="stable")
        key, ordered = band[order], hashes[order]
        for distance in range(1, min(count, _NEIGHBOURS + 1)):
            same = np.flatnonzero(key[distance:] == key[:-distance])
            if not same.size:
                break
            near = same[bits_apart(ordered[same], ordered[same + distance]) <= _BITS]
            one, other = order[near], order[near + distance]
            pairs.append(np.minimum(one, other) * count + np.maximum(one, other))
    left, right = np.divmod(np.unique(np.concatenate(pairs)), max(count, 1))
    return left, right
