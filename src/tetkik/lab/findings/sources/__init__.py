"""Public data sets and a hospital's own tables, each read by an adapter into the same columns.

- `nih`: NIH ChestX-ray14
- `chexpert`: CheXpert
- `mimic`: MIMIC-CXR-JPG
- `vindr`: VinDr-CXR
- `csv`: a table of the user's own, labels in one column or in one a label
- `folder`: a folder a class
"""

from __future__ import annotations

from collections.abc import Mapping

from tetkik.lab.findings.sources.chexpert import ADAPTER as _CHEXPERT
from tetkik.lab.findings.sources.folder import ADAPTER as _FOLDER
from tetkik.lab.findings.sources.hospital_table import ADAPTER as _LISTING
from tetkik.lab.findings.sources.label_coverage import KnownRule, parse_rule, read_rules
from tetkik.lab.findings.sources.mimic import ADAPTER as _MIMIC
from tetkik.lab.findings.sources.nih import ADAPTER as _NIH
from tetkik.lab.findings.sources.rows import LeftOut, Rows
from tetkik.lab.findings.sources.spec import Adapter, Reading, SourceSpec
from tetkik.lab.findings.sources.spec import parse_spec as _parse_spec
from tetkik.lab.findings.sources.vindr import ADAPTER as _VINDR

ADAPTERS: Mapping[str, Adapter] = {
    adapter.kind: adapter for adapter in (_NIH, _CHEXPERT, _MIMIC, _VINDR, _LISTING, _FOLDER)
}
"""Every kind of source by its name in a spec."""

__all__ = [
    "ADAPTERS",
    "Adapter",
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
    return _parse_spec(text, {kind: adapter.options for kind, adapter in ADAPTERS.items()})


def read_rows(spec: SourceSpec, how: Reading | None = None) -> Rows:
    """Read one source with the adapter of its kind."""
    return ADAPTERS[spec.kind].read(spec, how or Reading())
