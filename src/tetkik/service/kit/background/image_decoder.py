"""What pages ask of images and their files, answered by processes of their own."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
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
from tetkik.service.kit.background.progress import ProgressBroker
from tetkik.values import Actor, RegionStatistics
from tetkik.workflow.pixel_reader import PixelReader

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
