"""Rows out of CSV, JSON lines, XLSX and Parquet, recognised by their content, one row at a time."""

from __future__ import annotations

import codecs
import csv
import json
import re
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from tetkik import turkish
from tetkik.csv_rows import split_row
from tetkik.errors import DataError, MissingExtra
from tetkik.lab.engine.tables import arrow_batches, schema_of

# A row as it was read, why a row is left out, and what had to be repaired to read it.


TEXT_COLUMNS = (
    "text", "metin", "complaint", "sikayet", "hasta sikayeti", "basvuru sikayeti", "yakinma", "question",
    "soru", "soru metni", "message", "mesaj", "content", "icerik", "description", "aciklama",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "etiket", "department", "departman", "bolum", "poliklinik", "klinik", "brans", "speciality",
    "specialty", "uzmanlik", "uzmanlik alani", "category", "kategori", "class", "sinif",
)  # fmt: skip


class Reason(StrEnum):
    """Why a row is not in the clean table: the value of the column `reason` in `rejected.csv`."""

    BROKEN_ROW = "broken row"
    """Its columns could not be separated (quotes, delimiters), or its JSON is broken."""
    TOO_LONG = "too long"
    EMPTY = "empty text"
    NO_WORDS = "no words"
    """Nothing but masked data, links, numbers or signs."""
    ADVERT = "advert"
    """Nothing but an advert."""
    NO_LABEL = "no label"
    OTHER_LABEL = "other label"
    """A label that no department of the list goes by."""
    DUPLICATE = "duplicate"
    """The same text with the same label stands in an earlier row."""


class Repair(StrEnum):
    """What was mended or taken out, counted by rows."""

    WINDOWS_1254 = "windows-1254 bytes read"
    UTF_16 = "utf-16 read"
    MOJIBAKE = "wrongly decoded letters restored"
    LOST = "letters lost before this file was written"
    CONTROL = "control and invisible characters taken out"
    QUOTING = "broken quotes mended"
    HTML = "HTML taken out"
    ADVERT = "advert sentences taken out"


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of an input."""

    source: str  # the file (for a workbook with its sheet, `file.xlsx#Sheet`)
    number: int  # its line or row there, from 1
    text: str
    label: str
    fault: Reason | None = None  # why it cannot be used, where reading it already showed that
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold the complaint and the department; None looks for a usual name."""

    text: str | None = None
    label: str | None = None

    def places(self, names: Sequence[str]) -> tuple[int, int] | None:
        """The indices of the two columns among `names`, or None where one is missing."""
        text = _place(names, (self.text,) if self.text else TEXT_COLUMNS)
        label = _place(names, (self.label,) if self.label else LABEL_COLUMNS)
        return None if text is None or label is None or text == label else (text, label)

    def missing(self, source: str, names: Iterable[str]) -> DataError:
        """The error of a table without them."""
        listed = ", ".join(str(name)[:40] for name in names)[:200]
        if not listed:
            return DataError(
                "{path} has no header that can be read; put the names of its columns into its first line.",
                path=source,
            )
        if self.text or self.label:
            return DataError(
                "{path} has no columns {text} and {label} (its columns are: {names}); correct --text-column "
                "or --label-column.",
                path=source,
                text=self.text or "text",
                label=self.label or "label",
                names=listed,
            )
        return DataError(
            "{path} has no columns that look like a complaint and a department (its columns are: {names}); "
            "name them with --text-column and --label-column.",
            path=source,
            names=listed,
        )


def key(name: object) -> str:
    """A name folded for comparing: `" Bölüm_Adı "` gives `"bolum adi"`."""
    return " ".join(turkish.fold(str(name or "")).split())


def _place(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    keys = [key(name) for name in names]
    return next((keys.index(key(name)) for name in wanted if key(name) in keys), None)


# Bytes into lines of text, whatever encoding each line is in, and letters that were decoded wrongly.
#
# Files grow by appending, so one file may hold UTF-8 and Windows-1254 lines: each line is decoded alone.
# ISO-8859-9 has the letters of Windows-1254 in the same places.


LONGEST_LINE = 4_000_000
"""A line longer than this, in bytes, is not read: only that line is lost."""

_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def wide_encoding(head: bytes) -> str | None:
    """The encoding of a file with two or four bytes a letter, by its first bytes; else None."""
    for bom, name in _BOMS.items():
        if head.startswith(bom):
            return name
    sample = head[: len(head) // 2 * 2]
    zeros = [sample[start::2].count(0) / max(1, len(sample) // 2) for start in (0, 1)]
    # Turkish in UTF-16: nearly every second byte is 0 or 1, and none of the others is.
    if zeros[1] > 0.6 and zeros[0] < 0.05:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] > 0.6 and zeros[1] < 0.05 else None


def lines(path: Path) -> Iterator[tuple[int, str | None, Repair | None]]:
    """Of each line the number from 1, the text (None where it is too long) and what it was mended from."""
    with path.open("rb") as file:
        head = file.read(65536)
    wide = wide_encoding(head)
    if wide:
        with path.open(encoding=wide, errors="replace", newline=_newline(head.replace(b"\0", b""))) as text:
            for number, line in enumerate(_capped(text), 1):
                whole = None if line is None else line.rstrip("\r\n").removeprefix("\ufeff")
                yield number, whole, Repair.UTF_16
        return
    with path.open(encoding="latin-1", newline=_newline(head)) as text:
        # Latin-1 maps each byte to one character and back: it splits lines without deciding anything.
        for number, line in enumerate(_capped(text), 1):
            if line is None:
                yield number, None, None
                continue
            decoded, repair = decode(line.rstrip("\r\n").encode("latin-1"))
            yield number, decoded.removeprefix("\ufeff") if number == 1 else decoded, repair


def _newline(head: bytes) -> str:
    return "\r" if b"\n" not in head and b"\r" in head else "\n"


def _capped(file: IO[str]) -> Iterator[str | None]:
    while line := file.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(("\n", "\r")):
            yield line
            continue
        while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
            pass
        yield None


def decode(line: bytes) -> tuple[str, Repair | None]:
    """One line as UTF-8, else as Windows-1254, else byte by byte where both stand in it."""
    try:
        return line.decode("utf-8"), None
    except UnicodeDecodeError:
        mixed = line.decode("utf-8", "surrogateescape")
    strays = sum("\udc80" <= char <= "\udcff" for char in mixed)
    good = sum(char > "\x7f" for char in mixed) - strays
    if strays >= good:
        return "".join(_CP1254[byte] for byte in line), Repair.WINDOWS_1254
    restored = (_CP1254[ord(char) - 0xDC00] if "\udc80" <= char <= "\udcff" else char for char in mixed)
    return "".join(restored), Repair.WINDOWS_1254


def _byte_table(encoding: str) -> list[str]:
    """The character of each byte; where the encoding has none, that of Latin-1."""
    decoded = (bytes([byte]).decode(encoding, "ignore") for byte in range(256))
    return [character or chr(byte) for byte, character in enumerate(decoded)]


_CP1254 = _byte_table("cp1254")
_CONTINUATION = {
    table[byte]: byte
    for table in (_CP1254, _byte_table("cp1252"), _byte_table("latin-1"))
    for byte in range(128, 192)
}
_LETTERS = frozenset("çğıöşüÇĞİÖŞÜâîûÂÎÛéÉ’‘“”–—…°•·²³´«»½€\u00a0\u200b\u200c\u200d")
_TAIL = "[" + re.escape("".join(_CONTINUATION)) + "]"
_MOJIBAKE = re.compile(f"[ÂÃÄÅ]{_TAIL}|â{_TAIL}{{2}}")
_LEAD = {"Â": 0xC2, "Ã": 0xC3, "Ä": 0xC4, "Å": 0xC5, "â": 0xE2}
_WESTERN = str.maketrans("þýðÞÝÐ", "şığŞİĞ")


def restore(text: str) -> str:
    """Letters that were decoded wrongly before the file was written, put right.

    UTF-8 read as Windows-1252 or -1254 (`"ÅŸiÅŸ"` → `"şiş"`), even twice over, and Windows-1254 read as
    Windows-1252 (`"þiþ"` → `"şiş"`). Only sequences that give a letter or sign in Turkish use are touched.
    """
    for _ in range(3):
        if not _MOJIBAKE.search(text):
            break
        text, before = _MOJIBAKE.sub(_restored, text), text
        if text == before:
            break
    if any(char in text for char in "þýðÞÝÐ") and not any(char in text for char in "şığŞİĞ"):
        text = text.translate(_WESTERN)
    return text


def _restored(match: re.Match[str]) -> str:
    piece = match[0]
    raw = bytes([_LEAD[piece[0]], *(_CONTINUATION[char] for char in piece[1:])])
    try:
        letter = raw.decode("utf-8")
    except UnicodeDecodeError:
        return piece
    # Wrongly decoded twice, the first turn gives signs that only the second makes letters.
    return letter if letter in _LETTERS or letter in _LEAD or letter in _CONTINUATION else piece


# CSV that was never quite CSV: unclosed and stray quotes, a delimiter too many, lines cut short.
#
# A parser that believes every quote lets one unclosed quote swallow thousands of rows. Here a record may go
# on over several lines only where it then closes as the format says (RFC 4180), has the header's columns,
# and has swallowed no line that is a row of its own; else its first line is read alone, its quotes as
# letters.


_DELIMITERS = ",;\t|"
_MOST_LINES = 200
"""A quoted text of more lines than this is taken for an unclosed quote."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """The header's delimiter, its number of columns, and where text and label stand."""

    delimiter: str
    width: int
    text: int
    label: int

    def split(self, record: str) -> list[str] | None:
        """The cells of a record that keeps to the format, else None."""
        if '"' not in record:
            return record.split(self.delimiter)
        cells = split_row(record, self.delimiter)
        if cells is None and '\\"' in record:
            cells = split_row(record, self.delimiter, backslash=True)
        return cells

    def fitted(self, cells: list[str]) -> list[str] | None:
        """As many cells as the header has, surplus delimiters in the text; None if a cell is missing."""
        while len(cells) > self.width and not cells[-1].strip():
            cells = cells[:-1]
        extra = len(cells) - self.width
        if extra > 0:
            end = self.text + extra + 1
            cells = [*cells[: self.text], self.delimiter.join(cells[self.text : end]), *cells[end:]]
        return cells if len(cells) > max(self.text, self.label) else None

    def forced(self, record: str) -> list[str] | None:
        """The cells of a record that does not keep to the format: its quotes are letters."""
        cells = self.fitted(record.split(self.delimiter))
        return None if cells is None else [_unquoted(cell) for cell in cells]

    def label_in(self, line: str) -> str:
        """What stands in the label's place of a line taken by itself."""
        cells = line.split(self.delimiter)
        place = self.label - self.width if self.label > self.text else self.label
        return _unquoted(cells[place]) if -len(cells) <= place < len(cells) and len(cells) > 1 else ""


def csv_rows(path: Path, columns: Columns, is_label: Callable[[str], bool]) -> Iterator[RawRow]:
    """The rows of a CSV file, the broken ones with their fault.

    The delimiter is `,` `;` `|` or a tab, the encoding any of `decode.lines`. Whether a cell is the name of a
    department, `is_label` says; labels seen in sound rows count as well.
    """
    source = str(path)
    ahead = _Ahead(lines(path))
    shape = _header(ahead, columns, source)
    seen: set[str] = set()

    def known(label: str) -> bool:
        return label in seen or is_label(label)

    while (item := ahead.next()) is not None:
        number, line, encoding = item
        if line is None:
            yield RawRow(source, number, "", "", Reason.TOO_LONG)
            continue
        if not line.strip():
            continue
        repairs = (encoding,) if encoding else ()
        cells = shape.split(line)
        if cells is not None and len(cells) == shape.width:
            seen.add(cells[shape.label].strip())
            yield RawRow(source, number, cells[shape.text], cells[shape.label], None, repairs)
            continue
        cells, sound = _assembled(shape, line, ahead, known)
        if not sound:
            repairs = (*repairs, Repair.QUOTING)
        if cells is None:
            yield RawRow(source, number, line, "", Reason.BROKEN_ROW, repairs[:-1])
        else:
            yield RawRow(source, number, cells[shape.text], cells[shape.label], None, repairs)


class _Ahead:
    """Lines with a look at those to come."""

    def __init__(self, items: Iterator[tuple[int, str | None, Repair | None]]) -> None:
        self._items = items
        self._waiting: deque[tuple[int, str | None, Repair | None]] = deque()

    def next(self) -> tuple[int, str | None, Repair | None] | None:
        """The next line; None at the end."""
        return self._waiting.popleft() if self._waiting else next(self._items, None)

    def peek(self, count: int) -> Iterator[str]:
        """The next lines, at most `count`, up to one that could not be read."""
        for place in range(count):
            if place == len(self._waiting):
                item = next(self._items, None)
                if item is None:
                    return
                self._waiting.append(item)
            text = self._waiting[place][1]
            if text is None:
                return
            yield text

    def skip(self, count: int) -> None:
        """Take the next `count` lines away."""
        for _ in range(count):
            self._waiting.popleft()


def _header(ahead: _Ahead, columns: Columns, source: str) -> _Shape:
    names: list[str] = []
    for _ in range(20):
        item = ahead.next()
        if item is None or item[1] is None:
            break
        line = item[1].strip("\x00")
        if not line.strip() or line.lower().startswith("sep="):
            continue
        for delimiter in _DELIMITERS:
            found = next(csv.reader([line], delimiter=delimiter), [])
            if (places := columns.places(found)) is not None:
                return _Shape(delimiter, len(found), *places)
            names = max(names, found, key=len)
        break
    raise columns.missing(source, names)


def _assembled(
    shape: _Shape, first: str, ahead: _Ahead, known: Callable[[str], bool]
) -> tuple[list[str] | None, bool]:
    """The cells of the record that begins with `first`, and whether it kept to the format."""
    label_last = shape.label > shape.text
    if first.count('"') % 2 and not (label_last and known(shape.label_in(first))):
        record = first
        for count, line in enumerate(ahead.peek(_MOST_LINES), 1):
            record += "\n" + line
            row_of_its_own = known(shape.label_in(line))
            closed = record.count('"') % 2 == 0
            if row_of_its_own and not (label_last and closed):
                break
            if not closed:
                continue
            cells = shape.split(record)
            if cells is not None and len(cells) == shape.width:
                ahead.skip(count)
                return cells, True
            forced = shape.forced(record)
            if forced is not None and known(forced[shape.label]) and shape.forced(first) is None:
                ahead.skip(count)
                return forced, False
            break
    cells = shape.split(first)
    if cells is not None and (fitted := shape.fitted(cells)) is not None:
        return fitted, len(cells) <= shape.width
    return shape.forced(first), False


def _unquoted(cell: str) -> str:
    return cell.strip().removeprefix('"').removesuffix('"').replace('""', '"')


_MOST_UNPACKED = 2 << 30
"""A workbook that unpacks to more, in bytes, is refused: a zip bomb, or no table of complaints."""
_MOST_RATIO = 300
_SAMPLE = 65536


class _Kind(StrEnum):
    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"
    PARQUET = "parquet"


def read_rows(path: Path, columns: Columns, is_label: Callable[[str], bool]) -> Iterator[RawRow]:
    """The rows of one file, in order; one that cannot be used comes with its fault.

    The content of CSV, JSON lines (or one JSON list), XLSX or Parquet decides, not the name. Whether a cell
    is the name of a department helps with CSV whose quotes are broken.

    Raises:
        DataError: not such a file, damaged, or without the columns.
        MissingExtra: a workbook or Parquet file, and its reader is not installed.
    """
    kind = _kind(path)
    if kind is _Kind.CSV:
        return csv_rows(path, columns, is_label)
    return {_Kind.JSON: _json_rows, _Kind.XLSX: _xlsx_rows, _Kind.PARQUET: _parquet_rows}[kind](path, columns)


def _kind(path: Path) -> _Kind:
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    if head.startswith(b"PAR1"):
        return _Kind.PARQUET
    if head.startswith(b"PK\x03\x04"):
        return _Kind.XLSX
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataError("{path} is an old Excel file (.xls); save it as .xlsx or CSV.", path=path)
    if not head.strip(b"\x00\r\n\t \xef\xbb\xbf"):
        raise DataError("{path} is empty; give a file with a header and rows.", path=path)
    controls = sum(head.count(bytes([byte])) for byte in (*range(1, 9), *range(14, 32)))
    if wide_encoding(head) is None and (controls + head.count(0) > 0.1 * len(head)):
        raise DataError("{path} is not a table; give CSV, JSON lines, XLSX or Parquet.", path=path)
    start = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:200].lstrip()
    listed = start.startswith(b"[") and b"{" in start[:20]
    return _Kind.JSON if listed or start.startswith(b"{") else _Kind.CSV


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _json_rows(path: Path, columns: Columns) -> Iterator[RawRow]:
    source = str(path)
    places_of = lru_cache(columns.places)
    unlike: list[RawRow] = []
    names: list[str] = []
    usable = False
    for number, item, text in _json_items(path):
        keys = tuple(item or ())
        places = places_of(keys)
        if item is None or places is None:
            names = names or list(keys)
            row = RawRow(source, number, text, "", Reason.BROKEN_ROW)
            # Held back until one row shows that the columns are there at all.
            if usable:
                yield row
            elif len(unlike) < 10_000:
                unlike.append(row)
            continue
        if not usable:
            usable = True
            yield from unlike
        text_key, label_key = (keys[place] for place in places)
        yield RawRow(source, number, _cell(item[text_key]), _cell(item[label_key]))
    if not usable:
        raise columns.missing(source, names)


def _json_items(path: Path) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """The objects of a JSON file with their line (or place in a list), None for what is no object."""
    with path.open("rb") as file:
        listed = file.read(_SAMPLE).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    if listed:
        try:
            items = json.loads("\n".join(line or "" for _, line, _ in lines(path)))
        except (ValueError, RecursionError):
            raise DataError(
                "{path} is a JSON list with a fault in it; write one object a line (JSON lines).", path=path
            ) from None
        for number, item in enumerate(items, 1):
            yield (number, item, "") if isinstance(item, dict) else (number, None, _cell(item))
        return
    for number, line, _ in lines(path):
        if line is None:
            yield number, None, ""
        if not line or not line.strip():
            continue
        try:
            item = json.loads(line.strip().strip("\x00").removesuffix(","))
        except (ValueError, RecursionError):
            item = None
        yield number, item if isinstance(item, dict) else None, line


def _xlsx_rows(path: Path, columns: Columns) -> Iterator[RawRow]:
    try:
        import openpyxl
    except ImportError:
        raise MissingExtra(
            "Reading {path} needs {package}, which is not installed; run `{extra}`.",
            extra="data",
            path=path,
            package="openpyxl",
        ) from None

    damaged = DataError(
        "{path} is not a sound workbook; open it, save it again as .xlsx, or give CSV.", path=path
    )
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        raise damaged from None
    if unpacked > max(_MOST_RATIO * path.stat().st_size, 50 << 20) or unpacked > _MOST_UNPACKED:
        raise DataError(
            "{path} unpacks to {size} MB, far more than a table of complaints; give it as CSV.",
            path=path,
            size=unpacked >> 20,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # extensions of Excel that do not concern the cells
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except Exception:  # openpyxl raises whatever its parsers do
            raise damaged from None
        try:
            found = False
            names: Sequence[object] = ()
            for sheet in book.worksheets:
                sheet.reset_dimensions()
                rows = sheet.iter_rows(values_only=True, max_col=500)
                for number, header in enumerate(rows, 1):
                    names = names or [cell for cell in header if cell is not None]
                    places = columns.places([_cell(cell) for cell in header])
                    if places is not None or number == 10:
                        break
                else:
                    places = None
                if places is None:
                    continue
                found = True
                source = f"{path}#{sheet.title}"
                for place, row in enumerate(rows, number + 1):
                    text, label = (_cell(row[i]) if i < len(row) else "" for i in places)
                    if text or label or any(cell is not None for cell in row):
                        yield RawRow(source, place, text, label)
            if not found:
                raise columns.missing(str(path), [_cell(name) for name in names])
        except DataError:
            raise
        except Exception:  # a damaged sheet
            raise damaged from None
        finally:
            book.close()


def _parquet_rows(path: Path, columns: Columns) -> Iterator[RawRow]:
    source, names = str(path), schema_of(path).names
    places = columns.places(names)
    if places is None:
        raise columns.missing(source, names)
    chosen = [names[place] for place in places]
    number = 0
    for batch in arrow_batches(path, chosen, 8192):
        for text, label in zip(*(_arrow_cells(batch.column(name)) for name in chosen), strict=True):
            number += 1
            yield RawRow(source, number, text, label)


def _arrow_cells(column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:  # a string column of bytes that are not UTF-8
        values = column.cast(pa.binary()).to_pylist()
    return [decode(value)[0] if isinstance(value, bytes) else _cell(value) for value in values]
