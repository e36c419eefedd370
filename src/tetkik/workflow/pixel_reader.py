"""The pixels of images in the records, decoded in processes of their own and cached."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import partial

import structlog

from tetkik.errors import InputError
from tetkik.imaging.subprocess_worker import ReaderPool
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.images.images import StoredImage
from tetkik.values import Radiograph, middle_frame
from tetkik.workflow.reports import key_image

_log = structlog.get_logger()
_CACHE_BYTES = 256 * 2**20
"""Bytes of pixels that are kept, so that what was just uploaded or shown need not be decoded again."""


class PixelReader:
    """The decoders of one process and what they have just read."""

    def __init__(self, records: Records, processes: int = 2) -> None:
        self._records = records
        self._readers = ReaderPool(processes)
        self._lock = threading.Lock()
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
            content = images.read_content(tx, image) if image.frames == 1 else None
        if content is None:
            found = self._readers.read_frame(partial(self._load, image), image.id, chosen)
        else:
            found = self._readers.read(content, image.id)
        self._keep(place, found)
        return found

    def report_picture(self, image: StoredImage, frame: int) -> bytes | None:
        """`key_image` of one frame; None for a file that cannot be read: its report goes without."""
        try:
            return key_image(self.pixels(image, frame))
        except InputError as fault:
            _log.warning("report without its picture", image=image.id, template=fault.template)
            return None

    def _load(self, image: StoredImage) -> bytes:
        with self._records.read() as tx:
            return images.read_content(tx, image)

    def cache_pixels(self, image_id: str, image: Radiograph) -> None:
        """Keep the pixels of an image that was decoded without a choice of frame, for whoever asks next."""
        self._keep((image_id, middle_frame(image.tags.frames)), image)

    def _keep(self, place: tuple[str, int], image: Radiograph) -> None:
        with self._lock:
            self._cache[place] = image
            self._cache.move_to_end(place)
            while sum(one.nbytes for one in self._cache.values()) > _CACHE_BYTES:
                self._cache.popitem(last=False)

    def start(self) -> None:
        self._readers.start()

    def close(self) -> None:
        self._readers.close()
