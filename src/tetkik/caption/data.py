"""The words of this room: a captioned image as a source lists it, and the part of the data it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """A part of the data. Nothing is chosen on `test`, and training never opens it."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """One image with its caption, before anything is read.

    Attributes:
        id: its name in the source, such as `ROCOv2_2023_train_000001`.
        caption: as the source has it.
        split: as the source has it.
        read: gives the bytes of the image file; OSError where there is none.
        file: name of the image file inside the source, for messages.
        group: what must not cross splits: the case, or the article (PMC id); None where unknown.
        concepts: UMLS CUIs, or the source's own tags.
        licence: of this row; None where unknown.
    """

    id: str
    caption: str
    split: Split
    read: Callable[[], bytes]
    file: str
    group: str | None = None
    concepts: tuple[str, ...] = ()
    licence: str | None = None
