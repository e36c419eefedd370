"""Live triage at the desk: from a keystroke to the answer, at the server, over HTTP.

    python benchmarks/reception_triage.py [--data complaints.csv] [--keystrokes 3000] [--desks 4]

The service runs in a process of its own, as `tetkik serve` does it, with an empty SQLite database. Each
desk types complaints letter by letter and sends what the page sends after each letter; in truth the page
waits for a pause of 120 ms, so that far fewer are sent. Without `--data` the complaints are the examples of
the urgency rules and the answers to the questions. The time is that of the whole request at the client on
the same machine: connection kept alive, session looked up, model asked, page rendered.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import socket
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import judged, record

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

LIMIT_MS = 50.0


def serve(folder: Path, port: int, ready: Connection) -> None:
    """Start the service; gives its address and a signed-in session of the desk."""
    import uvicorn
    from sqlalchemy import select

    from tetkik.records.database import open_records
    from tetkik.records.people import sessions, users
    from tetkik.records.people.users import Profile
    from tetkik.records.schema import BrowserSession
    from tetkik.service.app import create_app
    from tetkik.service.kit.context import AppContext
    from tetkik.service.kit.logging import configure
    from tetkik.settings import Settings
    from tetkik.values import SYSTEM, Method, Role

    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())  # the log of every request, which nobody reads here
    configure()
    # No person types as fast as this asks.
    chosen = Settings(data_dir=folder, requests_per_minute=100_000)
    records = open_records(chosen)
    with records.write(SYSTEM) as tx:
        user_id = users.create(tx, "desk", Profile("Desk", roles=frozenset({Role.RECEPTION})))
        tx.session.flush()
        cookie = sessions.begin_session(tx, user_id, Method.PASSWORD)
        tx.session.flush()
        csrf = tx.session.scalars(select(BrowserSession.csrf)).one()
    ready.send((cookie, csrf))
    app = create_app(AppContext(records, chosen, secure=False), work=False)
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


def typed(texts: list[str], keystrokes: int, seed: int) -> list[str]:
    """What a desk sends: each text from its first letter to its last."""
    order = random.Random(seed)
    sent: list[str] = []
    while len(sent) < keystrokes:
        text = order.choice(texts)
        sent += [text[:end] for end in range(1, len(text) + 1)]
    return sent[:keystrokes]


def desk(address: str, cookie: str, csrf: str, prefixes: list[str]) -> list[float]:
    """Milliseconds of each request, one after the other."""
    import httpx

    took = []
    with httpx.Client(base_url=address, cookies={"tetkik": cookie}, headers={"X-CSRF-Token": csrf}) as client:
        for prefix in prefixes:
            start = time.perf_counter()
            answer = client.post("/reception/triage", data={"complaint": prefix, "asked": ""})
            took.append(1000 * (time.perf_counter() - start))
            answer.raise_for_status()
    return took


def built_in() -> list[str]:
    """Complaints that come with the program."""
    from tetkik.triage.predict import questions
    from tetkik.triage.urgency.rules import load_rules

    answers = [answer.sentence for question in questions() for answer in question.answers]
    return [rule.example for rule in load_rules().rules if rule.example] + answers


def complaints(path: Path | None) -> list[str]:
    """The complaints that are typed."""
    if path is None:
        return built_in()
    from tetkik.lab.triage.data import read_complaints

    return [text for text in read_complaints(path).texts if text.strip()]


def report(label: str, took: list[float]) -> float:
    """Print one line of figures; gives the 95th percentile."""
    took = sorted(took)
    p95 = took[int(0.95 * len(took))]
    print(
        f"{label:<22} n={len(took):>6}  p50 {statistics.median(took):6.1f} ms  p95 {p95:6.1f} ms  "
        f"p99 {took[int(0.99 * len(took))]:6.1f} ms  worst {took[-1]:6.1f} ms"
    )
    return p95


def wait_for(port: int) -> None:
    """Until the server takes connections."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the server did not start")


def main() -> None:
    """Print the figures; exit status 1 where one desk's p95 is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a table with a column text")
    parser.add_argument("--keystrokes", type=int, default=3000, help="of each desk")
    parser.add_argument("--desks", type=int, default=4, help="that type at the same time, in the second run")
    arguments = parser.parse_args()
    texts = complaints(arguments.data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    with TemporaryDirectory(prefix="tetkik-benchmark-") as folder:
        server = context.Process(target=serve, args=(Path(folder), port, there), daemon=True)
        server.start()
        try:
            cookie, csrf = here.recv()
            wait_for(port)
            address = f"http://127.0.0.1:{port}"
            desk(address, cookie, csrf, typed(texts, 50, 0))  # the model is loaded with the first
            letters = statistics.mean(len(text) for text in texts)
            print(f"{len(texts)} complaints of {letters:.0f} letters on average; {os.cpu_count()} cores")
            p95 = report("one desk", desk(address, cookie, csrf, typed(texts, arguments.keystrokes, 1)))
            with ThreadPoolExecutor(arguments.desks) as pool:
                runs = [
                    pool.submit(desk, address, cookie, csrf, typed(texts, arguments.keystrokes // 4, seed))
                    for seed in range(arguments.desks)
                ]
                together = [one for run in runs for one in run.result()]
            all_p95 = report(f"{arguments.desks} desks at once", together)
            for row, value, n in (("", p95, arguments.keystrokes), ("-four", all_p95, len(together))):
                cells = {"reached": judged(f"{value:.0f} ms", met=value <= LIMIT_MS), "n": f"{n:,}"}
                record(f"reading-room/live-triage{row}", cells)
        finally:
            server.terminate()
            server.join()
    if p95 >= LIMIT_MS:
        raise SystemExit(f"p95 of one desk is {p95:.1f} ms, and {LIMIT_MS:.0f} ms were asked for")


if __name__ == "__main__":
    main()
