"""How long the master key's replacement takes, and how long somebody who saves meanwhile waits for it.

    python benchmarks/key_rotation.py [--cases 100000] [--repeat 5] [--database sqlite postgresql]

A synthetic database (`worklist_database.py`: a patient for each case, sealed identities and words) gets a new
master key again and again; meanwhile another process admits one patient after another. Both lie on
this machine's disk; PostgreSQL is the server of the tests, which does not wait for it, SQLite does.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import record
from tests.records.kit import made_records
from tests.records.postgres import Cluster
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.lifecycle.key_rotation import rotate_master_key
from tetkik.values import Actor
from worklist_database import fill


class Admitting:
    """Somebody at the desk: admits one patient after another until stopped.

    Attributes:
        seconds: that each took.
    """

    def __init__(self, records: Records, actor: Actor) -> None:
        self.seconds: list[float] = []
        self._records, self._actor = records, actor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Admitting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.02):
            begin = time.perf_counter()
            with self._records.write(self._actor) as tx:
                patients.create(tx, Person("Gülçin ŞAHİN", number="H-1"))
            self.seconds.append(time.perf_counter() - begin)


def measure(url: str | None, cases: int, repeat: int) -> tuple[list[float], float, int]:
    """Seconds of each replacement, the longest wait at the desk, and how many patients came meanwhile."""
    folder = Path(tempfile.mkdtemp(prefix="tetkik-"))
    try:
        records, desk = made_records(folder, url), made_records(folder, url)
        actor = fill(records, cases)
        seconds = []
        with Admitting(desk, actor) as admitting:
            for _ in range(repeat):
                begin = time.perf_counter()
                rotate_master_key(records)
                seconds.append(time.perf_counter() - begin)
        records.close()
        desk.close()
        return seconds, max(admitting.seconds), len(admitting.seconds)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Print a line for each database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"])
    chosen = parser.parse_args()
    times = []
    for name in chosen.database:
        cluster = Cluster() if name == "postgresql" else None
        try:
            url = cluster.fresh() if cluster is not None else None
            seconds, longest, came = measure(url, chosen.cases, chosen.repeat)
        finally:
            if cluster is not None:
                cluster.stop()
        times.append(f"{statistics.median(seconds):.2g} s ({max(seconds):.2g} s)")
        print(
            f"{name}: {chosen.cases:,} patients, n={chosen.repeat}: "
            f"median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s; "
            f"longest wait of {came} admissions meanwhile {longest:.2f} s"
        )
    if len(times) > 1:
        record("reading-room/master-key", {"reached": "; ".join(times)})


if __name__ == "__main__":
    main()
