"""Which rows must not be each other's neighbours: those that share the case or the picture itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tetkik.lab.caption.data import group_numbers
from tetkik.lab.caption.leakage import pictures_of
from tetkik.lab.engine.duplicate_images import duplicate_images
from tetkik.lab.engine.splits import component_ids
from tetkik.statistics import Ints

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Part


def copy_groups(parts: Sequence[Part]) -> Ints:
    """(rows,): which rows of all `parts` must not be each other's neighbours.

    They share the case, the picture or nearly that, or a caption of eight words or more.
    """
    columns = [
        group_numbers([group for part in parts for group in part.groups], range(sum(map(len, parts)))),
        duplicate_images(np.concatenate([pictures_of(part).thumbnails for part in parts])),
    ]
    for name in ("prints", "caption_prints"):
        values = np.concatenate([getattr(part, name) for part in parts])
        numbers = np.unique(values, return_inverse=True)[1].astype(np.int64)
        columns.append(np.where(values != 0, numbers, -1))
    rows = len(columns[0])
    # Numbers of different columns must not meet.
    keys = [np.where(column >= 0, column + place * rows, -1) for place, column in enumerate(columns)]
    return component_ids(np.stack(keys, axis=1))
