"""Server-sent events: open pages hear what happens, in every process that serves the house.

One thread of each process looks at the table of events while somebody listens, at once where this process
itself announced something, and wakes the listeners; each of them asks the table for what it may know.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import structlog
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from tetkik.errors import RecordsError, TooManyRequests
from tetkik.records.worklist import claims, events
from tetkik.records.worklist.events import Hearing
from tetkik.service.house import House
from tetkik.values import SYSTEM, Actor

MOST = 8
"""Streams of one person in one process: as many pages."""
LOOKS = 1.0
"""Seconds between two looks at the table for what another process announced."""
BEATS = 15.0
"""Seconds between two signs of life, so that no proxy takes the stream for dead."""
CHECKS = 5.0
"""Seconds after which a stream at the latest sees that its session is over or locked."""
LASTS = 3600.0
"""Seconds after which a stream ends and the page connects again, with its session asked anew."""
_GATHERS = 0.1
_TIDIES = 60.0
_RETRY = 2000
_log = structlog.get_logger()


class Ear:
    """One listener: woken from the looking thread, waiting in the event loop.

    Args:
        loop: of the listener.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something happened; from any thread."""
        self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, seconds: float) -> None:
        """Until something happens, or for so long."""
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return
        await asyncio.sleep(_GATHERS)  # what comes together is told together
        self._woken.clear()


class Hub:
    """The listeners of one process, and the thread that looks for them while there are any.

    Args:
        house: whose events.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._lock = threading.Lock()
        self._ears: dict[Ear, str] = {}
        self._looking = False
        self._look = threading.Event()
        self._tidied = 0.0

    @property
    def listening(self) -> int:
        """How many pages listen."""
        return len(self._ears)

    def admit(self, actor: Actor) -> None:
        """Ask whether the person may open one more stream.

        Raises:
            TooManyRequests: too many pages of theirs listen already.
        """
        with self._lock:
            open_ones = sum(who == actor.user_id for who in self._ears.values())
        if open_ones >= MOST:
            raise TooManyRequests("Too many pages of yours are open; close some of them.")

    @contextmanager
    def listen(self, actor: Actor) -> Iterator[Ear]:
        """One more listener, as long as the block lasts."""
        ear = Ear(asyncio.get_running_loop())
        with self._lock:
            self._ears[ear] = actor.user_id or ""
            if not self._looking:
                self._looking = True
                self._house.records.on_news.append(self._look.set)
                threading.Thread(target=self._run, name="events", daemon=True).start()
        try:
            yield ear
        finally:
            with self._lock:
                del self._ears[ear]

    def _run(self) -> None:
        seen = self._newest()
        while True:
            self._look.wait(LOOKS)
            self._look.clear()
            with self._lock:
                if not self._ears:
                    self._looking = False
                    self._house.records.on_news.remove(self._look.set)
                    return
                ears = tuple(self._ears)
            newest = self._newest()
            if newest != seen:
                seen = newest
                for ear in ears:
                    ear.wake()
            self._tidy()

    def _newest(self) -> int | None:
        try:
            with self._house.records.read() as tx:
                return events.newest(tx)
        except SQLAlchemyError as error:
            # The database may be away for a moment; whoever listens waits for it.
            _log.warning("events.unreadable", kind=type(error).__name__)
            return None

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied < _TIDIES:
            return
        self._tidied = time.monotonic()
        try:
            with self._house.records.write(SYSTEM) as tx:
                events.prune(tx)
                claims.forget_old(tx)
        except RecordsError:
            _log.warning("events.not_pruned")


def hub_of(request: Request) -> Hub:
    """The listeners of the application that a request came to."""
    state = request.app.state
    if not hasattr(state, "events"):
        state.events = Hub(state.house)
    hub: Hub = state.events
    return hub


async def stream(hub: Hub, house: House, actor: Actor, seq: int | None) -> AsyncIterator[str]:
    """Events as text, until the session ends or locks, or for an hour.

    Args:
        hub: of the process.
        house: whose events.
        actor: who listens.
        seq: the number that the page heard last; None begins with now.
    """
    begin = beat = time.monotonic()
    upto = seq
    with hub.listen(actor) as ear:
        if upto is None and (now := await run_in_threadpool(_hear, house, actor, None)) is not None:
            upto = now.upto
        yield f"retry: {_RETRY}\n\n"
        while time.monotonic() - begin < LASTS:
            hearing = await run_in_threadpool(_hear, house, actor, upto)
            if hearing is None:
                yield "event: end\ndata: {}\n\n"
                return
            if hearing.missed:
                yield f"id: {hearing.upto}\nevent: missed\ndata: {{}}\n\n"
            for one in () if hearing.missed else hearing.events:
                said = {"kind": one.kind, "case_id": one.case_id}
                yield f"id: {one.seq}\ndata: {json.dumps(said, separators=(',', ':'))}\n\n"
            if hearing.upto != upto:
                upto = hearing.upto
                continue
            if time.monotonic() - beat >= BEATS:
                beat = time.monotonic()
                yield ": \n\n"
            await ear.wait(CHECKS)


def _hear(house: House, actor: Actor, upto: int | None) -> Hearing | None:
    """What there is to hear; None where the session is over."""
    with house.records.read(actor) as tx:
        if not events.still_there(tx):
            return None
        return events.after(tx, upto) if upto is not None else Hearing((), events.newest(tx))
