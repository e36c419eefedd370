"""Decodes images in processes of their own, and caches pixels."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from tetkik.errors import TetkikError
from tetkik.imaging.presentation import ShownRange, ShownState, StateFile, range_of, read_state, states_of
from tetkik.imaging.region import Region, measure_region
from tetkik.imaging.subprocess_worker import ReaderPool, WorkerPool
from tetkik.imaging.tag_list import TagRow, list_tags
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.images.images import StoredImage
from tetkik.service.kit.background.progress import ProgressBroker
from tetkik.values import Actor, Radiograph, RegionStatistics, middle_frame

_CACHE_BYTES = 256 * 2**20
"""Bytes of pixels that are kept, so that what was just uploaded or shown need not be decoded again."""

_ONE_VIEW = 600.0
"""Seconds after which the same view of the same person is audited again."""
_VIEWS = 20_000


_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


class FilePool(WorkerPool):
    """A process that answers what is asked of a file beside its pixels."""

    def __init__(self) -> None:
        super().__init__((measure_region, list_tags, range_of, read_state, states_of), 1)


class ImageDecoder:
    """The decoders of one process and what they have just read."""

    def __init__(self, records: Records) -> None:
        self.progress = ProgressBroker()
        self.work_available = threading.Event()
        """Rung when there is new work."""
        self._records = records
        self._readers = ReaderPool()
        self._files = FilePool()
        self._lock = threading.Lock()
        self._views: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._cache: OrderedDict[tuple[str, int], Radiograph] = OrderedDict()

    def decode(self, content: bytes, name: str) -> Radiograph:
        """The image in a file's content, read by a process of its own."""
        return self._readers.read(content, name)

    def pixels(self, image: StoredImage, frame: int | None = None) -> Radiograph:
        """One frame of an image of the records, the middle one for None; whoever asks has been allowed to see
        it.
        """
        images.check_frame(image, frame)
        chosen = frame or image.middle
        place = image.id, chosen
        with self._records.read() as tx:
            tx.key(image.patient_id)  # an erased patient's pixels are not to be had from memory either
            with self._lock:
                known = self._cache.get(place)
                if known is not None:
                    self._cache.move_to_end(place)
                    return known
        if image.frames > 1:
            found = self._readers.read_frame(partial(self._load, image), image.id, chosen)
        else:
            found = self._readers.read(self._load(image), image.id)
        self._keep(place, found)
        return found

    def _load(self, image: StoredImage) -> bytes:
        with self._records.read() as tx:
            return images.read_content(tx, image)

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

    def cache_pixels(self, image_id: str, image: Radiograph) -> None:
        """Keep the pixels of an image that was decoded without a choice of frame, for whoever asks next."""
        self._keep((image_id, middle_frame(image.tags.frames)), image)

    def _keep(self, place: tuple[str, int], image: Radiograph) -> None:
        with self._lock:
            self._cache[place] = image
            self._cache.move_to_end(place)
            while sum(one.nbytes for one in self._cache.values()) > _CACHE_BYTES:
                self._cache.popitem(last=False)

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

    def start(self) -> None:
        self._readers.start()

    def close(self) -> None:
        self._readers.close()
        self._files.close()


def _view(actor: Actor, image_id: str, what: str) -> tuple[str, str, str]:
    return actor.session_id or actor.user_id or "", image_id, what


def decoder_of(request: Request) -> ImageDecoder:
    decoder: ImageDecoder = request.app.state.decoder
    return decoder


DecoderDep = Annotated[ImageDecoder, Depends(decoder_of)]
"""A route's parameter for the decoder."""
