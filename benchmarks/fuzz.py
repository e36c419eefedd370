"""Whatever reads input from outside, with changed input for an hour: crashes, hangs, other errors, memory.

    python benchmarks/fuzz.py [--minutes 60] [--seed 0] [--only NAME]... [--out build/fuzz]

The targets are those of `tests/fuzzing/targets.py` and the API, which schemathesis asks as a person of each
role and as nobody. The time is shared evenly. An input that is a finding is written to `--out` with its
traceback. As many targets are read at once as there are processors.
"""

from __future__ import annotations

import argparse
import base64
import logging
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.fuzzing.process import FuzzRun, fuzz
from tests.fuzzing.targets import TARGETS
from tests.records.kit import made_case, made_user
from tests.service.browser import serving
from tests.service.kit import make_context, opened_session
from tests.service.schema_runs import OWN_END, STREAMS, run_schemathesis, write_schema
from tetkik.values import Role

API = "api"
_EACH = 10**7
"""Numbers of dice between one seed and the next."""


def read(name: str, seed: int, seconds: float) -> FuzzRun:
    """One target for so long."""
    (run,) = fuzz([FuzzRun(name, first=seed * _EACH, seconds=seconds)])
    return run


def ask(seed: int, seconds: float) -> FuzzRun:
    """The API, as a person of each role and as nobody."""
    run, people = FuzzRun(API), (None, *Role)
    for place, role in enumerate(people):
        with tempfile.TemporaryDirectory(prefix="tetkik-fuzz-") as name:
            folder = Path(name)
            context = make_context(folder, requests_per_minute=10**6, sign_ins_per_minute=10**6)
            made_case(context.records, made_user(context.records, *Role))
            headers = {}
            if role is not None:
                cookie, csrf = opened_session(context, made_user(context.records, role))
                headers = {"Cookie": f"tetkik={cookie}", "X-CSRF-Token": csrf}
            with serving(context) as address:
                write_schema(folder, address)
                how = (
                    f"--max-time={seconds / len(people):.0f}",
                    f"--seed={seed}",
                    "--phases=examples,fuzzing,stateful",
                    "--max-examples=1000",
                    "--checks=not_a_server_error",
                )
                chosen = f"--exclude-path-regex={STREAMS}|{OWN_END}"
                if said := run_schemathesis(folder, address, headers, chosen, how=how):
                    run.findings[place] = f"as {role or 'nobody'}: {said}"
        run.done += 1
    return run


def show(run: FuzzRun, out: Path) -> None:
    """Print one line, and keep what was found."""
    for number, said in run.findings.items():
        out.mkdir(parents=True, exist_ok=True)
        stem = out / f"{re.sub(r'[^a-z]+', '-', run.name)}-{number}"
        stem.with_suffix(".txt").write_text(said, "utf-8")
        if run.name != API:
            stem.with_suffix(".bin").write_bytes(base64.b64decode(run.inputs[number]))
    taken = f"{run.taken} taken, longest {run.longest:.2f} s, {run.grown >> 20} MiB more"
    what = f"{run.done} roles" if run.name == API else f"{run.done} inputs, {taken}"
    print(f"{run.name}: {what}; {len(run.findings)} findings", flush=True)


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60, help="All targets together.")
    parser.add_argument("--seed", type=int, default=0, help="Another one makes other inputs.")
    parser.add_argument("--only", action="append", choices=[*TARGETS, API], help="A target; may be repeated.")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"), help="For inputs that are findings.")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    names = given.only or [API, *TARGETS]
    workers = min(len(names), os.cpu_count() or 1)
    seconds = 60 * given.minutes * workers / len(names)
    runs: list[FuzzRun] = []
    with ThreadPoolExecutor(workers) as pool:
        work = [
            pool.submit(ask, given.seed, seconds)
            if name == API
            else pool.submit(read, name, given.seed, seconds)
            for name in names
        ]
        for one in as_completed(work):
            runs.append(one.result())
            show(runs[-1], given.out)
    inputs = sum(run.done for run in runs if run.name != API)
    found = sum(len(run.findings) for run in runs)
    most = max(run.grown for run in runs) >> 20
    cells = {"reached": judged(f"{found} findings", met=not found) if found else "nothing"}
    count = f"{inputs} inputs of {len(runs)} targets in {given.minutes:.0f} minutes, seed {given.seed}"
    record("reading-room/fuzzing", {**cells, "n": f"{count}; at most {most} MiB more"})
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
