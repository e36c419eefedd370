"""The thread that sends results to other systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import structlog

from tetkik.documents.presentation_state import GreyRange
from tetkik.integrations.configuration import Configuration, load_configuration
from tetkik.integrations.outbox import send_due
from tetkik.records.images import images
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.background.periodic_thread import PeriodicThread
from tetkik.service.kit.context import AppContext
from tetkik.settings import Settings
from tetkik.values import MeasuredImage

_POLL_SECONDS = 2.0
_log = structlog.get_logger()


def systems_of(settings: Settings) -> Configuration | None:
    """The hospital's systems, read once; `SettingError` where the file cannot be used."""
    return None if settings.integrations is None else _loaded(settings.integrations)


_loaded = cache(load_configuration)


class OutboxThread(PeriodicThread):
    """Sends what is due until it is stopped; the outbox keeps two processes from sending the same."""

    def __init__(self, context: AppContext, decoder: ImageDecoder) -> None:
        super().__init__("outbox", _POLL_SECONDS)
        self._context = context
        self._decoder = decoder

    def run_once(self) -> None:
        """Send everything that is due."""
        systems = systems_of(self._context.settings)
        try:
            while systems is not None and not self.stopping:
                if not send_due(self._context.records, systems, self._context.settings, self.greys):
                    break
        except Exception as fault:
            # The database may be away for a while; what is due is sent once it is back.
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
