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

from tetkik.lab.findings.sources import chexpert as _chexpert
from tetkik.lab.findings.sources import folder as _folder
from tetkik.lab.findings.sources import hospital_table as _hospital_table
from tetkik.lab.findings.sources import mimic as _mimic
from tetkik.lab.findings.sources import nih as _nih
from tetkik.lab.findings.sources import vindr as _vindr
from tetkik.lab.findings.sources.label_coverage import KnownRule, parse_rule, read_rules
from tetkik.lab.findings.sources.rows import LeftOut, Rows
from tetkik.lab.findings.sources.spec import Reading, SourceSpec
from tetkik.lab.findings.sources.spec import parse_spec as _parse_spec

_Reader = Callable[[SourceSpec, Reading], Rows]
_KINDS: Mapping[str, tuple[_Reader, Mapping[str, tuple[str, ...]]]] = {
    "nih": (_nih.read_nih, _nih.OPTIONS),
    "chexpert": (_chexpert.read_chexpert, _chexpert.OPTIONS),
    "mimic": (_mimic.read_mimic, _mimic.OPTIONS),
    "vindr": (_vindr.read_vindr, _vindr.OPTIONS),
    "csv": (_hospital_table.read_listing, _hospital_table.OPTIONS),
    "folder": (_folder.read_folder, _folder.OPTIONS),
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
