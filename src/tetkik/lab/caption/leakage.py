"""Whether a model has seen the rows that it is judged on: in training, or when its epoch was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.learned_rows import LearnedMatch, LearnedRows, Pictures, read_learned

if TYPE_CHECKING:
    from tetkik.bundle import Bundle
    from tetkik.lab.caption.prepared import Part

_BATCH = 256


def pictures_of(part: Part) -> Pictures:
    """The pictures of a split: the same where their decoded pixels are, whatever the square."""

    def squares() -> Iterator[NDArray[np.uint8]]:
        for _, batch in part.stream(_BATCH):
            yield batch

    return Pictures(part.prints, Pictures.of(squares()).thumbnails)


def long_captions(part: Part) -> list[str]:
    """Captions of eight words or more; a shorter one is blank, for it may repeat by chance."""
    is_long = part.caption_prints != 0
    return [caption if long else "" for caption, long in zip(part.captions, is_long.tolist(), strict=True)]


def match_learned(part: Part, bundle: Bundle) -> LearnedMatch | None:
    """Which rows of `part` the model saw, by picture or by caption; None where it does not tell."""
    learned: LearnedRows | None = read_learned(bundle)
    if learned is None:
        return None
    pictures, captions = learned.match_pictures(pictures_of(part)), learned.match_texts(long_captions(part))
    same = pictures.same | (captions.same & (part.caption_prints != 0))
    return LearnedMatch(same, (pictures.near | captions.near) & ~same, learned.complete)
