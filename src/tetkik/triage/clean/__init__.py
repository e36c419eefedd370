"""Files of any kind into one clean table of complaints: the work behind `tetkik triage clean`."""

from __future__ import annotations

from tetkik.triage.clean.aliases import Departments, departments
from tetkik.triage.clean.mask import Found, Masked, Personal, find_personal, mask
from tetkik.triage.clean.pipeline import Options, clean_files
from tetkik.triage.clean.rows import Columns, Reason, Repair
from tetkik.triage.clean.summary import Summary

__all__ = [
    "Columns",
    "Departments",
    "Found",
    "Masked",
    "Options",
    "Personal",
    "Reason",
    "Repair",
    "Summary",
    "clean_files",
    "departments",
    "find_personal",
    "mask",
]
