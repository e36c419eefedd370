"""What is sent to other systems: the threads that send it, and the page of how they answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Form, Query
from fastapi.responses import Response

from tetkik.documents.presentation_state import GreyRange
from tetkik.integrations.outbox import send_due
from tetkik.integrations.systems import Configuration, systems_of
from tetkik.language import Sentence
from tetkik.records.images import images
from tetkik.records.reports import outbox
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.background.threads import PeriodicThread
from tetkik.service.kit.context import AppContext
from tetkik.values.access import Permission
from tetkik.values.measurement import MeasuredImage
from tetkik.values.states import OutboxState

_POLL_SECONDS = 2.0
_STOP_SECONDS = 20.0
"""For which sendings are waited for at the end; one that is cut off is repeated later."""
_log = structlog.get_logger()


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


pages = APIRouter(prefix="/outbox")
Keeper = Annotated[RequestContext, allowed(Permission.OUTBOX)]
Name = Annotated[str, Query(max_length=40)]
_PAGE = 50


@pages.get("")
def listed(
    ctx: Keeper, state: Name = "", to: Name = "", before: Annotated[str | None, Query(max_length=26)] = None
) -> Response:
    """By state and by system, the latest first; the numbers of reports, and nobody's name."""
    states = [one for one in OutboxState if one == state]  # what an address has wrong is left out
    with ctx.write() as tx:
        found = outbox.list_items(tx, states, to, limit=_PAGE + 1, before=before)
        systems, counted = outbox.destinations(tx), outbox.count_items(tx)
    chosen = {name: value for name, value in (("state", state), ("to", to)) if value}
    more = len(found) > _PAGE
    return ctx.render(
        "outbox/list.html.jinja",
        items=found[:_PAGE],
        systems=[("", Sentence("All").in_language(ctx.language)), *((name, name) for name in systems)],
        counted=counted,
        state=state,
        to=to,
        older=f"/outbox?{urlencode(chosen | {'before': found[_PAGE - 1].id})}" if more else None,
    )


@pages.post("/refused")
def resend_refused(ctx: Keeper, to: Annotated[str, Form(max_length=40)]) -> Response:
    """Send all again that a system refused, once its fault is mended."""
    return ctx.change(lambda tx: outbox.resend_refused(tx, to), f"/outbox?{urlencode({'to': to})}")


@pages.post("/{item_id}")
def resend(ctx: Keeper, item_id: str) -> Response:
    """Send one again, as the same object."""
    return ctx.change(lambda tx: outbox.resend(tx, item_id), "/outbox")
