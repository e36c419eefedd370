"""Text burnt into the pixels: lines of small, even, high-contrast strokes, as a console writes them.

A lead side marker (R, L, a technician's initials) is one to three letters and is left alone. What is written
by hand, very large or very faint is missed: this is a warning light, no proof that there is no text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetkik.values import Radiograph

_WORKING = 1600
"""The longest side that letters are looked for at, pixels; a smaller image is not enlarged."""
_MOST_RUNS = 150_000
_SHIFTS = (1, 2, 4, 1)
"""Each a larger window of the one before: 2, 4, 8 and then 9 pixels."""
_LEAST_GLYPHS = 4
_LEAST_BLOBS = 3


Box = tuple[int, ...]
"""Top, left, bottom and right of a line of text, in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class _Blobs:
    """Connected strokes: their boxes (n, 4: top, left, bottom, right, ends not included) and pixel counts."""

    boxes: NDArray[np.int64]
    sizes: NDArray[np.int64]


def burned_in_text(image: Radiograph) -> tuple[Box, ...]:
    """The lines of text that `image` seems to have in its pixels, longest first; empty for none."""
    return _search(image)[0]


def text_if_looked(image: Radiograph) -> tuple[Box, ...] | None:
    """The same; None where there are too many strokes to look for text among them."""
    lines, looked = _search(image)
    return lines if looked else None


def _search(image: Radiograph) -> tuple[tuple[Box, ...], bool]:
    grey = _eight_bits(image)
    blobs = [_blobs(*_strokes(grey, bright)) for bright in (True, False)]
    found = [line for one in blobs if one is not None for line in _lines(one)]
    scale = max(image.rows, image.columns) / max(grey.shape)
    longest_first = sorted(found, key=lambda item: -item[1])
    lines = tuple(tuple(round(float(edge) * scale) for edge in box) for box, _ in longest_first)
    return lines, None not in blobs


def _eight_bits(image: Radiograph) -> NDArray[np.uint8]:
    from PIL import Image

    level = np.multiply(image.pixels, np.float32(255 / image.white), dtype=np.float32)
    grey = Image.fromarray(level.astype(np.uint8))
    scale = min(1.0, _WORKING / max(grey.size))
    if scale < 1:
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        grey = grey.resize(size, Image.Resampling.BOX)
    return np.asarray(grey)


def _strokes(grey: NDArray[np.uint8], bright: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Thin things of one sign: what stands out a little, and within it what stands out as type does.

    A top-hat (Serra, 1982) with a square of 9 finds them.
    """
    level = grey if bright else 255 - grey
    height = level - _extreme(_extreme(level, np.minimum), np.maximum)
    # A console writes in its extreme value: ribs, wires and trabeculae seldom reach it, and where the ground
    # is nearly as bright a small step is enough.
    top = max(150.0, _quantile(level, 0.995) * 0.85)
    stands_out = height > 25
    sure = stands_out & ((level >= 252) | ((height > 70) & (level >= int(np.ceil(top)))))
    return sure | (height > 45), sure


def _quantile(level: NDArray[np.uint8], share: float) -> float:
    """As `numpy.quantile`, from the count of each grey in place of a sorted copy of all pixels."""
    from PIL import Image

    until = np.cumsum(Image.fromarray(level).histogram())
    place = share * (level.size - 1)
    low, high = np.searchsorted(until, (int(place), min(int(place) + 1, level.size - 1)), side="right")
    return float(low + (high - low) * (place - int(place)))


def _extreme(grey: NDArray[np.uint8], pick: np.ufunc) -> NDArray[np.uint8]:
    """The least or greatest value within 4 pixels."""
    rows, columns = grey.shape
    # Row after row in one: what runs over from a row into the next falls into the margin of 8.
    wide = np.pad(grey, [(0, 0), (4, 4)], mode="edge").ravel()
    for shift in _SHIFTS:
        wide = pick(wide[:-shift], wide[shift:])
    across = np.pad(wide, (0, 8)).reshape(rows, columns + 8)[:, :columns]
    tall = np.pad(across, [(4, 4), (0, 0)], mode="edge")
    for shift in _SHIFTS:
        tall = pick(tall[:-shift], tall[shift:])
    return tall


def _blobs(mask: NDArray[np.bool_], sure: NDArray[np.bool_]) -> _Blobs | None:
    """Connected regions (8 neighbours) of `mask` with something of `sure`, from the runs of its rows; None
    where there are too many.
    """
    # In a margin of one on each side the rows follow each other: a run begins and ends in its own.
    padded = np.pad(mask, [(0, 0), (1, 1)]).ravel()
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    rows, starts = np.divmod(edges[::2], mask.shape[1] + 2)
    ends = edges[1::2] - rows * (mask.shape[1] + 2)
    if len(rows) > _MOST_RUNS:
        return None
    if not len(rows):
        return _Blobs(np.empty((0, 4), np.int64), np.empty(0, np.int64))
    label = _joined(rows, starts, ends)
    _, label = np.unique(label, return_inverse=True)
    count = int(label.max()) + 1
    boxes = np.empty((count, 4), np.int64)
    for column, (edge, pick, first) in enumerate(
        (
            (rows, np.minimum, 1 << 30),
            (starts, np.minimum, 1 << 30),
            (rows + 1, np.maximum, 0),
            (ends, np.maximum, 0),
        )
    ):
        boxes[:, column] = first
        pick.at(boxes[:, column], label, edge)
    sizes = np.bincount(label, weights=ends - starts, minlength=count).astype(np.int64)
    certain = np.flatnonzero(sure)
    first, last = (np.searchsorted(certain, rows * mask.shape[1] + edge) for edge in (starts, ends))
    within = np.bincount(label, weights=last - first, minlength=count)
    kept = within >= 0.15 * sizes
    return _Blobs(boxes[kept], sizes[kept])


def _joined(rows: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each run, the same for runs that touch (union-find over runs of neighbouring rows)."""
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    first = np.searchsorted(rows, np.arange(int(rows.max()) + 2))
    for row in range(1, int(rows.max()) + 1):
        above, here = int(first[row - 1]), int(first[row])
        last_above, last = here, int(first[row + 1])
        while above < last_above and here < last:
            if starts[above] <= ends[here] and starts[here] <= ends[above]:
                parent[root(above)] = root(here)
            if ends[above] < ends[here]:
                above += 1
            else:
                here += 1
    return np.array([root(run) for run in range(len(rows))], np.int64)


def _lines(blobs: _Blobs) -> list[tuple[NDArray[np.int64], int]]:
    """Rows of at least four letters: of like height, on one base line, close together."""
    heights = blobs.boxes[:, 2] - blobs.boxes[:, 0]
    widths = blobs.boxes[:, 3] - blobs.boxes[:, 1]
    filled = blobs.sizes / np.maximum(heights * widths, 1)
    # Small letters run into each other: a blob may be several of them.
    letters = (heights >= 6) & (heights <= 60) & (widths <= 6 * heights) & (filled > 0.15) & (filled < 0.92)
    # An upright stroke (I, 1) fills its box.
    letters |= (heights >= 8) & (heights <= 60) & (widths >= 1) & (widths <= 0.35 * heights) & (filled > 0.6)
    boxes = blobs.boxes[letters]
    boxes = boxes[np.argsort(boxes[:, 1])]
    wide = (boxes[:, 3] - boxes[:, 1]) / np.maximum(boxes[:, 2] - boxes[:, 0], 1)
    counts = np.maximum(1, np.rint(wide / 0.85)).astype(int)
    found = []
    free = np.ones(len(boxes), bool)
    for start in range(len(boxes)):
        if not free[start]:
            continue
        line = _followed(boxes, free, start)
        if len(line) >= _LEAST_BLOBS and counts[line].sum() >= _LEAST_GLYPHS and _is_even(boxes[line]):
            free[line] = False
            box = np.concatenate([boxes[line, :2].min(axis=0), boxes[line, 2:].max(axis=0)])
            found.append((box, int(counts[line].sum())))
    return found


def _followed(boxes: NDArray[np.int64], free: NDArray[np.bool_], start: int) -> list[int]:
    """From the letter `start` to the right, letter by letter."""
    line = [start]
    for index in range(start + 1, len(boxes)):
        last = boxes[line[-1]]
        height = max(last[2] - last[0], boxes[line[0], 2] - boxes[line[0], 0])
        gap = boxes[index, 1] - last[3]
        if gap > 1.3 * height:
            break
        tall = boxes[index, 2] - boxes[index, 0]
        if free[index] and gap > -0.3 * height and 0.6 * height < tall < 1.6 * height:
            middle, other = (boxes[index, 0] + boxes[index, 2]) / 2, (last[0] + last[2]) / 2
            if abs(middle - other) < 0.3 * height:
                line.append(index)
    return line


def _is_even(boxes: NDArray[np.int64]) -> bool:
    """Whether letters stand on one line at one height: type does, anatomy does not."""
    heights = boxes[:, 2] - boxes[:, 0]
    bases = boxes[:, 2].astype(float)
    middles = (boxes[:, 1] + boxes[:, 3]) / 2
    slope, level = np.polyfit(middles, bases, 1)
    off = np.abs(bases - slope * middles - level)
    typical = float(np.median(heights))
    even = np.abs(heights - typical) <= max(1.5, 0.2 * typical)
    return bool(even.mean() >= 0.75 and np.median(off) <= max(1.0, 0.08 * typical) and abs(slope) < 0.12)
