"""Whether a model has seen the rows that it is judged on: in training, or when its epoch was chosen.

A bundle keeps 64 bits of every picture and caption that the training saw (`seen.npy`), training and
validation rows alike; a hash tells nothing of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tetkik.errors import BundleCorrupt, DataError
from tetkik.statistics import Bools

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.caption.prepared import Part

SEEN = "seen.npy"


@dataclass(frozen=True, slots=True, eq=False)
class SeenRows:
    """Which rows a model has seen, (rows,): their picture, and their caption of eight words or more."""

    pictures: Bools
    captions: Bools

    @property
    def either(self) -> Bools:
        either: Bools = self.pictures | self.captions
        return either


def seen_rows(part: Part, bundle: Bundle) -> SeenRows | None:
    """Which rows of `part` the training of `bundle` saw; None where the bundle does not tell."""
    if SEEN not in bundle.manifest.files:
        return None
    try:
        seen = np.load(bundle.file(SEEN), allow_pickle=False)
    except (ValueError, EOFError):
        seen = None
    if not isinstance(seen, np.ndarray) or seen.dtype != np.uint64 or seen.ndim != 1:
        raise BundleCorrupt(
            "{path} has a file {name} that cannot be read; train the model again.",
            path=bundle.path,
            name=SEEN,
        )
    captions = part.caption_prints
    # 0 stands for a caption too short to tell.
    return SeenRows(np.isin(part.prints, seen), np.isin(captions, seen) & (captions != 0))


def refuse_seen(seen: SeenRows, model: str, split: str) -> None:
    """Refuse a split of which the model has seen any row."""
    count = int(seen.either.sum())
    if count:
        raise DataError(
            "{model} has seen {count} of the {total} {split} rows in its training or validation (the picture "
            "of {pictures}, the caption of {captions}), so figures on them would be recall; leave them out "
            "with --leave-out-seen, or prepare the data again and train anew.",
            model=model,
            count=count,
            total=len(seen.either),
            split=split,
            pictures=int(seen.pictures.sum()),
            captions=int(seen.captions.sum()),
        )
