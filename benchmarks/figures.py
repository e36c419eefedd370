"""Write a measured figure into docs/figures.json, from which the tables of the README and the docs are made.

A benchmark calls `record` where it prints a final figure. The file changes only where the environment
variable RECORD_FIGURES is set, so that a trial run on a busy machine leaves it alone:

    RECORD_FIGURES=1 python benchmarks/triage_int8.py
    python docs/generate.py
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent / "docs" / "figures.json"


def record(name: str, values: Mapping[str, str]) -> None:
    """Keep what was measured.

    Args:
        name: `table/figure`, such as `urgency/kirmizi-recall`.
        values: the texts of its cells by column, such as `{"reached": "0.902", "n": "41"}`; the cells of
            other columns stay as they are.

    Raises:
        KeyError: the file has no such figure, or its table no such column.
    """
    content = json.loads(FILE.read_text("utf-8"))
    table, figure = find(content, name)
    for column, text in values.items():
        if column not in table["columns"][1:]:
            raise KeyError(f"{name}: {column}")
        figure["values"][column] = text
    if os.environ.get("RECORD_FIGURES"):
        figure["date"] = datetime.date.today().isoformat()
        FILE.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def find(content: dict[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The table and the figure that `name` means.

    Raises:
        KeyError: there is none.
    """
    for table in content["tables"]:
        for figure in table["figures"]:
            if name == f"{table['id']}/{figure['id']}":
                return table, figure
    raise KeyError(name)


def judged(text: str, *, met: bool) -> str:
    """`text` as a cell; marked where it misses its goal."""
    return text if met else f"**{text}, missed**"


def interval(low: float, high: float, digits: int = 3) -> str:
    """Both ends of an interval as a cell."""
    return f"{low:.{digits}f} to {high:.{digits}f}"


def instructions() -> str:
    """The widest int8 instructions that the processor names (Linux)."""
    file = Path("/proc/cpuinfo")
    flags = set(file.read_text().split()) if file.is_file() else set()
    for flag, name in (
        ("amx_int8", "AMX int8"),
        ("avx512_vnni", "AVX-512 VNNI"),
        ("avx_vnni", "AVX VNNI"),
        ("avx2", "AVX2 without VNNI"),
    ):
        if flag in flags:
            return name
    return "instructions unknown"
