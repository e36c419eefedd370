"""Writes `tests/durations.json`, which says what tests are slow, of reports of runs on two cores.

    python tests/durations.py all.xml [fast.xml]

pytest writes a report with `--junitxml=all.xml`. Seconds are of each test function, all its parameters and
what is made for it together, and the most of the reports: what a slow test makes for others is made by one of
them where it does not run. What takes under a second is left out.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

FILE = Path(__file__).with_suffix(".json")


def durations(reports: list[Path]) -> dict[str, float]:
    """Seconds of each test function, by its name as pytest writes it."""
    most: dict[str, float] = {}
    for report in reports:
        seconds: defaultdict[str, float] = defaultdict(float)
        for case in ElementTree.parse(report).iter("testcase"):
            path = case.attrib["classname"].replace(".", "/") + ".py"
            seconds[f"{path}::{case.attrib['name'].partition('[')[0]}"] += float(case.attrib["time"])
        most |= {test: max(taken, most.get(test, 0)) for test, taken in seconds.items()}
    return {test: round(taken, 1) for test, taken in sorted(most.items()) if taken >= 1}


if __name__ == "__main__":
    FILE.write_text(json.dumps(durations([Path(name) for name in sys.argv[1:]]), indent=0) + "\n", "utf-8")
