"""Public data sets and a hospital's own tables, each read by an adapter into the same columns.

- `nih`: NIH ChestX-ray14
- `chexpert`: CheXpert
- `mimic`: MIMIC-CXR-JPG
- `vindr`: VinDr-CXR
- `csv`: a table of the user's own, labels in one column or in one a label
- `folder`: a folder a class
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tetkik.lab.findings.sources import chexpert, folder, hospital_table, mimic, nih, vindr
from tetkik.lab.findings.sources.label_coverage import KnownRule, parse_rule, read_rules
from tetkik.lab.findings.sources.rows import LeftOut, Rows
from tetkik.lab.findings.sources.spec import Reading, SourceSpec
from tetkik.lab.findings.sources.spec import parse_spec as _parse_spec

_Reader = Callable[[SourceSpec, Reading], Rows]
_KINDS: Mapping[str, tuple[_Reader, Mapping[str, tuple[str, ...]]]] = {
    "nih": (nih.read_nih, nih.OPTIONS),
    "chexpert": (chexpert.read_chexpert, chexpert.OPTIONS),
    "mimic": (mimic.read_mimic, mimic.OPTIONS),
    "vindr": (vindr.read_vindr, vindr.OPTIONS),
    "csv": (hospital_table.read_listing, hospital_table.OPTIONS),
    "folder": (folder.read_folder, folder.OPTIONS),
}
"""The reader of each kind of source, and what a spec may say of it with the values allowed; () for any."""

__all__ = [
    "KnownRule",
    "LeftOut",
    "Reading",
    "Rows",
    "SourceSpec",
    "parse_rule",
    "parse_spec",
    "read_rows",
    "read_rules",
]


def parse_spec(text: str) -> SourceSpec:
    """Read `KIND:PATH[?OPTION=VALUE&...][=WEIGHT]`."""
    return _parse_spec(text, {kind: options for kind, (_, options) in _KINDS.items()})


def read_rows(spec: SourceSpec, how: Reading | None = None) -> Rows:
    """Read one source as its kind is read."""
    read, _ = _KINDS[spec.kind]
    return read(spec, how or Reading())
