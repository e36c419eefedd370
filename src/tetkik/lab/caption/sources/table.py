"""One table that names image files and their captions: the layout for everybody's own data.

Columns, in any order and case: `file` and `caption`; and where there are any `concepts`, `case` (what must
not cross splits), `split`, `id` and `licence`. A row without a split is for training.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

from tetkik.lab.caption.concepts import concepts_of
from tetkik.lab.caption.data import CaptionRow, LeftOut, Reason, Split
from tetkik.lab.caption.sources.files import FileBytes
from tetkik.lab.caption.sources.source import RowStream, Source, SourceKind, split_of
from tetkik.lab.caption.sources.tables import Table, read_table
from tetkik.lab.engine.paths import inside

_FILE = ("file", "image", "filename", "file_name", "path", "image_path", "img")
_CAPTION = ("caption", "captions", "text", "description", "report")
_CONCEPTS = ("concepts", "cuis", "cui", "tags", "labels", "keywords")
_GROUP = ("case", "group", "case_id", "study", "patient", "patient_id", "pmcid", "pmc_id", "article")
_SPLIT = ("split", "set", "part", "subset", "fold")
_ID = ("id", "image_id", "name")
_LICENCE = ("licence", "license", "rights")


def open_table(path: Path, images: Path | None = None) -> Source:
    """The source in a CSV or TSV; file names are relative to `images`, by default the table's folder."""
    table = read_table(path)
    root = images or path.parent
    table.needed(_FILE)
    table.needed(_CAPTION)
    places: dict[Split, list[int]] = {}
    unplaced = []
    column = table.place(_SPLIT)
    for place, row in enumerate(table.rows):
        word = row[column].strip() if column is not None else ""
        split = split_of(word) if word else Split.TRAIN
        if split is None:
            file = row[table.needed(_FILE)]
            unplaced.append(LeftOut(_id(table, row), word[:40], file, Reason.NO_SPLIT))
        else:
            places.setdefault(split, []).append(place)

    def rows(split: Split) -> RowStream:
        for place in places.get(split, ()):
            yield _row(table, table.rows[place], split, root)

    return Source(
        name=path.stem,
        kind=SourceKind.TABLE,
        splits=tuple(split for split in Split if split in places),
        rows=rows,
        counts={split: len(found) for split, found in places.items()},
        unplaced=tuple(unplaced),
    )


def _row(table: Table, row: tuple[str, ...], split: Split, root: Path) -> CaptionRow | LeftOut:
    file = row[table.needed(_FILE)].strip()
    name = inside(file)
    if name is None:
        return LeftOut(_id(table, row), split, file, Reason.UNSAFE_NAME)
    return CaptionRow(
        id=_id(table, row),
        caption=row[table.needed(_CAPTION)],
        split=split,
        read=FileBytes(_on_disk(root, name)),
        file=name,
        group=_cell(table, row, _GROUP) or None,
        concepts=concepts_of(_cell(table, row, _CONCEPTS)),
        licence=_cell(table, row, _LICENCE) or None,
    )


def _on_disk(root: Path, name: str) -> Path:
    """The file, with the letters of its name composed or decomposed (ğ), as the disk has them."""
    path = root / name
    if name.isascii() or path.exists():
        return path
    other = root / unicodedata.normalize("NFD" if unicodedata.is_normalized("NFC", name) else "NFC", name)
    return other if other.exists() else path


def _cell(table: Table, row: tuple[str, ...], aliases: tuple[str, ...]) -> str:
    place = table.place(aliases)
    return row[place].strip() if place is not None else ""


def _id(table: Table, row: tuple[str, ...]) -> str:
    """The row's own id, or its file's name without folders and ending."""
    return _cell(table, row, _ID) or PurePosixPath(row[table.needed(_FILE)].strip().replace("\\", "/")).stem
