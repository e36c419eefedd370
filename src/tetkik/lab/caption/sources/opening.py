"""A source is opened: its layout found out, and a test split set aside where it has none."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from tetkik.bundle.hub import looks_like_hub_id, user_path
from tetkik.errors import DataError, UsageError
from tetkik.lab.caption.data import CaptionRow, Split
from tetkik.lab.caption.sources.huggingface import from_hub, is_dataset, open_huggingface
from tetkik.lab.caption.sources.roco import open_roco, roco_root
from tetkik.lab.caption.sources.rocov2 import is_rocov2, open_rocov2
from tetkik.lab.caption.sources.source import RowStream, Source, SourceKind
from tetkik.lab.caption.sources.tables import open_table


def open_source(
    path: str | Path, kind: SourceKind = SourceKind.AUTO, *, images: Path | None = None
) -> Source:
    """The captioned images at `path`: a folder, a table, or the hub's id of a Hugging Face dataset.

    `images` is the folder of a table's file names; None takes the table's own.

    Raises:
        UsageError: nothing is there.
        DataError: what is there is of another layout, or damaged.
        MissingExtra: a package for that layout is not installed.
    """
    place = user_path(str(path))
    if not place.exists():
        if kind in {SourceKind.AUTO, SourceKind.HUGGINGFACE} and looks_like_hub_id(str(path)):
            return open_huggingface(from_hub(str(path)))
        raise UsageError("There is no source at {path}; check the path.", path=path)
    if kind is SourceKind.AUTO:
        kind = _kind_of(place)
    if place.is_file() != (kind is SourceKind.TABLE):
        raise DataError(
            "{path} cannot be read as {kind}; a table is a file, and every other layout a folder.",
            path=place,
            kind=kind.value,
        )
    if kind is SourceKind.TABLE:
        return open_table(place, images)
    openers = {SourceKind.ROCOV2: open_rocov2, SourceKind.ROCO: open_roco}
    return openers.get(kind, open_huggingface)(place)


def _kind_of(place: Path) -> SourceKind:
    if place.is_file():
        return SourceKind.TABLE
    if is_rocov2(place):
        return SourceKind.ROCOV2
    if roco_root(place) is not None:
        return SourceKind.ROCO
    if is_dataset(place):
        return SourceKind.HUGGINGFACE
    raise DataError(
        "{path} is laid out like none of ROCOv2, ROCO and a Hugging Face dataset; give one of them, or a "
        "table (CSV) of files and captions.",
        path=place,
    )


def set_aside(source: Source, share: float) -> Source:
    """The source with a share of its training groups as its test split.

    A group (or, of a row without one, its id) is set aside where its SHA-256, read as a fraction, is below
    `share`: the same groups on every machine, whatever the order of the rows. The validation rows stay.
    """
    if not 0 < share < 1:
        raise UsageError("The share to set aside is {share}; give one between 0 and 1.", share=share)
    if Split.TEST in source.splits:
        raise UsageError("{name} has a test split of its own; leave out --set-aside.", name=source.name)

    def rows(split: Split) -> RowStream:
        if split is Split.VALID:
            yield from source.rows(split)
            return
        for row in source.rows(Split.TRAIN):
            group = row.group if isinstance(row, CaptionRow) else None
            digest = hashlib.sha256((group or row.id).encode("utf-8")).digest()
            drawn = int.from_bytes(digest[:8], "big") / 2**64
            if (drawn < share) == (split is Split.TEST):
                yield replace(row, split=split)

    counts: dict[Split, int] = {}
    if Split.VALID in source.counts:
        counts[Split.VALID] = source.counts[Split.VALID]
    if source.kind is SourceKind.TABLE:
        # Its rows are in memory; those of Parquet would be read for it.
        counts |= {split: sum(1 for _ in rows(split)) for split in (Split.TRAIN, Split.TEST)}
    splits = tuple(split for split in Split if split in source.splits or split is Split.TEST)
    return replace(source, rows=rows, splits=splits, counts=counts, set_aside=share)
