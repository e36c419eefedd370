"""Worker, service and PostgreSQL ended with `kill -9`, connections cut, a disk full, while people work.

    python benchmarks/fleet_chaos.py [--rounds 300] [--workers 2] [--seed 0]

Two people upload, save and sign through `tetkik serve`, which reads no image itself; workers of their own do,
over one PostgreSQL. Each round is one fault, mended at once, as systemd would. In the end everything that was
acknowledged must be there once and whole, with the chain of the audit trail. A recovery is the time from the
fault until the next film is signed: its upload, its reading and its signature.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import record
from tests.fleet.fleet import Fleet
from tests.records.kit import made_records
from tests.service.chaos import chaos

_AT_ONCE = 20
_RECOVERY_SECONDS = 30.0


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=300, help="How many in all.")
    parser.add_argument("--workers", type=int, default=2, help="Processes that read images.")
    parser.add_argument("--seed", type=int, default=0, help="Of the moments.")
    given = parser.parse_args()
    rounds = signed = 0
    took: dict[str, list[float]] = defaultdict(list)
    faults: list[str] = []
    while rounds < given.rounds:
        begin = time.monotonic()
        with (
            tempfile.TemporaryDirectory(prefix="tetkik-chaos-") as name,
            Fleet(Path(name), given.workers) as fleet,
        ):
            made_records(Path(name), fleet.url).close()
            fleet.start()
            outcome = chaos(
                Path(name),
                min(_AT_ONCE, given.rounds - rounds),
                seed=given.seed + rounds,
                url=fleet.url,
                settings=fleet.settings,
                faults=fleet.faults(),
            )
        rounds += outcome.kills
        signed += sum(course.signed for course in outcome.courses)
        faults += outcome.faults
        for fault in outcome.faults:
            print(fault)
        for kind, seconds in outcome.recoveries.items():
            took[kind] += seconds
        kinds = ", ".join(
            f"{kind} {len(took[kind])} (longest {max(took[kind]):.1f} s)" for kind in sorted(took)
        )
        seconds_all = time.monotonic() - begin
        print(
            f"{rounds} rounds: {kinds}; {signed} signed; {len(faults)} faults ({seconds_all:.0f} s)",
            flush=True,
        )
    longest = max(max(seconds) for seconds in took.values())
    missed = bool(faults) or longest > _RECOVERY_SECONDS
    cell = f"{len(faults) or 'nothing'}; longest recovery {longest:.0f} s"
    record("fleet/chaos", {"reached": f"**{cell}, missed**" if missed else cell, "n": f"{rounds} rounds"})
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
