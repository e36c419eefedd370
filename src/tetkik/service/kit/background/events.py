"""Server-sent events: open pages learn what happens, in every process of the service.

One thread of each process looks at the table of events while somebody listens, at once where this process
itself announced something, and wakes the listeners; each of them asks the table for what it may know. The
same thread looks whether the listeners are still who they were: one look for all of them, every few seconds
and before anything new is sent.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum

import structlog
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from tetkik.errors import RecordsError
from tetkik.records.database import Transaction
from tetkik.records.people.access import AccessState, load_access_states
from tetkik.records.worklist import case_contents, claims
from tetkik.records.worklist.case_contents import EventBatch
from tetkik.service.kit.context import AppContext
from tetkik.values import SYSTEM, Actor

POLL_SECONDS = 1.0
"""Seconds between two looks at the table for what another process announced."""
HEARTBEAT_SECONDS = 15.0
"""Seconds between two signs of life, so that no proxy takes the stream for dead."""
CHECK_SECONDS = 3.0
"""Seconds between two looks at whether the listeners are still who they were."""
STREAM_SECONDS = 3600.0
"""Seconds after which a stream ends and the page connects again, with its session asked anew."""
_GATHERS = 0.1
_TIDIES = 60.0
_RETRY = 2000
_log = structlog.get_logger()


class End(Enum):
    """Why a stream ends before its hour."""

    OVER = "over"
    """The session is over or locked, the token revoked, the account closed: the page gets the event `end`."""
    CHANGED = "changed"
    """Other roles or departments: the page connects again, as whoever its person is now."""


class Subscriber:
    """One listener: woken from the looking thread, waiting in the event loop until `end` says why to end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, actor: Actor) -> None:
        self.actor = actor
        self.end: End | None = None
        self._loop = loop
        self._woken = asyncio.Event()

    def check(self, now: AccessState | None) -> None:
        """End the stream of somebody who is no longer who they were, or (None) not there any more."""
        if now is None:
            self.end = End.OVER
        elif now != AccessState.of(self.actor):
            self.end = End.CHANGED

    def wake(self) -> None:
        self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, seconds: float) -> None:
        """Until something happens, or for so long."""
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return
        await asyncio.sleep(_GATHERS)  # events that come together are sent together
        self._woken.clear()


class EventBroker:
    """The listeners of one process, and the thread that looks for them while there are any."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._idle = timedelta(minutes=context.settings.session_idle_minutes)
        self._subscribers: set[Subscriber] = set()
        self._looking = False
        self._wake = threading.Event()
        self._tidied = 0.0

    @property
    def listening(self) -> int:
        return len(self._subscribers)

    @contextmanager
    def subscribe(self, actor: Actor) -> Iterator[Subscriber]:
        subscriber = Subscriber(asyncio.get_running_loop(), actor)
        with self._lock:
            self._subscribers.add(subscriber)
            if not self._looking:
                self._looking = True
                self._context.records.on_announcement.append(self._wake.set)
                threading.Thread(target=self._run, name="events", daemon=True).start()
        try:
            yield subscriber
        finally:
            with self._lock:
                self._subscribers.discard(subscriber)

    def _run(self) -> None:
        seen, looked = self._newest(), time.monotonic()
        while True:
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
            with self._lock:
                if not self._subscribers:
                    self._looking = False
                    self._context.records.on_announcement.remove(self._wake.set)
                    return
                subscribers = tuple(self._subscribers)
            newest = self._newest()
            if newest != seen or time.monotonic() - looked >= CHECK_SECONDS:
                looked = time.monotonic()
                self._check(subscribers)
            if newest != seen:
                seen = newest
                for subscriber in subscribers:
                    subscriber.wake()
            self._tidy()

    def _check(self, subscribers: tuple[Subscriber, ...]) -> None:
        """Wake those whose stream has to end."""
        try:
            with self._context.records.read() as tx:
                self.check_access(tx, *subscribers)
        except SQLAlchemyError as error:
            _log.warning("events.unreadable", kind=type(error).__name__)
            return
        for subscriber in subscribers:
            if subscriber.end is not None:
                subscriber.wake()

    def check_access(self, tx: Transaction, *subscribers: Subscriber) -> None:
        """Compare who listens with who they are now."""
        found = load_access_states(tx, [subscriber.actor for subscriber in subscribers], self._idle)
        for subscriber in subscribers:
            subscriber.check(found.get(subscriber.actor.session_id or subscriber.actor.token_id or ""))

    def _newest(self) -> int | None:
        try:
            with self._context.records.read() as tx:
                return case_contents.newest_sequence(tx)
        except SQLAlchemyError as error:
            # The database may be away for a moment; whoever listens waits for it.
            _log.warning("events.unreadable", kind=type(error).__name__)
            return None

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied < _TIDIES:
            return
        self._tidied = time.monotonic()
        try:
            with self._context.records.write(SYSTEM) as tx:
                case_contents.delete_old_events(tx)
                claims.delete_expired(tx)
        except RecordsError:
            _log.warning("events.not_pruned")


def broker_of(request: Request) -> EventBroker:
    state = request.app.state
    if not hasattr(state, "events"):
        state.events = EventBroker(state.context)
    broker: EventBroker = state.events
    return broker


async def stream(
    broker: EventBroker, context: AppContext, actor: Actor, seq: int | None
) -> AsyncIterator[str]:
    """Events as text, after the number that the page has, until its person is another, or for an hour."""

    def newest() -> int:
        with context.records.read() as tx:
            return case_contents.newest_sequence(tx)

    def after(seq: int, subscriber: Subscriber) -> EventBatch:
        with context.records.read(actor) as tx:
            batch = case_contents.load_events_after(tx, seq)
            if batch.events or batch.missed:
                # In the same snapshot: no news to somebody who was gone before it.
                broker.check_access(tx, subscriber)
            return batch

    begin = beat = time.monotonic()
    upto = seq
    with broker.subscribe(actor) as subscriber:
        if upto is None:
            upto = await run_in_threadpool(newest)
        yield f"retry: {_RETRY}\n\n"
        while time.monotonic() - begin < STREAM_SECONDS and subscriber.end is None:
            batch = await run_in_threadpool(after, upto, subscriber)
            if subscriber.end is not None:
                break
            if batch.missed:
                yield f"id: {batch.upto}\nevent: missed\ndata: {{}}\n\n"
            for one in () if batch.missed else batch.events:
                data = {"kind": one.kind, "case_id": one.case_id}
                yield f"id: {one.seq}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
            if batch.upto != upto:
                upto = batch.upto
                continue
            rest = beat + HEARTBEAT_SECONDS - time.monotonic()
            if rest <= 0:
                beat, rest = time.monotonic(), HEARTBEAT_SECONDS
                yield ": \n\n"
            await subscriber.wait(rest)
        if subscriber.end is End.OVER:
            yield "event: end\ndata: {}\n\n"
