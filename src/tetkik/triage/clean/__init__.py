"""Files of any kind into one clean table of complaints: the work behind `tetkik triage clean`."""

from __future__ import annotations

from tetkik.triage.clean.aliases import Departments, departments
from tetkik.triage.clean.pipeline import Options, clean_files
from tetkik.triage.clean.rows import Columns, Reason, Repair
from tetkik.triage.clean.summary import Summary

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
