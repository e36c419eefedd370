"""Files of any kind into one clean table of complaints: the work behind `tetkik triage clean`."""

from __future__ import annotations

from tetkik.lab.triage.clean.pipeline import Options, clean_files
from tetkik.lab.triage.clean.read import Columns, Reason, Repair
from tetkik.lab.triage.clean.summary import Summary
from tetkik.lab.triage.clean.text import Departments, departments

__all__ = [
    "Columns",
    "Departments",
    "Options",
    "Reason",
    "Repair",
    "Summary",
    "clean_files",
    "departments",
]
