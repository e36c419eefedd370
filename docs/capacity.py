"""The tables of docs/scale.md: figures of docs/figures.json taken to a hospital, a group, a country."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from figure_tables import FILE, ROOT, Table

PAGE = ROOT / "docs" / "scale.md"
LEVELS = {"a hospital": 150_000, "a group": 3_000_000, "a country": 300_000_000}
"""Studies a year."""
WEEKDAYS, BUSIEST_HOUR, LOADED = 280, 0.10, 0.6
"""Weekdays that hold a year's studies; the share of a day in its busiest hour; how far cores are loaded."""
MACHINE_CORES = 16
FILM_THREADS = 2


@dataclass(frozen=True, slots=True)
class Modality:
    """A kind of study as it is assumed: its share, its images, their megabytes together."""

    name: str
    share: float
    images: int
    megabytes: float
    films: bool = False


MODALITIES = (
    Modality("radiographs", 0.50, 2, 20, films=True),
    Modality("CT", 0.25, 400, 200),
    Modality("MR", 0.12, 400, 60),
    Modality("ultrasound", 0.08, 30, 40),
    Modality("mammography", 0.05, 4, 100, films=True),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds, bytes and rates of one image or case, as the benchmarks found them."""

    film_core_seconds: float
    slice_core_seconds: float
    received_megabytes: float
    case_kilobytes: float
    case_rows: float
    case_entries: float

    def core_seconds(self, kind: Modality) -> float:
        """Of a study, from its arrival to its draft."""
        return kind.images * (self.film_core_seconds if kind.films else self.slice_core_seconds)


def measured() -> Measured:
    """What docs/figures.json has."""
    tables = {table["id"]: table["figures"] for table in json.loads(FILE.read_text("utf-8"))["tables"]}

    def numbers(table: str, figure: str, pattern: str) -> tuple[float, ...]:
        (reached,) = (one["values"]["reached"] for one in tables[table] if one["id"] == figure)
        found: Any = re.search(pattern, reached)
        return tuple(float(number.replace(",", "")) for number in found.groups())

    (film,) = numbers("reading-room", "upload", r"\((\d+) ms\)")
    upload, reading = numbers("reading-room", "ct-slices", r"upload (\d+) s, reading (\d+) s")
    (received,) = numbers("connections", "receive-1", r"(\d+) MB/s")
    size, rows, entries = numbers("scale", "database-case", r"([\d.]+) kB, (\d+) rows, (\d+) entries")
    return Measured(FILM_THREADS * film / 1000, (upload + reading) / 300, received, size, rows, entries)


def pages(table: Table) -> dict[str, str]:
    """The two tables by their names."""
    known = measured()
    kinds = [
        (
            kind.name,
            f"{kind.share:.0%}",
            f"{kind.images}",
            f"{kind.megabytes:g} MB",
            f"{known.core_seconds(kind):.1f} s",
        )
        for kind in MODALITIES
    ]
    megabytes = sum(kind.share * kind.megabytes for kind in MODALITIES)
    core = sum(kind.share * known.core_seconds(kind) for kind in MODALITIES)
    kinds.append(("all, mean", "100%", "", f"{megabytes:.0f} MB", f"{core:.1f} s"))
    columns = []
    for studies in LEVELS.values():
        an_hour = studies / WEEKDAYS * BUSIEST_HOUR
        cores = an_hour * core / 3600 / LOADED
        stream = an_hour * megabytes / 3600
        columns.append(
            (
                f"{studies:,}",
                f"{an_hour:,.0f}",
                f"{cores:,.1f}",
                f"{math.ceil(cores / MACHINE_CORES):,}",
                _rate(8 * stream),
                f"{math.ceil(stream / known.received_megabytes / LOADED)}",
                _bytes(studies * megabytes * 1e6),
                _bytes(studies * known.case_kilobytes * 1e3),
                f"{studies * known.case_rows / 1e6:,.0f} million",
                f"{an_hour / 3600 * known.case_entries:,.1f}",
            )
        )
    titles = (
        "studies a year",
        "studies in the busiest hour",
        f"cores for them, {LOADED:.0%} loaded",
        f"machines of {MACHINE_CORES} cores",
        "network in that hour",
        "receivers",
        "images a year",
        "database a year",
        "rows a year",
        "entries of the trail a second",
    )
    rows = [(title, *(column[place] for column in columns)) for place, title in enumerate(titles)]
    return {
        "modalities": table(("study", "share", "images", "size", "core-seconds"), kinds),
        "levels": table(("", *LEVELS), rows),
    }


def _rate(megabits: float) -> str:
    return f"{megabits:,.0f} Mbit/s" if megabits < 1000 else f"{megabits / 1000:,.1f} Gbit/s"


def _bytes(count: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e9:,.1f} GB"
