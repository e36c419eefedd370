"""Rate limits: a bucket of tokens for each user, program and address, in this process alone."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

_KEPT = 20_000
"""Buckets; the ones least used are forgotten, and begin full again."""


class Limiter:
    """So many a minute, some of them at once.

    Args:
        per_minute: how many tokens flow in.
        burst: how many a bucket holds.
        clock: seconds that never go back.
    """

    def __init__(self, per_minute: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1) -> int:
        """Take tokens; gives 0, or the whole seconds after which there are enough again.

        Args:
            key: whose bucket.
            cost: how many tokens.
        """
        now = self._clock()
        with self._lock:
            level, since = self._buckets.pop(key, (self._burst, now))
            level = min(self._burst, level + (now - since) * self._rate)
            enough = level >= cost
            self._buckets[key] = (level - cost if enough else level, now)
            if len(self._buckets) > _KEPT:
                self._buckets.popitem(last=False)
        return 0 if enough else ceil((cost - level) / self._rate)
