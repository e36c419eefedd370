"""Every kind of source by its name in a spec: its reader and its options.

A command line names a source so:

    KIND:PATH[?OPTION=VALUE[&OPTION=VALUE]...][=WEIGHT]

`nih:/data/nih`, `nih:/data/nih=2`, `chexpert:/data/chexpert?uncertain=zeros&views=all=0.5`. The weight is
what follows the last `=` where that is a number and is not the value of an option; a folder whose own name
ends so (`run=2`) is written with its weight (`run=2=1`). A path with `?` in it cannot be named so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tetkik.errors import UsageError
from tetkik.lab.findings.sources import chexpert, folder, hospital_table, mimic, nih, parquet, vindr
from tetkik.lab.findings.sources.files import Reading, SourceSpec
from tetkik.lab.findings.sources.rows import Rows

_KIND = re.compile(r"[a-z]+")
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
FORM = "KIND:PATH[?OPTION=VALUE&...][=WEIGHT]"

_Reader = Callable[[SourceSpec, Reading], Rows]
_KINDS: Mapping[str, tuple[_Reader, Mapping[str, tuple[str, ...]]]] = {
    "nih": (nih.read_nih, nih.OPTIONS),
    "chexpert": (chexpert.read_chexpert, chexpert.OPTIONS),
    "mimic": (mimic.read_mimic, mimic.OPTIONS),
    "vindr": (vindr.read_vindr, vindr.OPTIONS),
    "csv": (hospital_table.read_listing, hospital_table.OPTIONS),
    "parquet": (parquet.read_parquet, parquet.OPTIONS),
    "folder": (folder.read_folder, folder.OPTIONS),
}
"""The reader of each kind of source, and what a spec may say of it with the values allowed; () for any."""


def read_rows(spec: SourceSpec, how: Reading | None = None) -> Rows:
    """Read one source as its kind is read."""
    read, _ = _KINDS[spec.kind]
    return read(spec, how or Reading())


def table_spec(table: Path, images: Path | None = None) -> SourceSpec:
    """A table of the user's own, whatever its format; `images` is the folder of their files."""
    kind = "parquet" if parquet.is_dataset(table) else "csv"
    return SourceSpec(kind, table, {} if images is None else {"images": str(images)})


def parse_spec(text: str) -> SourceSpec:
    """Read one source as a user writes it; an option that ends in a dot stands for all that begin so."""
    kind, colon, rest = text.partition(":")
    if not colon or not _KIND.fullmatch(kind):
        raise UsageError("{spec} is not a source; write it as {form}.", spec=text, form=FORM)
    if kind not in _KINDS:
        raise UsageError(
            "{spec} names the unknown kind {kind}; use one of {kinds}.",
            spec=text,
            kind=kind,
            kinds=", ".join(sorted(_KINDS)),
        )
    place, question, tail = rest.partition("?")
    weight = None
    options: dict[str, str] = {}
    if question:
        *pieces, last = tail.split("&")
        if last.count("=") > 1:
            last, weight = _weight(last)
        for piece in (*pieces, last):
            name, value = _option(text, piece, _KINDS[kind][1])
            if name in options:
                raise UsageError("{spec} has the option {name} twice; give it once.", spec=text, name=name)
            options[name] = value
    else:
        place, weight = _weight(place)
    if not place:
        raise UsageError("{spec} names no path; write it as {form}.", spec=text, form=FORM)
    if weight is not None and not (math.isfinite(weight) and 0 < weight <= 1e6):
        raise UsageError("{spec} has the weight {weight}; give one above 0.", spec=text, weight=weight)
    return SourceSpec(kind, Path(place), options, 1.0 if weight is None else weight)


def _weight(text: str) -> tuple[str, float | None]:
    """`text` without a weight at its end, and that weight."""
    before, equals, after = text.rpartition("=")
    return (before, float(after)) if equals and _NUMBER.fullmatch(after) else (text, None)


def _option(spec: str, piece: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
    name, equals, value = piece.partition("=")
    family = next((key for key in known if key.endswith(".") and name.startswith(key)), name)
    if not equals or family not in known or name.endswith("."):
        raise UsageError(
            "{spec} has the unknown option {name}; this kind has {options}.",
            spec=spec,
            name=name or "?",
            options=", ".join(key + "LABEL" if key.endswith(".") else key for key in known) or "–",
        )
    if not value or (known[family] and value not in known[family]):
        raise UsageError(
            "{spec} has the value {value} for {name}; give {values}.",
            spec=spec,
            value=value or "–",
            name=name,
            values=" | ".join(known[family]) or "…",
        )
    return name, value
