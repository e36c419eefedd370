"""The data set of invented complaints: whole, well-formed, and counted truly by its card."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from tetkik.values import DEPARTMENTS, UrgencyLevel

FOLDER = Path(__file__).parent.parent / "data" / "invented-complaints"
FILES = ("complaints.csv", "judges-development.csv", "judges-held-out.csv", "short-phrases.csv")


def rows_of(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", FILES)
def test_every_row_is_well_formed(name):
    rows = rows_of(name)
    assert len({row["id"] for row in rows}) == len(rows) == len({row["text"] for row in rows})
    for row in rows:
        assert row["level"] in {level.value for level in UrgencyLevel}, row["id"]
        assert set(row["departments"].split(";")) <= set(DEPARTMENTS), row["id"]
        assert row["ill"] in {"self", "child", "relative", "other"} and row["trap"] in {"0", "1"}, row["id"]
        assert not re.search(r"\d{11}|05\d{9}|@\w", row["text"]), row["id"]  # no number of a person


def test_no_writer_and_no_text_stands_on_both_sides():
    rows = [*rows_of("complaints.csv"), *rows_of("short-phrases.csv")]
    sides: dict[str, set[str]] = {row["writer"]: set() for row in rows}
    for row in rows:
        sides[row["writer"]].add(row["split"])
    assert all(len(side) == 1 for side in sides.values()) and {"train", "test"} == set().union(
        *sides.values()
    )
    texts = [{row["text"] for row in rows_of(name)} for name in FILES]
    assert len(set().union(*texts)) == sum(len(part) for part in texts)


def test_presentations_are_those_that_are_named():
    known = {row["id"]: row["level"] for row in rows_of("presentations.csv")}
    for row in rows_of("complaints.csv"):
        # A trap mentions the presentation of an emergency and is green itself.
        assert row["level"] == known[row["presentation"]] or (row["trap"], row["level"]) == ("1", "yesil")


def test_the_card_counts_truly():
    card = (FOLDER / "README.md").read_text("utf-8")
    told = [
        tuple(int(cell.replace(",", "")) for cell in found.groups())
        for found in re.finditer(r"^\| `[^|]*\.csv`[^|]*" + r"\| ([\d,]+) " * 5 + r"\|$", card, re.MULTILINE)
    ]
    complaints = rows_of(FILES[0])
    parts = [[row for row in complaints if row["split"] == split] for split in ("train", "test")]
    short = [[row for row in rows_of(FILES[3]) if row["split"] == split] for split in ("train", "test")]
    counted = []
    for part in (*parts, *short, rows_of(FILES[1]), rows_of(FILES[2])):
        levels = Counter(row["level"] for row in part)
        traps = sum(row["trap"] == "1" for row in part)
        counted.append((len(part), *(levels[name] for name in ("kirmizi", "sari", "yesil")), traps))
    assert told == counted
