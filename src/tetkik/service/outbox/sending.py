"""The threads that send results to other systems."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache

import structlog

from tetkik.documents.presentation_state import GreyRange
from tetkik.integrations.configuration import Configuration, load_configuration
from tetkik.integrations.outbox import send_due
from tetkik.records.images import images
from tetkik.records.reports import outbox
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.background.periodic_thread import PeriodicThread
from tetkik.service.kit.context import AppContext
from tetkik.settings import Settings
from tetkik.values import MeasuredImage

_POLL_SECONDS = 2.0
_STOP_SECONDS = 20.0
"""For which sendings are waited for at the end; one that is cut off is repeated later."""
_log = structlog.get_logger()


def systems_of(settings: Settings) -> Configuration | None:
    """The hospital's systems, read once; `SettingError` where the file cannot be used."""
    return None if settings.integrations is None else _loaded(settings.integrations)


_loaded = cache(load_configuration)


class OutboxThread(PeriodicThread):
    """Sends what is due until it is stopped, to each system in a thread of its own: a slow one keeps no other
    waiting. The outbox keeps two processes from sending the same.
    """

    def __init__(self, context: AppContext, decoder: ImageDecoder) -> None:
        super().__init__("outbox", _POLL_SECONDS)
        self._context = context
        self._decoder = decoder
        self._sending: dict[str, threading.Thread] = {}

    def stop(self) -> None:
        super().stop()
        end = time.monotonic() + _STOP_SECONDS
        for thread in self._sending.values():
            thread.join(max(0.0, end - time.monotonic()))

    def run_once(self) -> None:
        """Begin to send to every system for which something is due."""
        systems = systems_of(self._context.settings)
        if systems is None:
            return
        try:
            with self._context.records.read() as tx:
                due = outbox.due_destinations(tx)
        except Exception as fault:
            # The database may be away for a while; what is due is sent once it is back.
            _log.error("outbox", kind=type(fault).__name__)
            return
        for name in due:
            if name not in self._sending or not self._sending[name].is_alive():
                thread = threading.Thread(target=self._send, args=(systems, name), daemon=True)
                self._sending[name] = thread
                thread.start()

    def _send(self, systems: Configuration, name: str) -> None:
        records, settings = self._context.records, self._context.settings
        try:
            while not self.stopping and send_due(records, systems, settings, self.greys, name):
                pass
        except Exception as fault:  # tried again as above
            _log.error("outbox", kind=type(fault).__name__)

    def greys(self, wanted: Sequence[MeasuredImage]) -> Mapping[MeasuredImage, GreyRange | None]:
        """By what values images are shown; those that are no grey DICOM images are left out."""
        found: dict[MeasuredImage, GreyRange | None] = {}
        for one in wanted:
            with self._context.records.read() as tx:
                image = images.load_image(tx, one.id)
            shown = self._decoder.grey_range(image, one.frame or 1)
            if shown is not None:
                grey = GreyRange(shown.black, shown.white, shown.inverted)
                found[one] = grey if shown.straight else None
        return found
