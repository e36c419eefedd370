"""The same picture in two splits, and the same words: what lets a model be judged on what it learned.

An exact copy has the same decoded pixels, however the file was packed. Others are compared by their
difference hash and by the correlation of their thumbnails (`engine.duplicate_images`). At most 4 bits apart
and 0.995 or more is a near copy: compressed or scaled again. At most 6 bits and 0.98 is alike: slices of one
examination that follow one another, also under two case numbers, but now and then two films of different
people; what is alike is listed and kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.caption.prepared import Split
from tetkik.lab.engine.duplicate_images import SIDE, bits_apart, correlation

NEAR = 0.995
ALIKE = 0.98
_NEAR_BITS = 4
_ALIKE_BITS = 6
_FLAT = 2.0
"""Standard deviation of grey values below which a thumbnail is too flat to be compared."""

Bytes = NDArray[np.uint8]


class Likeness(StrEnum):
    """In what two rows of different splits are alike."""

    SAME = "same picture"
    NEAR = "nearly the same picture"
    ALIKE = "much alike, perhaps of one patient"
    CAPTION = "same caption"


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two rows of different splits that are alike; the first is in the later split."""

    likeness: Likeness
    id: str
    split: Split
    other: str
    other_split: Split


def picture_digest(rgb: Bytes) -> int:
    """64 bits of (rows, columns, 3), uint8; grey is the same in one channel or in three."""
    pixels = rgb[..., 0] if is_grey(rgb) else rgb
    digest = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(digest.digest(), "little")


def is_grey(rgb: Bytes) -> bool:
    """Whether the three channels, (rows, columns, 3), are equal everywhere."""
    first = rgb[..., 0]
    return bool(np.array_equal(first, rgb[..., 1]) and np.array_equal(first, rgb[..., 2]))


class LaterSplits:
    """What later splits hold, against which rows of an earlier one are compared; `near`: thumbnails too."""

    def __init__(self, *, near: bool = True) -> None:
        self._near = near
        self._pictures: dict[int, tuple[str, Split]] = {}
        self._captions: dict[int, tuple[str, Split]] = {}
        self._groups: dict[str, set[Split]] = {}
        self._names: list[tuple[str, Split]] = []
        self._hashes = _Rows(np.uint64, ())
        self._thumbnails = _Rows(np.uint8, (SIDE, SIDE))

    def add(self, id_: str, split: Split, picture: int, hashed: int, thumbnail: Bytes, caption: int) -> None:
        """Take note of a row that was kept; it is found only from other splits."""
        self._pictures.setdefault(picture, (id_, split))
        if caption:
            self._captions.setdefault(caption, (id_, split))
        if self._near and thumbnail.std() >= _FLAT:
            self._names.append((id_, split))
            self._hashes.append(np.uint64(hashed))
            self._thumbnails.append(thumbnail)

    def add_group(self, group: str | None, split: Split) -> None:
        if group is not None:
            self._groups.setdefault(group, set()).add(split)

    def crossing_groups(self) -> int:
        return sum(len(splits) > 1 for splits in self._groups.values())

    def same_picture(self, split: Split, picture: int) -> tuple[str, Split] | None:
        """The row of another split with exactly this picture."""
        return _other(self._pictures.get(picture), split)

    def same_caption(self, split: Split, caption: int) -> tuple[str, Split] | None:
        """The row of another split with the same words; a short caption has no pair."""
        return _other(self._captions.get(caption), split) if caption else None

    def near_picture(
        self, split: Split, hashed: int, thumbnail: Bytes
    ) -> tuple[Likeness, tuple[str, Split]] | None:
        """The row of another split whose picture is nearest to this one: `NEAR` or `ALIKE`."""
        if not self._near or not len(self._names) or thumbnail.std() < _FLAT:
            return None
        distance = bits_apart(self._hashes.values, np.uint64(hashed))
        close = np.flatnonzero(distance <= _ALIKE_BITS)
        candidates = [place for place in close if self._names[place][1] != split]
        if not candidates:
            return None
        others = self._thumbnails.values[candidates].reshape(len(candidates), -1)
        likeness = correlation(others.astype(np.float32), thumbnail.reshape(1, -1).astype(np.float32))
        best = int(likeness.argmax())
        if likeness[best] < ALIKE:
            return None
        place = candidates[best]
        is_near = likeness[best] >= NEAR and distance[place] <= _NEAR_BITS
        return Likeness.NEAR if is_near else Likeness.ALIKE, self._names[place]


def _other(found: tuple[str, Split] | None, split: Split) -> tuple[str, Split] | None:
    return found if found is not None and found[1] != split else None


class _Rows:
    def __init__(self, dtype: type, shape: tuple[int, ...]) -> None:
        self._buffer: NDArray[Any] = np.zeros((64, *shape), dtype)
        self._count = 0

    def append(self, row: object) -> None:
        if self._count == len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.zeros_like(self._buffer)])
        self._buffer[self._count] = row
        self._count += 1

    @property
    def values(self) -> NDArray[Any]:
        return self._buffer[: self._count]
