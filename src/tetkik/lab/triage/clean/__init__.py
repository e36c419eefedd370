"""Files of any kind into one clean table of complaints: the work behind `tetkik triage clean`."""

from __future__ import annotations

from tetkik.lab.triage.clean.aliases import Departments, departments
from tetkik.lab.triage.clean.pipeline import Options, clean_files
from tetkik.lab.triage.clean.rows import Columns, Reason, Repair
from tetkik.lab.triage.clean.summary import Summary

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
