"""`tetkik listen` killed, cut, full, hostile, while images come: nothing acknowledged lost, nothing doubled.

    python benchmarks/dicom_chaos.py [--rounds 100] [--seed 0]

Each round is one kind of fault: an acceptor or the whole listener ended with SIGKILL, a connection cut, a
disk below its reserve, an unknown AE title, bytes that are no PDU, a caller that goes silent. A modality
sends four images meanwhile and repeats what was not acknowledged. Every fault has to say exactly one line.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import record
from tests.integrations.dicom.chaos import KINDS, chaos


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=100, help="How many in all.")
    parser.add_argument("--seed", type=int, default=0, help="Of moments and sizes.")
    given = parser.parse_args()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tetkik-chaos-") as folder:
        outcome = chaos(Path(folder), given.rounds, given.seed)
    kinds = ", ".join(f"{kind} {outcome.kinds[kind]}" for kind in KINDS)
    print(
        f"{outcome.rounds} rounds ({kinds}), {outcome.acknowledged} images acknowledged, {outcome.refused} "
        f"refusals; {len(outcome.faults)} faults ({time.monotonic() - begin:.0f} s)"
    )
    for fault in outcome.faults:
        print(fault)
    cells = {"reached": f"**{len(outcome.faults)} faults, missed**" if outcome.faults else "nothing"}
    record("connections/chaos", {**cells, "n": f"{outcome.rounds} rounds, {outcome.acknowledged} images"})
    raise SystemExit(bool(outcome.faults))


if __name__ == "__main__":
    main()
