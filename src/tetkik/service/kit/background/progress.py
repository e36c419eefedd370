"""Progress of the work on images, for pages that watch; nothing of it is stored."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field

from tetkik.workflow.image_processing import Stage


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One step, at `WRITING` with a language model's text; the stage is None at the end of an attempt."""

    stage: Stage | None
    text: str = field(default="", repr=False)


Subscriber = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class _Log:
    """The steps of one attempt so far, and who waits for the next."""

    def __init__(self) -> None:
        self.steps: list[ProgressEvent] = []
        self.subscribers: list[Subscriber] = []

    @property
    def over(self) -> bool:
        return bool(self.steps) and self.steps[-1].stage is None


class ProgressBroker:
    """Progress of the images that this process works on, from the worker to event streams.

    A log is held from its begin to its end, and as long as somebody listens.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[str, _Log] = {}

    def begin(self, image_id: str) -> None:
        with self._lock:
            self._of(image_id)

    def publish(self, image_id: str, stage: Stage | None, text: str = "") -> None:
        """The work came to a stage, or the attempt to its end."""
        with self._lock:
            log = self._logs.get(image_id)
            if log is None or log.over:
                return
            log.steps.append(ProgressEvent(stage, text))
            subscribers = tuple(log.subscribers)
            if stage is None:
                del self._logs[image_id]
        for loop, event in subscribers:
            with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(event.set)

    async def follow(self, image_id: str, patience: float) -> AsyncGenerator[ProgressEvent | None, None]:
        """The steps of an image, from the first of the attempt under way, without an end.

        After so many seconds of silence None is given, for whoever listens to look elsewhere.
        """
        subscriber = (asyncio.get_running_loop(), asyncio.Event())
        while True:
            with self._lock:
                log = self._of(image_id)
                log.subscribers.append(subscriber)
            try:
                sent = 0
                while not (log.over and sent == len(log.steps)):
                    subscriber[1].clear()
                    steps = log.steps[sent:]
                    sent += len(steps)
                    for step in steps:
                        yield step
                    if not steps and not await _set_within(subscriber[1], patience):
                        yield None
            finally:
                self._leave(image_id, log, subscriber)

    def _of(self, image_id: str) -> _Log:
        return self._logs.setdefault(image_id, _Log())

    def _leave(self, image_id: str, log: _Log, subscriber: Subscriber) -> None:
        """Forget a log that nobody has begun and nobody waits for any more."""
        with self._lock:
            log.subscribers.remove(subscriber)
            if self._logs.get(image_id) is log and not log.subscribers and not log.steps:
                del self._logs[image_id]


async def _set_within(event: asyncio.Event, patience: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), patience)
        return True
    return False
