"""Tables of text as sources have them (CSV with any of four delimiters, the lists of ROCO), and one's own.

A table of one's own names image files and their captions. Columns, in any order and case: `file` and
`caption`; and where there are any `concepts`, `case` (what must not cross splits), `split`, `id` and
`licence`. A row without a split is for training.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from tetkik.errors import DataError
from tetkik.files import inside
from tetkik.lab.caption.data import CaptionRow, LeftOut, Reason, Split, concepts_of
from tetkik.lab.caption.sources.files import FileBytes
from tetkik.lab.caption.sources.source import RowStream, Source, SourceKind, split_of

_DELIMITERS = ",;\t|"
_LONGEST_CELL = 1 << 20
_LONGEST_LINE = 4 << 20


@dataclass(frozen=True, slots=True)
class Table:
    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def place(self, aliases: Sequence[str]) -> int | None:
        """The place of the first column that has one of these names, whatever the case."""
        lower = [name.lower() for name in self.columns]
        return next((lower.index(alias) for alias in aliases if alias in lower), None)

    def needed(self, aliases: Sequence[str]) -> int:
        """As `place`, where there must be such a column."""
        place = self.place(aliases)
        if place is None:
            raise DataError(
                "{path} has no column {column} (its columns are: {names}); rename the one that holds it.",
                path=self.path,
                column=aliases[0],
                names=", ".join(self.columns)[:200],
            )
        return place


def read_table(path: Path) -> Table:
    """A CSV file with a header; the delimiter is the one that its header has most of.

    Rows that are too short are filled with empty cells, and surplus cells are dropped.
    """
    csv.field_size_limit(_LONGEST_CELL)
    lines = _lines(path)
    header = next((line for line in lines if line.strip()), None)
    if header is None:
        raise DataError("{path} is empty; give a table with a header and rows.", path=path)
    delimiter = max(_DELIMITERS, key=header.count)

    reader = csv.reader(chain([header], lines), delimiter=delimiter)
    try:
        columns = tuple(name.strip() for name in next(reader))
        width = len(columns)
        rows = [tuple((row + [""] * width)[:width]) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(
            "{path} is not readable as CSV at line {line} ({fault}); correct that line.",
            path=path,
            line=reader.line_num,
            fault=error,
        ) from None
    return Table(path, columns, rows)


def listed(path: Path, delimiter: str = "\t") -> Iterator[tuple[str, list[str]]]:
    """The lines of a list without a header: a name, and the cells behind it; none where there is no file."""
    for line in _lines(path) if path.is_file() else ():
        name, *cells = line.rstrip("\r\n").split(delimiter)
        if name.strip():
            yield name.strip(), [cell.strip() for cell in cells]


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, raw in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
            if len(raw) == _LONGEST_LINE:
                raise DataError(
                    "{path} has a line of more than {most} MB, line {line}; it is no table of captions.",
                    path=path,
                    most=_LONGEST_LINE >> 20,
                    line=number,
                )
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise DataError(
                    "{path} is not UTF-8 in line {line}; save it as UTF-8.", path=path, line=number
                ) from None
            if "\0" in text:
                raise DataError("{path} is not a text file; give a table as CSV or TSV.", path=path)
            yield text


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
