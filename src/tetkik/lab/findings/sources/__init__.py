"""Public data sets and a hospital's own tables, each read by an adapter into the same columns.

- `nih`: NIH ChestX-ray14
- `chexpert`: CheXpert
- `mimic`: MIMIC-CXR-JPG
- `vindr`: VinDr-CXR
- `csv`: a table of the user's own, labels in one column or in one a label
- `parquet`: such a table as Parquet or as a folder of `datasets`, with the images inside
- `folder`: a folder a class
"""

from tetkik.lab.findings.sources.files import Reading, SourceSpec
from tetkik.lab.findings.sources.kinds import parse_spec, read_rows, table_spec
from tetkik.lab.findings.sources.label_coverage import KnownRule, parse_rule, read_rules
from tetkik.lab.findings.sources.rows import LeftOut, Rows

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
    "table_spec",
]
