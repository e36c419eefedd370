"""What pages ask of images and their files, answered by processes of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from tetkik.errors import TetkikError
from tetkik.imaging.presentation import ShownRange, ShownState, StateFile, range_of, read_state, states_of
from tetkik.imaging.region import Region, measure_region
from tetkik.imaging.subprocess_worker import WorkerPool
from tetkik.imaging.tag_list import TagRow, list_tags
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.images.images import StoredImage
from tetkik.values.access import Actor
from tetkik.values.measurement import RegionStatistics
from tetkik.workflow.image_processing import ProcessingStage
from tetkik.workflow.pixel_reader import PixelReader

# Progress of the work on images, for pages that watch; nothing of it is stored.


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One step, at `WRITING` with a language model's text; the stage is None at the end of an attempt."""

    stage: ProcessingStage | None
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

    def publish(self, image_id: str, stage: ProcessingStage | None, text: str = "") -> None:
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


_ONE_VIEW = 600.0
"""Seconds after which the same view of the same person is audited again."""
_VIEWS = 20_000


_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


class FilePool(WorkerPool):
    """A process that answers what is asked of a file beside its pixels."""

    def __init__(self) -> None:
        super().__init__((measure_region, list_tags, range_of, read_state, states_of), 1)


class ImageDecoder(PixelReader):
    """The decoders of a process that serves pages, and what they have just read and shown."""

    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self.progress = ProgressBroker()
        self.work_available = threading.Event()
        """Rung when there is new work."""
        self._files = FilePool()
        self._views: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def region(self, image: StoredImage, region: Region) -> RegionStatistics:
        """The values in a region of an image; whoever asks has been allowed to see it, here and below."""
        images.check_frame(image, region.frame)
        return self._in_subprocess(measure_region, (self._load(image), image.id, region), image.id)

    def tags(self, image: StoredImage) -> tuple[TagRow, ...]:
        """The data elements of an image's file."""
        return self._in_subprocess(list_tags, (self._load(image), image.id), image.id)

    def grey_range(self, image: StoredImage, frame: int) -> ShownRange | None:
        """The values that a frame is shown by; None where it is no grey DICOM image."""
        return self._in_subprocess(range_of, (self._load(image), image.id, frame), image.id)

    def state(self, content: bytes, name: str) -> StateFile:
        """What a presentation state that came as a file says of itself."""
        return self._in_subprocess(read_state, (content, name), name)

    def states(
        self, image: StoredImage, files: tuple[bytes, ...], uid: str, frame: int
    ) -> tuple[ShownState, ...]:
        """How presentation states show a frame of an image."""
        return self._in_subprocess(states_of, (files, self._load(image), image.id, uid, frame), image.id)

    def _in_subprocess(
        self, function: Callable[[_Request], _Answer], request: _Request, name: str
    ) -> _Answer:
        """Have a process of its own look at a file."""
        found = self._files.call(function, request, name)
        if isinstance(found, TetkikError):
            raise found
        return found

    def was_viewed_recently(self, actor: Actor, image_id: str, what: str) -> bool:
        """Whether the audit trail has a recent entry of this view of an image.

        A viewer asks for the same again and again while one reads; that is one view.
        """
        with self._lock:
            seen = self._views.get(_view(actor, image_id, what))
        return seen is not None and time.monotonic() - seen < _ONE_VIEW

    def record_view(self, actor: Actor, image_id: str, what: str) -> None:
        with self._lock:
            self._views.pop(_view(actor, image_id, what), None)
            self._views[_view(actor, image_id, what)] = time.monotonic()
            while len(self._views) > _VIEWS:
                self._views.popitem(last=False)

    def close(self) -> None:
        super().close()
        self._files.close()


def _view(actor: Actor, image_id: str, what: str) -> tuple[str, str, str]:
    return actor.session_id or actor.user_id or "", image_id, what


def decoder_of(request: Request) -> ImageDecoder:
    decoder: ImageDecoder = request.app.state.decoder
    return decoder


DecoderDep = Annotated[ImageDecoder, Depends(decoder_of)]
"""A route's parameter for the decoder."""
