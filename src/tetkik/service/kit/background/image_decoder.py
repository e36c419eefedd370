"""What a process needs to read images: its decoders, a few pixels kept at hand, the bell of its worker."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Annotated

from fastapi import Depends, Request

from tetkik.imaging.readers import Readers
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.images.images import StoredImage
from tetkik.service.kit.background.progress import ProgressBroker
from tetkik.values import Actor, Radiograph, middle_frame

_AT_HAND = 256 * 2**20
"""Bytes of pixels that are kept, so that what was just uploaded or shown need not be decoded again."""

_ONE_LOOK = 600.0
"""Seconds after which the same look of the same person is told again."""
_LOOKS = 20_000


class ImageDecoder:
    """The decoders of one process and what they have just read.

    Args:
        records: of the house.
    """

    def __init__(self, records: Records) -> None:
        self.progress = ProgressBroker()
        self.work_available = threading.Event()
        """Rung when there is new work."""
        self._records = records
        self._readers = Readers()
        self._lock = threading.Lock()
        self._looks: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._at_hand: OrderedDict[tuple[str, int], Radiograph] = OrderedDict()

    def decode(self, content: bytes, name: str) -> Radiograph:
        """The image in a file's content, read by a process of its own.

        Raises:
            InputError: it cannot be read as an image.
        """
        return self._readers.read(content, name)

    def pixels(self, image: StoredImage, frame: int | None = None) -> Radiograph:
        """An image of the records; whoever asks has been allowed to see it.

        Args:
            image: the row.
            frame: which of several, counted from 1; None takes the middle one. No other is decoded.

        Raises:
            InputError: the image has no such frame.
            NotFound: the patient was erased.
            RecordsError: its file is missing or altered.
        """
        images.check_frame(image, frame)
        chosen = frame or image.middle
        place = image.id, chosen
        with self._records.read() as tx:
            tx.key(image.patient_id)  # an erased patient's pixels are not to be had from memory either
            with self._lock:
                known = self._at_hand.get(place)
                if known is not None:
                    self._at_hand.move_to_end(place)
                    return known
            content = images.content(tx, image)
        found = self._readers.read(content, image.id, chosen if image.frames > 1 else None)
        self._keep(place, found)
        return found

    def cache_pixels(self, image_id: str, image: Radiograph) -> None:
        """Keep the pixels of an image that was decoded without a choice of frame, for whoever asks next."""
        self._keep((image_id, middle_frame(image.tags.frames)), image)

    def _keep(self, place: tuple[str, int], image: Radiograph) -> None:
        with self._lock:
            self._at_hand[place] = image
            self._at_hand.move_to_end(place)
            while sum(one.pixels.nbytes for one in self._at_hand.values()) > _AT_HAND:
                self._at_hand.popitem(last=False)

    def was_viewed_recently(self, actor: Actor, image_id: str, what: str) -> bool:
        """Whether the trail tells already that somebody sees this of an image.

        A viewer asks for the same again and again while one reads; that is one look.
        """
        with self._lock:
            seen = self._looks.get(_look(actor, image_id, what))
        return seen is not None and time.monotonic() - seen < _ONE_LOOK

    def record_view(self, actor: Actor, image_id: str, what: str) -> None:
        """The trail tells it now."""
        with self._lock:
            self._looks.pop(_look(actor, image_id, what), None)
            self._looks[_look(actor, image_id, what)] = time.monotonic()
            while len(self._looks) > _LOOKS:
                self._looks.popitem(last=False)

    def start(self) -> None:
        """Have a decoder ready for the first image."""
        self._readers.start()

    def close(self) -> None:
        """End the decoders."""
        self._readers.close()


def _look(actor: Actor, image_id: str, what: str) -> tuple[str, str, str]:
    return actor.session_id or actor.user_id or "", image_id, what


def decoder_of(request: Request) -> ImageDecoder:
    """The machine of the application that a request came to."""
    decoder: ImageDecoder = request.app.state.decoder
    return decoder


DecoderDep = Annotated[ImageDecoder, Depends(decoder_of)]
"""A route's parameter for the machine."""
