"""The page about security names every requirement of ASVS level 2 once, and only tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
# How many requirements of level 2 each section has, and which of its numbers are deleted or of level 3 alone.
SECTIONS = {
    "1.1": (7, ()), "1.2": (4, ()), "1.4": (5, (2, 3)), "1.5": (4, ()), "1.6": (4, ()), "1.7": (2, ()),
    "1.8": (2, ()), "1.9": (2, ()), "1.10": (1, ()), "1.11": (2, ()), "1.12": (2, (1,)), "1.14": (6, ()),
    "2.1": (12, ()), "2.2": (3, ()), "2.3": (3, ()), "2.4": (6, ()), "2.5": (7, ()), "2.6": (3, ()),
    "2.7": (6, ()), "2.8": (7, ()), "2.9": (3, ()), "2.10": (4, ()),
    "3.1": (1, ()), "3.2": (4, ()), "3.3": (4, ()), "3.4": (5, ()), "3.5": (3, ()), "3.7": (1, ()),
    "4.1": (5, (4,)), "4.2": (2, ()), "4.3": (3, ()),
    "5.1": (5, ()), "5.2": (8, ()), "5.3": (10, ()), "5.4": (3, ()), "5.5": (4, ()),
    "6.1": (3, ()), "6.2": (6, ()), "6.3": (2, ()), "6.4": (2, ()),
    "7.1": (4, ()), "7.2": (2, ()), "7.3": (4, (2,)), "7.4": (3, ()),
    "8.1": (4, ()), "8.2": (3, ()), "8.3": (8, ()),
    "9.1": (3, ()), "9.2": (4, ()),
    "10.2": (2, ()), "10.3": (3, ()),
    "11.1": (8, ()),
    "12.1": (3, ()), "12.2": (1, ()), "12.3": (6, ()), "12.4": (2, ()), "12.5": (2, ()), "12.6": (1, ()),
    "13.1": (5, (2,)), "13.2": (6, (4,)), "13.3": (2, ()), "13.4": (2, ()),
    "14.1": (4, ()), "14.2": (6, ()), "14.3": (3, (1,)), "14.4": (7, ()), "14.5": (4, ()),
}  # fmt: skip
KINDS = ("Not applicable: ", "**Open**: ", "By design: ", "`tests/")


@cache
def names_in(file: str) -> frozenset[str]:
    if not (ROOT / file).is_file():
        return frozenset()
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_requirement_stands_there_once_in_its_order():
    expected = [
        f"{section}.{number}"
        for section, (last, left_out) in SECTIONS.items()
        for number in range(1, last + 1)
        if number not in left_out
    ]
    assert [number for number, _, _ in ROW.findall(PAGE)] == expected


def test_each_says_how():
    assert [row for row in ROW.findall(PAGE) if not row[2].startswith(KINDS)] == []


def test_every_test_that_is_named_exists():
    named = TEST.findall(PAGE)
    assert len(named) > 100
    missing = [
        f"{file}::{name}" for file, name in named if not (ROOT / file).is_file() or name not in names_in(file)
    ]
    assert not missing
    assert len(named) == PAGE.count("::"), "a test that is written in another way"


def test_the_figures_above_are_those_of_the_rows():
    cells = [cell for _, _, cell in ROW.findall(PAGE)]
    counts = [sum(cell.startswith(kind) for cell in cells) for kind in KINDS]
    said = re.search(
        r"(\d+) requirements: (\d+) shown by tests, (\d+) by design, (\d+) not applicable, (\d+) open", PAGE
    )
    assert said is not None
    assert [int(one) for one in said.groups()] == [len(cells), counts[3], counts[2], counts[0], counts[1]]
