"""Drawing for the phantoms in NumPy alone: a field in anatomical units, curves, strokes, smoothing, noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""A map of the picture, (rows, columns), float32: an attenuation, a thickness or a share."""
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
"""Places as (n, 2): u to the viewer's right from the middle, v downwards from the top, in units of the
picture's shorter side."""


@dataclass(frozen=True)
class Canvas:
    """A picture of `rows` x `columns` pixels with its anatomical coordinates."""

    rows: int
    columns: int

    @property
    def unit(self) -> int:
        """Pixels in one anatomical unit: the shorter side."""
        return min(self.rows, self.columns)

    @cached_property
    def u(self) -> Field:
        """(1, columns): from the middle to the viewer's right."""
        place = np.arange(self.columns, dtype=np.float32) + np.float32(0.5 - self.columns / 2)
        return np.asarray(place / np.float32(self.unit), np.float32)[None]

    @cached_property
    def v(self) -> Field:
        """(rows, 1): downwards; 0 and 1 are the edges of the square in the middle."""
        place = np.arange(self.rows, dtype=np.float32) + np.float32(0.5 - self.rows / 2)
        return np.asarray(place / np.float32(self.unit) + np.float32(0.5), np.float32)[:, None]

    def zeros(self) -> Field:
        """An empty field."""
        return np.zeros((self.rows, self.columns), np.float32)

    def pixels(self, points: Points) -> Points:
        """Anatomical places as (n, 2) column and row."""
        centre = np.array([self.columns / 2 - 0.5, self.rows / 2 - 0.5])
        return np.asarray((points - [0.0, 0.5]) * self.unit + centre)

    def blur(self, field: Field, sigma: float) -> Field:
        """Gaussian smoothing (three box means); `sigma` in anatomical units, the edge is continued."""
        return blur_pixels(field, sigma * self.unit)

    def inside(self, outline: Sequence[tuple[float, float]] | Points, *, round_off: bool = True) -> Mask:
        """The inside of a closed outline, even-odd; its corners are rounded into a spline if `round_off`."""
        points = np.asarray(outline, np.float64)
        if round_off:
            points = spline(np.vstack([points, points[:1]]), closed=True)
        pixels = self.pixels(points)
        x0, y0 = pixels.T
        x1, y1 = np.roll(pixels, -1, axis=0).T
        crossings = np.zeros((self.rows, self.columns + 1), np.int32)
        for row in range(max(0, int(y0.min())), min(self.rows, int(y0.max()) + 2)):
            cut = (y0 <= row) != (y1 <= row)
            at = x0[cut] + (row - y0[cut]) / (y1[cut] - y0[cut]) * (x1[cut] - x0[cut])
            np.add.at(crossings[row], np.clip(np.ceil(at), 0, self.columns).astype(int), 1)
        return np.asarray(np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1)

    def soft(self, mask: Mask, sigma: float = 0.0012) -> Field:
        """A mask as shares from 0 to 1, its edge smoothed by `sigma` units, at least half a pixel."""
        return blur_pixels(mask.astype(np.float32), max(0.5, sigma * self.unit))

    def ellipse(
        self,
        centre: tuple[float, float],
        radii: tuple[float, float],
        profile: Callable[[Field], Field],
        tilt: float = 0.0,
        reach: float = 1.0,
    ) -> Field:
        """`profile` of the distance from the centre in radii, within `reach` radii; `tilt` in radians."""
        field = self.zeros()
        u, v = self.u[0] - centre[0], self.v[:, 0] - centre[1]
        extent = reach * max(radii)
        rows, columns = np.flatnonzero(np.abs(v) < extent), np.flatnonzero(np.abs(u) < extent)
        if rows.size and columns.size:
            window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            x, y = u[None, window[1]], v[window[0], None]
            across, along = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
            distance = np.hypot(across / radii[0], along / radii[1]).astype(np.float32)
            field[window] = np.where(distance < reach, profile(distance), 0)
        return field

    def stroke(
        self,
        points: Points,
        half_width: float | NDArray[np.float64],
        profile: Callable[[Field], Field],
        weight: float | NDArray[np.float64] = 1.0,
        on: Field | None = None,
    ) -> Field:
        """A line of varying width: `profile` of the distance in half widths, 0 on the line to 1 at its rim.

        Args:
            points: (n, 2), the line.
            half_width: in units, one or one a point; below a pixel it is widened and made fainter.
            profile: from distance to thickness.
            weight: factor on the thickness, one or one a point.
            on: drawn on this field, the larger where they meet; else on an empty one.
        """
        field = self.zeros() if on is None else on
        line = self.pixels(points)
        reach = 2 + max(0.8, float(np.max(half_width)) * self.unit)
        low = np.maximum(np.floor(line.min(axis=0) - reach), 0).astype(int)
        high = np.minimum(np.ceil(line.max(axis=0) + reach) + 1, [self.columns, self.rows]).astype(int)
        if (low >= high).any():
            return field
        wanted = np.broadcast_to(np.asarray(half_width, np.float64) * self.unit, len(line))
        widths = np.maximum(wanted, 0.8)
        weights = np.broadcast_to(np.asarray(weight, np.float64), len(line)) * wanted / widths
        nearest, heavy = _nearest(line - low, widths, weights, (high[1] - low[1], high[0] - low[0]))
        drawn = np.where(nearest < 1, profile(np.minimum(nearest, 1)) * heavy, 0)
        window = field[low[1] : high[1], low[0] : high[0]]
        np.maximum(window, drawn, out=window)
        return field

    def texture(self, rng: np.random.Generator, scale: float) -> Field:
        """Smooth noise of mean 0 and deviation 1 whose grains are `scale` units wide."""
        step = max(1, int(scale * self.unit / 2))
        coarse = rng.standard_normal((self.rows // step + 4, self.columns // step + 4)).astype(np.float32)
        field = zoom(blur_pixels(coarse, 1.0), self.rows, self.columns, margin=1)
        return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), np.float32)


def _nearest(
    line: Points, widths: NDArray[np.float64], weights: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[Field, Field]:
    """For each pixel the distance to the line in its half widths, and the line's weight there."""
    nearest, heavy = np.full(shape, 2, np.float32), np.zeros(shape, np.float32)
    for index in range(len(line) - 1):
        reach = max(widths[index], widths[index + 1]) + 1
        ends = line[index : index + 2]
        left, top = np.maximum(np.floor(ends.min(axis=0) - reach), 0).astype(int)
        right, bottom = np.ceil(ends.max(axis=0) + reach).astype(int) + 1
        window = np.s_[top : max(top, bottom), left : max(left, right)]
        known = nearest[window]
        x = np.arange(left, left + known.shape[1], dtype=np.float32)[None] - ends[0, 0]
        y = np.arange(top, top + known.shape[0], dtype=np.float32)[:, None] - ends[0, 1]
        dx, dy = ends[1] - ends[0]
        along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
        width = widths[index] + along * (widths[index + 1] - widths[index])
        distance = np.hypot(x - along * dx, y - along * dy) / width
        weight = weights[index] + along * (weights[index + 1] - weights[index])
        heavy[window] = np.where(distance < known, weight, heavy[window])
        nearest[window] = np.minimum(known, distance)
    return nearest, heavy


def tube(distance: Field) -> Field:
    """The path through a solid cylinder or ball."""
    return np.asarray(np.sqrt(np.maximum(0, 1 - distance * distance)))


def hump(distance: Field) -> Field:
    """A body without a sharp rim."""
    return np.asarray(np.maximum(0, 1 - distance * distance))


def bone(distance: Field) -> Field:
    """The path through a hollow bone: a dense rim (the cortex) around a lighter middle."""
    marrow = np.sqrt(np.maximum(0, 1 - (distance / 0.76) ** 2))
    return np.asarray(1.35 * np.sqrt(np.maximum(0, 1 - distance**2)) - 0.72 * marrow)


def spline(points: Points | Sequence[tuple[float, float]], steps: int = 8, *, closed: bool = False) -> Points:
    """A Catmull-Rom curve through `points`, (n, 2), with `steps` places for each stretch."""
    knots = np.asarray(points, np.float64)
    if closed:
        knots = np.vstack([knots[-2], knots, knots[1]])
    else:
        knots = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        pieces.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.vstack([*pieces, knots[-2:-1]])


def blur_pixels(field: Field, sigma: float) -> Field:
    """Gaussian smoothing; `sigma` in pixels; the edge is continued."""
    if sigma > 4:
        # What is as smooth as that loses nothing on a coarser grid.
        step = int(sigma // 2)
        rows, columns = field.shape
        padded = np.pad(field, [(0, -rows % step), (0, -columns % step)], mode="edge")
        coarse = padded.reshape(padded.shape[0] // step, step, -1, step).mean(axis=(1, 3))
        return _enlarged(blur_pixels(coarse, sigma / step), step)[:rows, :columns]
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-6)) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    rows, columns = field.shape
    padded = np.pad(field, [(radius, radius), (0, 0)], mode="edge")
    down = sum((weight * padded[shift : shift + rows] for shift, weight in enumerate(kernel)), np.float32(0))
    padded = np.pad(np.asarray(down), [(0, 0), (radius, radius)], mode="edge")
    both = sum(
        (weight * padded[:, shift : shift + columns] for shift, weight in enumerate(kernel)), np.float32(0)
    )
    return np.asarray(both, np.float32)


def _enlarged(field: Field, step: int) -> Field:
    """`field` with `step` pixels for each, bilinear, centres kept."""
    lines = _stretched(field, step)
    return np.ascontiguousarray(_stretched(lines.T, step).T)


def _stretched(field: Field, step: int) -> Field:
    place = np.clip((np.arange(len(field) * step) + 0.5) / step - 0.5, 0, len(field) - 1)
    low = np.minimum(place.astype(int), max(0, len(field) - 2))
    share = (place - low).astype(np.float32)[:, None]
    return np.asarray(field[low] * (1 - share) + field[np.minimum(low + 1, len(field) - 1)] * share)


def zoom(field: Field, rows: int, columns: int, margin: int = 0) -> Field:
    """`field` at another size, bilinear; `margin` pixels on each side are left out."""
    y = np.linspace(margin, field.shape[0] - 1 - margin, rows)
    x = np.linspace(margin, field.shape[1] - 1 - margin, columns)
    top, left = np.minimum(y.astype(int), field.shape[0] - 2), np.minimum(x.astype(int), field.shape[1] - 2)
    down = (y - top).astype(np.float32)[:, None]
    right = (x - left).astype(np.float32)[None]
    lines = field[top] * (1 - down) + field[top + 1] * down
    return np.asarray(lines[:, left] * (1 - right) + lines[:, left + 1] * right, np.float32)
