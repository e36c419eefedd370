"""What the worker of this process is doing right now, for pages that watch: nothing of it is kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field

from tetkik.workflow.casework import Stage


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One step.

    Attributes:
        stage: how far the work is; None at the end of an attempt.
        text: at `WRITING`, what a language model has just written.
    """

    stage: Stage | None
    text: str = field(default="", repr=False)


Subscriber = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class _Course:
    """The steps of one attempt so far, and who waits for the next."""

    def __init__(self) -> None:
        self.steps: list[ProgressEvent] = []
        self.ears: list[Subscriber] = []

    @property
    def over(self) -> bool:
        return bool(self.steps) and self.steps[-1].stage is None


class ProgressBroker:
    """The courses of the images that this process works on; the worker tells, event streams listen.

    A course is held from its begin to its end, and as long as somebody listens.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._courses: dict[str, _Course] = {}

    def begin(self, image_id: str) -> None:
        """An attempt begins."""
        with self._lock:
            self._of(image_id)

    def tell(self, image_id: str, stage: Stage | None, text: str = "") -> None:
        """The work came to a stage, or the attempt to its end."""
        with self._lock:
            course = self._courses.get(image_id)
            if course is None or course.over:
                return
            course.steps.append(ProgressEvent(stage, text))
            ears = tuple(course.ears)
            if stage is None:
                del self._courses[image_id]
        for loop, event in ears:
            with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(event.set)

    async def follow(self, image_id: str, patience: float) -> AsyncGenerator[ProgressEvent | None, None]:
        """The steps of an image, from the first of the attempt under way, without an end.

        Args:
            image_id: of the image.
            patience: seconds of silence after which None is given, for whoever listens to look elsewhere.
        """
        ear = (asyncio.get_running_loop(), asyncio.Event())
        while True:
            with self._lock:
                course = self._of(image_id)
                course.ears.append(ear)
            try:
                heard = 0
                while not (course.over and heard == len(course.steps)):
                    ear[1].clear()
                    steps = course.steps[heard:]
                    heard += len(steps)
                    for step in steps:
                        yield step
                    if not steps and not await _rings(ear[1], patience):
                        yield None
            finally:
                self._leave(image_id, course, ear)

    def _of(self, image_id: str) -> _Course:
        return self._courses.setdefault(image_id, _Course())

    def _leave(self, image_id: str, course: _Course, ear: Subscriber) -> None:
        """Forget a course that nobody has begun and nobody waits for any more."""
        with self._lock:
            course.ears.remove(ear)
            if self._courses.get(image_id) is course and not course.ears and not course.steps:
                del self._courses[image_id]


async def _rings(event: asyncio.Event, patience: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), patience)
        return True
    return False
