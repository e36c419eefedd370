"""Rate limits, over all processes of one PostgreSQL; what happens at once is limited in each alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from math import ceil

from fastapi import Request
from sqlalchemy import Engine

from tetkik.errors import TooManyRequests
from tetkik.records.people.refusals import delete_full, take_tokens
from tetkik.service.kit.context import AppContext

_KEPT = 20_000
"""Buckets; the ones least used are forgotten, and begin full again."""
_TIDIES = 60.0
"""Seconds between two removals of rows that say nothing any more."""


class Limiter:
    """So many a minute, some of them at once."""

    def __init__(self, per_minute: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> int:
        """Take a token; gives 0, or the whole seconds after which there is one again."""
        now = self._clock()
        with self._lock:
            level, since = self._buckets.pop(key, (self._burst, now))
            level = min(self._burst, level + (now - since) * self._rate)
            enough = level >= 1
            self._buckets[key] = (level - 1 if enough else level, now)
            if len(self._buckets) > _KEPT:
                self._buckets.popitem(last=False)
        return 0 if enough else ceil((1 - level) / self._rate)


class SharedLimiter:
    """The same over all processes of one PostgreSQL.

    Tokens of a second come at once and are spent here, so that most requests cost no statement; what a
    process has left counts as spent. Whoever is refused is refused here until the time is over.
    """

    def __init__(self, engine: Engine, name: str, per_minute: int) -> None:
        self._engine = engine
        self._name = name
        self._portion = max(1, per_minute // 60)
        self._cost = timedelta(minutes=self._portion / per_minute)
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Of each key the tokens that are left here, and until when it is refused."""
        self._tidied = time.monotonic()

    def take(self, key: str) -> int:
        """Take a token; gives 0, or the whole seconds after which there is one again."""
        now = time.monotonic()
        with self._lock:
            left, refused_until = self._known.get(key, (0, 0.0))
            if left:
                self._known[key] = left - 1, 0.0
                return 0
        if refused_until > now:
            return ceil(refused_until - now)
        wait = take_tokens(self._engine, f"{self._name} {key}", self._cost, timedelta(minutes=1))
        with self._lock:
            left, _ = self._known.pop(key, (0, 0.0))
            self._known[key] = (left, now + wait) if wait else (left + self._portion - 1, 0.0)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
            due = now - self._tidied >= _TIDIES
            self._tidied = now if due else self._tidied
        if due:
            delete_full(self._engine)
        return ceil(wait)


class Slots:
    """So many at once of one key, and altogether."""

    def __init__(self, each: int, most: int) -> None:
        self._each, self._most = each, most
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, key: str) -> bool:
        """Take one, where there is one left."""
        with self._lock:
            if self._taken[key] >= self._each or self._taken.total() >= self._most:
                return False
            self._taken[key] += 1
            return True

    def free(self, key: str) -> None:
        with self._lock:
            self._taken[key] -= 1
            self._taken += Counter()  # drops those of nobody


class Turns:
    """How many requests of one person are worked on at once; a few more wait for their turn.

    Worker threads are for everybody: without this, one account takes all of them, such as by triage. Used in
    the thread of the event loop alone.
    """

    def __init__(self, at_once: int = 6, waiting: int = 100) -> None:
        self._at_once, self._waiting = at_once, waiting
        self._queues: dict[str, tuple[asyncio.Semaphore, list[None]]] = {}

    async def take(self, key: str) -> None:
        """Wait for a turn, which ends with `free`."""
        semaphore, there = self._queues.setdefault(key, (asyncio.Semaphore(self._at_once), []))
        if len(there) >= self._at_once + self._waiting:
            raise TooManyRequests("Too many requests; wait a moment.")
        there.append(None)
        try:
            await semaphore.acquire()
        except BaseException:
            self._leave(key)
            raise

    def free(self, key: str) -> None:
        self._queues[key][0].release()
        self._leave(key)

    def _leave(self, key: str) -> None:
        self._queues[key][1].pop()
        if not self._queues[key][1]:
            del self._queues[key]


_STRENGTHS = 120
"""How often a minute one address may ask how good a password is: as fast as anybody types."""

_BROWSERS = 10
"""How many times the sign-ins of one address its known browsers have together."""
STREAMS = 8
"""Streams of one person of a kind at once: as many pages."""
_PROGRESS = 128
"""Streams of the work on images: each of them asks the database every second."""


class RateLimits:
    """The limits as one process keeps to them."""

    def __init__(self, context: AppContext) -> None:
        settings, engine = context.settings, context.records.engine

        def limiter(name: str, per_minute: int) -> Limiter | SharedLimiter:
            if engine.dialect.name == "postgresql":
                return SharedLimiter(engine, name, per_minute)
            return Limiter(per_minute, per_minute)

        self.requests = limiter("requests", settings.requests_per_minute)
        self.sign_ins = limiter("sign-ins", settings.sign_ins_per_minute)
        self.browsers = limiter("browsers", settings.sign_ins_per_minute * _BROWSERS)
        self.strengths = Limiter(_STRENGTHS, _STRENGTHS)
        self.turns = Turns()
        self.events = Slots(STREAMS, settings.max_connections // 2)
        self.progress = Slots(STREAMS, _PROGRESS)


def rate_limits_of(request: Request) -> RateLimits:
    limits: RateLimits = request.app.state.rate_limits
    return limits


def release_afterwards(request: Request, release: Callable[[], None]) -> None:
    """Call `release` once the answer of a request is complete, or nobody waits for it any more."""
    request.scope["state"].setdefault("releases", []).append(release)


def hold_stream(request: Request, slots: Slots, user_id: str) -> None:
    """Count a stream until it ends."""
    if not slots.take(user_id):
        raise TooManyRequests("Too many pages of yours are open; close some of them.")
    release_afterwards(request, partial(slots.free, user_id))


def limit_rate(request: Request, limiter: Limiter | SharedLimiter, key: str) -> None:
    """Count a request."""
    wait = limiter.take(key)
    if wait:
        request.state.retry_after = wait
        raise TooManyRequests("Too many requests; wait {seconds} s and try again.", seconds=wait)
