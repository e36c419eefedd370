"""A day of 200 radiologists and 500 receptionists at once: how long their pages take, against an idle server.

    python benchmarks/load_day.py [--share 0.1] [--minutes 10] [--services 2] [--cases 10000] [--old SOURCE]

So many `tetkik serve` on one PostgreSQL (the server of the tests, which does not wait for the disk) have a
synthetic database (`worklist_database.py`) and reports to be signed. First one person of each kind works
alone, without a pause. Then all work at the pace of a day: a receptionist takes a patient every 3 minutes
(page, search, triage as they type, case, slip), a radiologist signs a report every 8 (worklist, reading page,
findings decided, signature with the password) and has the worklist open for a minute between two of them,
which follows the events and asks for its rows every 1.5 seconds at most. Everybody has a session, an address
and a stream of events of their own.

`--share` is the part of the people who work, for a machine whose cores cannot carry all: the people of this
program run on the same cores. Whatever is not answered as it should be is an error. The aim: none, and the
p95 of all pages within 3 times that of the idle server.

With `--old` the first of the services is of another version, which made the database: SOURCE is the folder
`src` of its checkout. So people work while a hospital goes from one version to the next.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.records.kit import made_records, made_user
from tests.records.postgres import Cluster
from tests.records.reports_kit import MadeReport, made_report
from tests.service.kit import make_context, opened_session
from tests.service.several import services
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.migrate import upgrade
from tetkik.records.people import passwords
from tetkik.records.schema import User
from tetkik.values import Actor, Role
from worklist_database import fill

_RADIOLOGISTS, _RECEPTIONISTS = 200, 500
_EACH_REPORT, _EACH_PATIENT, _AT_WORKLIST, _REFRESH = 480.0, 180.0, 60.0, 1.5
_ASKED = 3.0
_PASSWORD = "Sabah-0815-nöbet!"
_COMPLAINT = "Üç gündür öksürüyorum, ateşim 38,5 ve nefes alırken sağ yanım batıyor."
_SOMEBODY = Person("Gülçin ŞAHİN", birth_date="19700101")
_TYPED = 12
"""Letters between two questions of triage, which the page sends while one types."""
_SEEN = {200, 201, 204, 303}


class Measured:
    """Milliseconds by page, and what was not answered as it should be."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, list[float]] = {}
        self.errors: Counter[str] = Counter()

    @property
    def all(self) -> list[float]:
        return [one for times in self.milliseconds.values() for one in times]


class Worker:
    """Somebody with a browser: one of the services answers, by turns."""

    def __init__(self, addresses: list[str], number: int, cookie: str, csrf: str, measured: Measured) -> None:
        self.measured = measured
        self._number, self._addresses = number, addresses
        of = f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
        headers = {"Host": "localhost", "X-CSRF-Token": csrf, "X-Forwarded-For": of}
        self._client = httpx.AsyncClient(headers=headers, cookies={"tetkik": cookie}, timeout=60)

    async def ask(self, page: str, method: str, path: str, **given: Any) -> httpx.Response:
        """One request, whose time counts for `page`."""
        self._number += 1
        address = self._addresses[self._number % len(self._addresses)]
        begin = time.perf_counter()
        try:
            answer = await self._client.request(method, address + path, **given)
        except httpx.TransportError as fault:
            self.measured.errors[f"{page}: {type(fault).__name__}"] += 1
            raise
        self.measured.milliseconds.setdefault(page, []).append(1000 * (time.perf_counter() - begin))
        if answer.status_code not in _SEEN:
            self.measured.errors[f"{page}: {answer.status_code}"] += 1
        return answer

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Event]:
        """A stream of events; the event is set where something happened."""
        happened = asyncio.Event()

        async def follow() -> None:
            address = self._addresses[self._number % len(self._addresses)]
            async with self._client.stream("GET", f"{address}/api/v1/events") as stream:
                async for line in stream.aiter_lines():
                    if line.startswith("data"):
                        happened.set()

        task = asyncio.create_task(follow())
        try:
            yield happened
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, httpx.TransportError):
                await task
            await self._client.aclose()


async def take_patient(person: Worker, number: int) -> None:
    """A patient at the desk."""
    await person.ask("reception", "GET", "/reception")
    await person.ask("patient search", "POST", "/reception/patients", data={"words": "gülçin"})
    for end in range(_TYPED, len(_COMPLAINT) + _TYPED, _TYPED):
        await person.ask("triage", "POST", "/reception/triage", data={"complaint": _COMPLAINT[:end]})
    sent = {"name": "Gülçin ŞAHİN", "number": f"L-{number}", "complaint": _COMPLAINT, "once": f"l{number}"}
    opened = await person.ask("open a case", "POST", "/reception", data=sent)
    place = opened.headers.get("location", "").partition("?")[0]
    if not place:
        person.measured.errors["open a case: not opened"] += 1
        return
    await person.ask("case", "GET", place)
    await person.ask("slip", "GET", f"{place}/slip")


async def sign_report(person: Worker, made: MadeReport) -> None:
    """A report from the worklist to its signature."""
    await person.ask("worklist", "GET", "/worklist")
    await person.ask("claim", "POST", f"/read/{made.case_id}/claim")
    await person.ask("reading page", "GET", f"/read/{made.case_id}")
    draft = f"/api/v1/drafts/{made.id}"
    for _ in range(4):
        found = (await person.ask("draft", "GET", draft)).json()
        seen = {"If-Match": f'"{found["revision"]}"'}
        marks = [
            {
                "sentence": place,
                **{name: mark[name] for name in ("fault", "start", "end")},
                "decision": "kept",
            }
            for place, one in enumerate(found["sentences"])
            for mark in one["marks"]
            if mark["decision"] is None
        ]
        if labels := [one["label"] for one in found["blocking"] if one["label"]]:
            body = {"labels": labels}
            await person.ask("decide", "POST", f"{draft}/reviews/accepted", json=body, headers=seen)
        elif marks:
            await person.ask("decide", "POST", f"{draft}/decisions", json={"decisions": marks}, headers=seen)
        else:
            break
    sent = {"revision": found["revision"], "password": _PASSWORD}
    await person.ask("sign", "POST", f"/api/v1/reports/{made.id}/sign", json=sent)


async def receptionist(person: Worker, numbers: Iterator[int], until: float) -> None:
    """Patients, until the day is over."""
    async with person.listening():
        await _pause(random.uniform(0, _EACH_PATIENT), until)
        while time.monotonic() < until:
            await take_patient(person, next(numbers))
            await _pause(random.uniform(0.5, 1.5) * _EACH_PATIENT, until)


async def radiologist(person: Worker, reports: Iterator[MadeReport], until: float) -> None:
    """Reports, and between two of them the worklist."""
    async with person.listening() as happened:
        await _pause(random.uniform(0, _EACH_REPORT), until)
        while time.monotonic() < until:
            await sign_report(person, next(reports))
            leaves = min(until, time.monotonic() + _AT_WORKLIST)
            while time.monotonic() < leaves:
                happened.clear()
                await _pause(_REFRESH, leaves)
                if happened.is_set():
                    await person.ask("rows", "GET", "/worklist/rows")
            await _pause(random.uniform(0.5, 1.5) * (_EACH_REPORT - _AT_WORKLIST), until)


async def _pause(seconds: float, until: float) -> None:
    await asyncio.sleep(max(0.0, min(seconds, until - time.monotonic())))


def people(records: Records, role: Role, count: int) -> list[tuple[str, str]]:
    """Sessions of so many people, whose password is one."""
    hashed, context, found = passwords.hashed(_PASSWORD), make_context(records.folder, records), []
    for _ in range(count):
        actor: Actor = made_user(records, role)
        with records.write(actor) as tx:
            tx.session.get_one(User, actor.user_id).password_hash = hashed
        found.append(opened_session(context, actor))
    return found


async def day(
    addresses: list[str],
    desks: list[tuple[str, str]],
    readers: list[tuple[str, str]],
    reports: Iterator[MadeReport],
    turns: int,
    seconds: float,
) -> tuple[Measured, Measured]:
    """Of one person of each kind who works alone, and of all."""
    numbers = iter(range(10**9))
    alone, together = Measured(), Measured()
    one, other = (Worker(addresses, 0, *session, alone) for session in (desks[0], readers[0]))
    for turn in range(turns + 3):
        if turn == 3:  # what is loaded and compiled once
            alone.milliseconds.clear()
        await take_patient(one, next(numbers))
        await sign_report(other, next(reports))
        await other.ask("rows", "GET", "/worklist/rows")
    until = time.monotonic() + seconds
    work: list[Coroutine[Any, Any, None]] = [
        *(receptionist(Worker(addresses, n, *who, together), numbers, until) for n, who in enumerate(desks)),
        *(
            radiologist(Worker(addresses, n + len(desks), *who, together), reports, until)
            for n, who in enumerate(readers)
        ),
    ]
    for fault in await asyncio.gather(*work, return_exceptions=True):
        if fault is not None:
            together.errors[f"{type(fault).__name__}: went home"] += 1
    together.errors.update(alone.errors)
    return alone, together


def p95(values: list[float]) -> float:
    """One in twenty is slower."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else sum(values)


def measure(folder: Path, url: str, given: argparse.Namespace, done: Callable[[str], None]) -> None:
    """Fill, work, and print."""
    running = ExitStack()
    first = [running.enter_context(_service(folder, url, given.old))] if given.old else []
    records = made_records(folder, url)
    upgrade(records.engine)  # while the old one runs
    fill(records, given.cases)
    desks = people(records, Role.RECEPTION, max(1, round(_RECEPTIONISTS * given.share)))
    readers = people(records, Role.RADIOLOGIST, max(1, round(_RADIOLOGISTS * given.share)))
    wanted = given.alone + 3 + len(readers) * (2 + round(2 * 60 * given.minutes / _EACH_REPORT))
    reports = iter([made_report(records, person=_SOMEBODY, pictures=False) for _ in range(wanted)])
    records.close()
    done(f"{given.cases:,} cases and {wanted} reports to be signed")
    with running:
        addresses = [
            *first,
            *(running.enter_context(_service(folder, url)) for _ in range(given.services - len(first))),
        ]
        alone, together = asyncio.run(
            day(addresses, desks, readers, reports, given.alone, 60 * given.minutes)
        )
    print(f"{len(readers)} radiologists, {len(desks)} receptionists (share {given.share:g}), ", end="")
    print(f"{given.services} services, {given.minutes:g} minutes, {os.cpu_count()} cores, milliseconds\n")
    print("| page | n | p50 alone | p50 | p95 alone | p95 | times |\n" + "| --- " * 7 + "|")
    for page, times in sorted(alone.milliseconds.items()):
        _row(page, times, together.milliseconds.get(page, times))
    _row("all", alone.all, together.all or alone.all)
    for fault, count in together.errors.most_common():
        print(f"{count} times {fault}")
    errors, ratio = together.errors.total(), p95(together.all or alone.all) / p95(alone.all)
    cell = judged(f"{errors or 'no'} errors; {ratio:.2f} times", met=not errors and ratio <= _ASKED)
    n = f"{len(together.all):,} pages of {len(readers)} and {len(desks)} people"
    if given.old:
        record(
            "reading-room/rolling-upgrade",
            {"reached": judged(f"{errors or 'no'} errors", met=not errors), "n": n},
        )
    else:
        record("reading-room/load-day", {"reached": f"{cell} ({p95(together.all):.0f} ms)", "n": n})


@contextmanager
def _service(folder: Path, url: str, source: Path | None = None) -> Iterator[str]:
    with services(folder, url, ("--no-work",), source=source) as (address,):
        yield address


def _row(page: str, alone: list[float], times: list[float]) -> None:
    middle, slow = (statistics.median(alone), statistics.median(times)), (p95(alone), p95(times))
    print(f"| {page} | {len(times)} | {middle[0]:.0f} | {middle[1]:.0f} | ", end="")
    print(f"{slow[0]:.0f} | {slow[1]:.0f} | {slow[1] / slow[0]:.2f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--alone", type=int, default=25, help="times that one person works alone")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--services", type=int, default=2)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--old", type=Path, help="src of another version, which the first service runs")
    given = parser.parse_args()
    cluster = Cluster()
    try:
        with tempfile.TemporaryDirectory(prefix="tetkik-bench-") as folder:
            url = cluster.fresh(empty=given.old is not None)
            measure(Path(folder), url, given, lambda said: print(said, file=sys.stderr))
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
