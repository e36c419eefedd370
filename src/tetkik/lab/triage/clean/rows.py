"""A row as it was read, why a row is left out, and what had to be repaired to read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tetkik import turkish
from tetkik.errors import DataError

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
