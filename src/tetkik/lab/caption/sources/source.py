"""What every source of captioned images gives, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tetkik.lab.caption.data import CaptionRow, LeftOut, Split

RowStream = Iterator[CaptionRow | LeftOut]


class SourceKind(StrEnum):
    """The layouts that can be read."""

    AUTO = "auto"
    """Told by what lies in the folder."""
    ROCOV2 = "rocov2"
    """The archive of ROCOv2 as Zenodo has it, unpacked or in its zip files."""
    HUGGINGFACE = "huggingface"
    """Parquet files of a Hugging Face dataset, a folder written by its `save_to_disk`, or a hub id."""
    ROCO = "roco"
    """ROCO, the first version."""
    TABLE = "table"
    """One CSV or TSV that names image files and their captions."""


@dataclass(frozen=True, slots=True)
class Published:
    """Counts that were published for a data set, and of them in RGB mode, by split."""

    images: Mapping[Split, int]
    rgb: Mapping[Split, int]
    reference: str


ROCOV2_PUBLISHED = Published(
    images={Split.TRAIN: 59_958, Split.VALID: 9_904, Split.TEST: 9_927},
    rgb={Split.TRAIN: 37_330, Split.VALID: 6_672, Split.TEST: 6_780},
    reference="Rückert et al., Scientific Data 11:688 (2024)",
)


@dataclass(frozen=True, slots=True)
class Source:
    """Captioned images in some layout; `rows` gives those of a split one at a time, in the source's order.

    `set_aside` is the share of the training groups that was made its test split; None for none.
    """

    name: str
    kind: SourceKind
    splits: tuple[Split, ...]
    rows: Callable[[Split], RowStream]
    counts: Mapping[Split, int] = field(default_factory=dict)
    published: Published | None = None
    concept_names: Mapping[str, str] = field(default_factory=dict)
    unplaced: tuple[LeftOut, ...] = ()
    set_aside: float | None = None


_NAMES = {
    Split.TRAIN: ("train", "training", "tr"),
    Split.VALID: ("valid", "validation", "val", "dev", "development"),
    Split.TEST: ("test", "testing", "te"),
}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names}


def split_of(name: str) -> Split | None:
    """The split that a word names, in whatever case; None for another word."""
    return _SPLITS.get(name.strip().lower())
