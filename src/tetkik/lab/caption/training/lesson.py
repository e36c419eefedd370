"""What a captioner is taught and judged on: captions as tokens, and where the features come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tetkik.caption.network import CaptionNetwork
from tetkik.errors import DataError
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.training.batches import Rows
from tetkik.lab.caption.training.features import Features

if TYPE_CHECKING:
    from tetkik.caption.image_spec import ImageSpec
    from tetkik.lab.caption.prepared import Part, Prepared

SPLITS = (Split.TRAIN, Split.VALID)
"""The parts that training opens. The test split is not among them, and nothing else here names a split."""


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """The rows of one split.

    Attributes:
        ids: of the images.
        captions: cleaned.
        groups: cases or articles; None where unknown.
        tokens: of each caption, without special ones, int32.
        features: where an image's come from.
    """

    ids: tuple[str, ...]
    captions: tuple[str, ...]
    groups: tuple[str | None, ...]
    tokens: list[NDArray[np.int32]]
    features: Features

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(rows,), tokens of each caption."""
        return np.array([len(row) for row in self.tokens], np.int64)

    def named(self, rows: Rows) -> list[str]:
        """The ids of some rows."""
        return [self.ids[row] for row in rows.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What one training learns from, and what each of its epochs is judged on.

    Attributes:
        training: never empty.
        validation: may be empty; the last epoch then counts.
        judged: rows of `validation` whose captions are generated in each epoch.
    """

    training: Taught
    validation: Taught
    judged: Rows


def judged_rows(rows: int, count: int, seed: int) -> Rows:
    """A fixed sample of validation rows, sorted; all of them where there are fewer.

    Args:
        rows: of validation.
        count: of the sample.
        seed: of the training.
    """
    random = np.random.default_rng((seed, 2))
    return np.sort(random.permutation(rows)[:count]).astype(np.int64)


def tokens_of(prepared: Prepared, part: Part, network: CaptionNetwork, most: int) -> list[NDArray[np.int32]]:
    """The tokens of each caption of a split: those prepared with the same tokenizer, or new ones.

    Args:
        prepared: the folder.
        part: of it.
        network: whose tokens they are.
        most: a caption is cut after so many.
    """
    long_enough = prepared.max_tokens is None or prepared.max_tokens >= most
    ready = part.tokens(network.fingerprint) if long_enough else None
    rows = network.encode(part.captions) if ready is None else ready
    return [np.asarray(row, np.int32)[:most] for row in rows]


def check_prepared(prepared: Prepared, wanted: ImageSpec, tune: int) -> None:
    """Whether there is anything to learn, and from pictures as the base wants them.

    Args:
        prepared: the folder.
        wanted: by the base.
        tune: settings to try on validation.

    Raises:
        DataError: not one training row, no validation for `--tune`, or pictures of another size.
    """
    if not prepared.rows(Split.TRAIN):
        raise DataError(
            "{folder} holds no training rows; prepare a source that has some.", folder=prepared.folder
        )
    if tune and not prepared.rows(Split.VALID):
        raise DataError(
            "{folder} holds no validation rows, on which --tune would choose; prepare a source that has "
            "some, or leave --tune out.",
            folder=prepared.folder,
        )
    have = prepared.image
    if (have.size, have.resample) != (wanted.size, wanted.resample):
        raise DataError(
            "{folder} holds pictures of {have} pixels and the base wants {wanted} (resampled as its own "
            "processor does); run `tetkik caption prepare` again with that --base.",
            folder=prepared.folder,
            have=have.size,
            wanted=wanted.size,
        )
