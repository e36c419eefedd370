"""Sorts the catalogues of messages and compiles them: run after every change of a `.po` file.

    python docs/messages.py

A string stands on one line, so that a change of a sentence is a change of one line.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

FOLDER = Path(__file__).parent.parent / "src" / "tetkik" / "messages"


def read(file: Path) -> Catalog:
    """A catalogue of `str.format` templates: a percent sign in them is no field."""
    with file.open("rb") as source:
        catalog = read_po(source, abort_invalid=True)
    for message in catalog:
        message.flags.discard("python-format")
    return catalog


def as_po(catalog: Catalog) -> bytes:
    """In its one form."""
    text = BytesIO()
    write_po(text, catalog, width=0, sort_output=True)
    return text.getvalue()


if __name__ == "__main__":
    for file in sorted(FOLDER.glob("*.po")):
        catalog = read(file)
        file.write_bytes(as_po(catalog))
        with file.with_suffix(".mo").open("wb") as compiled:
            write_mo(compiled, catalog)
