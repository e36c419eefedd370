"""Memory of a worker over 10,000 images, each decoded, read, drafted and stored.

    python benchmarks/fleet_memory.py [--images 10000] [--side 512]

The memory is that of the worker's process, taken after each portion; the first tenth warms it up. The studies
come by DICOM, 250 at a time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from fleet_load import Sender, installed, studies
from tests.fleet.fleet import resident_bytes

_PORTION = 250
_GROWTH = 1.1


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000, help="How many.")
    parser.add_argument("--side", type=int, default=512, help="Pixels a side.")
    given = parser.parse_args()
    held: list[int] = []
    with tempfile.TemporaryDirectory(prefix="tetkik-fleet-") as name, installed(Path(name), 1) as made:
        films, sent = studies(given.side), 0
        sender = Sender(made.port, next(films))
        while sent < given.images:
            for one in islice(films, min(_PORTION, given.images - sent)):
                sender.send(one)
                sent += 1
            made.wait_done(sent, 600)
            held.append(resident_bytes(made.fleet.processes[0].pid))
        sender.close()
        faults = made.faults(sent)
    tenth = max(1, len(held) // 10)
    growth = max(held[-tenth:]) / max(held[tenth : 2 * tenth] or held)
    megabytes = [max(held[place : place + tenth]) // 2**20 for place in range(0, len(held), tenth)]
    print(f"MB by tenths: {megabytes}; {growth:.2f} times; {len(faults)} faults")
    met = growth <= _GROWTH and not faults
    record("fleet/memory", {"reached": judged(f"{growth:.2f} times", met=met), "n": f"{sent} images"})
    raise SystemExit(not met)


if __name__ == "__main__":
    main()
