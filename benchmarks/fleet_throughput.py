"""Studies an hour from the DICOM port to the stored result, with one worker and with two.

    python benchmarks/fleet_throughput.py [--studies 300] [--side 2000] [--compressed] [--workers 1,2]
                                          [--json FILE]

Each study is one radiograph, sent over one association to `tetkik listen`, imported, read by `tetkik worker`
(one image at once), drafted and stored in PostgreSQL. Beside it stands the bare rate: the same files decoded
and put through the quality gate, the network and its heatmap in a plain loop, in a process for each core at
once, without records.
What counts is the processor time of the workers with their decoders; receiver and database are told apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ["TETKIK_THREADS"] = "1"

from figures import judged, record
from fleet_load import QUIET_SECONDS, Sender, installed, studies
from tetkik.imaging.read import read_bytes
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.workflow.reports import analyse_image

SHOWN = ("worker", "listener", "database", "sender")
_ASKED = 0.85


def bare(side: int, many: int, *, compressed: bool) -> float:
    """Processor seconds of one image, decoded and looked at, while every core does the same."""
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        return fmean(pool.map(_bare, [side] * cores, [many] * cores, [compressed] * cores))


def _bare(side: int, many: int, compressed: bool) -> float:
    contents = []
    for one in islice(studies(side, compressed=compressed), 4):
        packed = BytesIO()
        one.save_as(packed)
        contents.append(packed.getvalue())

    def look(content: bytes) -> None:
        analyse_image(read_bytes(content, "x"), "x", model=settings().findings_model, language=Language.TR)

    for content in contents:
        look(content)
    begin = time.process_time()
    for number in range(many):
        look(contents[number % len(contents)])
    return (time.process_time() - begin) / many


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=300, help="How many are sent each time.")
    parser.add_argument("--side", type=int, default=2000, help="Pixels a side.")
    parser.add_argument("--compressed", action="store_true", help="JPEG 2000 in the place of plain pixels.")
    parser.add_argument("--workers", default="1,2", help="Numbers of worker processes.")
    parser.add_argument("--json", type=Path, help="A file for what was measured.")
    given = parser.parse_args()
    alone = bare(given.side, min(given.studies, 50), compressed=given.compressed)
    print(f"bare: {alone * 1000:.0f} ms of processor time an image, {3600 / alone:.0f} an hour and core")
    rows, cells, met = [], [], True
    for workers in map(int, given.workers.split(",")):
        with (
            tempfile.TemporaryDirectory(prefix="tetkik-fleet-") as name,
            installed(Path(name), workers) as made,
        ):
            films = studies(given.side, compressed=given.compressed)
            sender = Sender(made.port, first := next(films))
            sender.send(first)
            made.wait_done(1, 120)  # everything is loaded
            before = made.cpu()
            begin = time.monotonic()
            for one in islice(films, given.studies):
                sender.send(one)
            sent = time.monotonic() - begin
            made.wait_done(given.studies + 1, 60 + 10 * given.studies)
            seconds = time.monotonic() - begin
            after = made.cpu()
            sender.close()
            faults = made.faults(given.studies + 1)
        spent = {name: (after[name] - before[name]) / given.studies for name in before}
        cpu, listener, database, sender = (spent[f"{name}_cpu"] for name in SHOWN)
        rate, share = given.studies / seconds * 3600, alone / cpu
        met &= share >= _ASKED and not faults
        rows.append(
            {"workers": workers, "studies": given.studies, "seconds": seconds, "studies_an_hour": rate,
             "sent_seconds": sent, "quiet_seconds": QUIET_SECONDS, **spent,
             "bare_cpu": alone, "share": share, "faults": faults}
        )  # fmt: skip
        cells.append(f"{workers}: {rate:.0f}, {share:.0%}")
        print(
            f"{workers} workers: {rate:.0f} an hour ({sent:.0f} s sent of {seconds:.0f} s); processor time "
            f"of an image: workers {cpu * 1000:.0f} ms ({share:.0%} of the bare rate), listener "
            f"{listener * 1000:.0f} ms, PostgreSQL {database * 1000:.0f} ms, sender {sender * 1000:.0f} ms; "
            f"{len(faults)} faults",
            flush=True,
        )
        for fault in faults:
            print(fault)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))
    cell = judged("; ".join(cells), met=met)
    name = "fleet/throughput-compressed" if given.compressed else "fleet/throughput"
    record(name, {"reached": cell, "n": f"{given.studies} studies, {given.side} pixels a side"})


if __name__ == "__main__":
    main()
