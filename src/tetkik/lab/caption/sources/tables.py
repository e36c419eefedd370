"""Tables of text as sources have them (CSV with any of four delimiters, the lists of ROCO), and one's own.

A table of one's own names image files and their captions. Columns, in any order and case: `file` and
`caption`; and where there are any `concepts`, `case` (what must not cross splits), `split`, `id` and
`licence`. A row without a split is for training.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tetkik.csv_rows import read_lines
from tetkik.files import inside
from tetkik.lab.caption.data import CaptionRow, LeftOut, Reason, Split, concepts_of
from tetkik.lab.caption.sources.files import FileBytes
from tetkik.lab.caption.sources.source import RowStream, Source, SourceKind, split_of
from tetkik.lab.engine.tables import read_table


def listed(path: Path, delimiter: str = "\t") -> Iterator[tuple[str, list[str]]]:
    """The lines of a list without a header: a name, and the cells behind it; none where there is no file."""
    for line in read_lines(path) if path.is_file() else ():
        name, *cells = line.split(delimiter)
        if name.strip():
            yield name.strip(), [cell.strip() for cell in cells]


_FILE = ("file", "image", "filename", "file_name", "path", "image_path", "img")
_CAPTION = ("caption", "captions", "text", "description", "report")
_CONCEPTS = ("concepts", "cuis", "cui", "tags", "labels", "keywords")
_GROUP = ("case", "group", "case_id", "study", "patient", "patient_id", "pmcid", "pmc_id", "article")
_SPLIT = ("split", "set", "part", "subset", "fold")
_ID = ("id", "image_id", "name")
_LICENCE = ("licence", "license", "rights")


def open_table(path: Path, images: Path | None = None) -> Source:
    """The source in a CSV or TSV; file names are relative to `images`, by default the table's folder."""
    table = read_table(path, complete=True)
    root = images or path.parent
    files = table.named(_FILE, need=True)
    captions = table.named(_CAPTION, need=True)
    ids = [
        own or PurePosixPath(file.replace("\\", "/")).stem
        for own, file in zip(table.named(_ID), files, strict=True)
    ]
    words = table.named(_SPLIT)
    cells = [*zip(ids, files, captions, *map(table.named, (_GROUP, _CONCEPTS, _LICENCE)), strict=True)]
    places: dict[Split, list[int]] = {}
    unplaced = []
    for place, word in enumerate(words):
        split = split_of(word) if word else Split.TRAIN
        if split is None:
            unplaced.append(LeftOut(ids[place], word[:40], files[place], Reason.NO_SPLIT))
        else:
            places.setdefault(split, []).append(place)

    def rows(split: Split) -> RowStream:
        for place in places.get(split, ()):
            yield _row(*cells[place], split=split, root=root)

    return Source(
        name=path.stem,
        kind=SourceKind.TABLE,
        splits=tuple(split for split in Split if split in places),
        rows=rows,
        counts={split: len(found) for split, found in places.items()},
        unplaced=tuple(unplaced),
    )


def _row(
    id_: str, file: str, caption: str, group: str, concepts: str, licence: str, *, split: Split, root: Path
) -> CaptionRow | LeftOut:
    name = inside(file)
    if name is None:
        return LeftOut(id_, split, file, Reason.UNSAFE_NAME)
    return CaptionRow(
        id=id_,
        caption=caption,
        split=split,
        read=FileBytes(_on_disk(root, name)),
        file=name,
        group=group or None,
        concepts=concepts_of(concepts),
        licence=licence or None,
    )


def _on_disk(root: Path, name: str) -> Path:
    """The file, with the letters of its name composed or decomposed (ğ), as the disk has them."""
    path = root / name
    if name.isascii() or path.exists():
        return path
    other = root / unicodedata.normalize("NFD" if unicodedata.is_normalized("NFC", name) else "NFC", name)
    return other if other.exists() else path
