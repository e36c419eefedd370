"""The data elements of a DICOM file as rows that a person can read: what a tag viewer lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_description, dictionary_has_tag
from pydicom.multival import MultiValue

from tetkik.errors import InputError
from tetkik.imaging.dicom import is_dicom, parse_dicom
from tetkik.imaging.read import one_file
from tetkik.values.common import one_line

MOST = 3000
"""Rows of a file."""
_LONGEST = 240
"""Characters of a value."""
_DEEPEST = 12
_MOST_VALUES = 64


@dataclass(frozen=True, slots=True)
class TagRow:
    """One data element, or the head of an item: `depth` counts the sequences around it.

    Attributes:
        value: on one line, cut where it is long; of bytes how many there are.
    """

    depth: int
    tag: str
    vr: str
    name: str
    value: str = field(repr=False)
    private: bool = False


def list_tags(request: tuple[bytes, str]) -> tuple[TagRow, ...]:
    """The elements of a file's content in their order, the file meta information first, at most `MOST`."""
    content, name = request
    if not is_dicom(content):
        raise InputError("{file} is no DICOM file, so it has no tags.", file=name)
    with one_file(name):
        dataset, _ = parse_dicom(content, name)
        meta = getattr(dataset, "file_meta", None)
        rows = [*_rows(meta, 0)] if meta is not None else []
        return (*rows, *islice(_rows(dataset, 0), max(0, MOST - len(rows))))


def _rows(dataset: Dataset, depth: int) -> Iterator[TagRow]:
    for tag in sorted(dataset.keys()):
        name = dictionary_description(tag) if dictionary_has_tag(tag) else ""
        number = f"({tag.group:04X},{tag.element:04X})"
        try:
            element = dataset[tag]
        except Exception:  # Of a damaged element pydicom raises whatever its bytes lead to.
            yield TagRow(depth, number, "", name, "?", tag.is_private)
            continue
        vr = str(element.VR)
        own = name or ("" if element.name.startswith(("Private tag", "[Unknown")) else element.name)
        if vr != "SQ":
            yield TagRow(depth, number, vr, own, _value_text(element), tag.is_private)
            continue
        found = element.value or []
        yield TagRow(depth, number, vr, own, f"× {len(found)}", tag.is_private)
        if depth >= _DEEPEST:
            continue
        for place, item in enumerate(found, 1):
            yield TagRow(depth + 1, "", "", f"{place}.", "", tag.is_private)
            yield from _rows(item, depth + 1)


def _value_text(element: DataElement) -> str:
    try:
        value = element.value
        if isinstance(value, bytes | bytearray):
            return f"{len(value):,} B".replace(",", " ")
        if isinstance(value, MultiValue | list | tuple):
            parts = [str(one) for one in islice(value, _MOST_VALUES)]
            shown = "\\".join(parts) + ("\\…" if len(value) > _MOST_VALUES else "")
        else:
            shown = "" if value is None else str(value)
    except Exception:
        return "?"
    shown = one_line(shown[: 4 * _LONGEST])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
