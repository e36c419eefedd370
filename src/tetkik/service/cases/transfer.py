"""A case moves to the right patient: images sealed anew before anybody waits, what is left removed after."""

from __future__ import annotations

from contextlib import suppress

from tetkik.errors import TetkikError
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.workflow import case_transfer
from tetkik.workflow.case_transfer import CompletedTransfer


def prepare(ctx: RequestContext, case_id: str, patient_id: str) -> None:
    """Bring the images to the disk under the right patient's key, as far as that can be."""
    # What prevents the move is an error of the move itself, or it was made before and is answered again.
    with suppress(TetkikError), ctx.read() as tx:
        case_transfer.prepare_images(tx, case_id, patient_id)


def finish(ctx: RequestContext, decoder: ImageDecoder, done: CompletedTransfer) -> None:
    """Remove what the wrong patient's key could still open, and wake the worker; the move is through."""
    case_transfer.remove_leftover_files(ctx.records, done)
    decoder.work_available.set()
