"""`kill -9` of a server at random moments of upload, inference, save and sign: what is left of it.

    python benchmarks/service_chaos.py [--kills 200] [--seed 0]

Each round is a new server (`tetkik serve`), two people at work, and twenty kills, each at a random
moment of a step that somebody is at. At the end of a round everything that was acknowledged must be there
once and whole: images byte for byte, one run, one report and one signature each, the audit trail's chain, and
no file that nobody names.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import record
from tests.service.chaos import STEPS, chaos

_ROUND = 20


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="How many in all.")
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    given = parser.parse_args()
    kills = films = signed = 0
    interrupted: Counter[str] = Counter()
    faults: list[str] = []
    while kills < given.kills:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tetkik-chaos-") as folder:
            outcome = chaos(Path(folder), min(_ROUND, given.kills - kills), seed=given.seed + kills)
        kills += outcome.kills
        films += len(outcome.courses)
        signed += sum(course.signed for course in outcome.courses)
        interrupted.update(outcome.interrupted)
        faults += outcome.faults
        steps = ", ".join(f"{step} {interrupted[step]}" for step in STEPS)
        print(
            f"{kills} kills, {films} films, {signed} signed; under way at a kill: {steps}; "
            f"{len(faults)} faults ({time.monotonic() - begin:.0f} s)",
            flush=True,
        )
    for fault in faults:
        print(fault)
    cells = {"reached": f"**{len(faults)} faults, missed**" if faults else "nothing"}
    record("reading-room/chaos", {**cells, "n": f"{kills} kills, {signed} films signed"})
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
