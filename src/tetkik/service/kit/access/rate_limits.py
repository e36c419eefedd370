"""Rate limits, limits of what happens at once, and open challenges, in this process alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Any

from fastapi import Request

from tetkik.errors import TooManyRequests
from tetkik.settings import Settings

_KEPT = 20_000
"""Buckets; the ones least used are forgotten, and begin full again."""


class Limiter:
    """So many a minute, some of them at once."""

    def __init__(self, per_minute: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1) -> int:
        """Take tokens; gives 0, or the whole seconds after which there are enough again."""
        now = self._clock()
        with self._lock:
            level, since = self._buckets.pop(key, (self._burst, now))
            level = min(self._burst, level + (now - since) * self._rate)
            enough = level >= cost
            self._buckets[key] = (level - cost if enough else level, now)
            if len(self._buckets) > _KEPT:
                self._buckets.popitem(last=False)
        return 0 if enough else ceil((cost - level) / self._rate)


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


_SECONDS = 300
_MOST = 10_000
_STRENGTHS = 120
"""How often a minute one address may ask how good a password is: as fast as anybody types."""

_BROWSERS = 10
"""How many times the sign-ins of one address its known browsers have together."""
STREAMS = 8
"""Streams of one person of a kind at once: as many pages."""
_PROGRESS = 128
"""Streams of the work on images: each of them asks the database every second."""


class PendingChallenges:
    """What was asked of a browser and is answered once, within five minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def put(self, key: str, content: Any) -> None:
        with self._lock:
            self._open[key] = (self._clock() + _SECONDS, content)
            while len(self._open) > _MOST:
                self._open.popitem(last=False)

    def pop(self, key: str) -> Any | None:
        """What was asked, once; None where nothing was, or too long ago."""
        with self._lock:
            until, content = self._open.pop(key, (0.0, None))
        return content if until > self._clock() else None


class RateLimits:
    """The limits and open questions of one process."""

    def __init__(self, settings: Settings) -> None:
        per_minute = settings.requests_per_minute
        self.requests = Limiter(per_minute, per_minute)
        self.sign_ins = Limiter(settings.sign_ins_per_minute, settings.sign_ins_per_minute)
        together = settings.sign_ins_per_minute * _BROWSERS
        self.browsers = Limiter(together, together)
        self.strengths = Limiter(_STRENGTHS, _STRENGTHS)
        self.turns = Turns()
        self.events = Slots(STREAMS, settings.max_connections // 2)
        self.progress = Slots(STREAMS, _PROGRESS)
        self.challenges = PendingChallenges()
        self.sign_in_challenges = (
            PendingChallenges()
        )  # apart: strangers' questions crowd out nobody's signature
        self.sign_ons = PendingChallenges()


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


def limit_rate(request: Request, limiter: Limiter, key: str) -> None:
    """Count a request."""
    wait = limiter.take(key)
    if wait:
        request.state.retry_after = wait
        raise TooManyRequests("Too many requests; wait {seconds} s and try again.", seconds=wait)
