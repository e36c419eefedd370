"""Whatever reads input from outside takes it or refuses it, in bounded time and memory.

These are the first inputs of each target; `benchmarks/fuzz.py` reads on for an hour.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzzing.operations import MOST
from tests.fuzzing.process import FuzzRun, fuzz
from tests.fuzzing.regex_steps import StepCounter
from tests.fuzzing.targets import TARGETS
from tests.fuzzing.text_readers import TEXT_READERS

MEBIBYTE = 1 << 20
IMAGES = ("images", "codestreams", "tags", "presentation states", "de-identification")
PIECES = (
    "ağrı yok ama ",
    "no effusion, ",
    "Dr. Ali ",
    "1 ",
    "a",
    "(0",
    "a.b@",
    "“x” ",
    "3 yaş ",
    " \n",
    "e1.",
    ",",
)
"""What is repeated until a text is long: each has cost somebody's pattern more than its length."""


@pytest.mark.parametrize("names", [IMAGES, tuple(TARGETS.keys() - set(IMAGES))], ids=["images", "others"])
def test_inputs_are_taken_or_refused(names):
    runs = fuzz([FuzzRun(name, count=TARGETS[name].examples) for name in sorted(names)])
    findings = {run.name: run.findings for run in runs if run.findings}
    assert not findings, json.dumps(findings, indent=1, ensure_ascii=False)
    for run in runs:
        assert run.done == TARGETS[run.name].examples
        assert run.grown < 500 * MEBIBYTE, run
        # Most of it is refused and something taken: else the changes are too coarse or too fine.
        if TARGETS[run.name].refusals:
            assert 0 < run.taken < run.done, run


def counts(requests: list[tuple[str, str]]) -> list[int]:
    program = [sys.executable, "-m", "tests.fuzzing.operations"]
    ran = subprocess.run(
        program,
        input=json.dumps(requests),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    found: list[int] = json.loads(ran.stdout)
    return found


def test_the_work_of_a_text_grows_with_its_length_alone():
    """Twice the text is twice the work, counted; three times leaves room for what begins once."""
    sizes = (200, 400)
    asked = [(name, (piece * size)[:size]) for name in TEXT_READERS for piece in PIECES for size in sizes]
    found = counts(asked)
    grown = {
        (name, text[:20]): round(second / first, 2)
        for (name, text), first, second in zip(asked[::2], found[::2], found[1::2], strict=True)
        if second > 2.5 * first or first >= MOST
    }
    assert not grown


@pytest.mark.parametrize(
    ("pattern", "text", "least", "most"),
    [
        (r"a+b", "b", 0.9, 2.1),
        (r"\d{1,3}\.", "1a", 1.7, 2.1),
        (r"\s+$", " ", 3.5, 4.5),  # from each space to the last one
        (r"(?:a|aa)+$", "a", 50, 10**9),
    ],
)
def test_the_counter_sees_what_a_pattern_costs(pattern, text, least, most):
    steps = []
    for size in (10, 20):
        counter = StepCounter(pattern)
        assert counter.count(text * size + "x", 0, size) is None or text == "b"
        steps.append(counter.steps)
    assert least < steps[1] / steps[0] < most
