"""A case moves to the right patient: images sealed anew before anybody waits, what is left removed after."""

from __future__ import annotations

from contextlib import suppress

from tetkik.errors import TetkikError
from tetkik.records.database import Transaction
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.values import Actor, MoveReason
from tetkik.workflow import case_transfer
from tetkik.workflow.case_transfer import CompletedTransfer


class CaseTransfer:
    """One case on its way from the wrong patient to the right one."""

    def __init__(
        self, context: AppContext, decoder: ImageDecoder, actor: Actor, case_id: str, patient_id: str
    ) -> None:
        self._context = context
        self._decoder = decoder
        self._actor = actor
        self._case_id = case_id
        self._patient_id = patient_id
        self._done: CompletedTransfer | None = None

    def prepare(self) -> None:
        """Bring the images to the disk under the right patient's key, as far as that can be."""
        # What prevents the move is an error of the move itself, or it was made before and is answered again.
        with suppress(TetkikError), self._context.records.read(self._actor) as tx:
            case_transfer.prepare_images(tx, self._case_id, self._patient_id)

    def transfer(self, tx: Transaction, reason: MoveReason, seen: str, *, sure: bool) -> CompletedTransfer:
        """Move it; see `case_transfer.transfer_case`."""
        self._done = case_transfer.transfer_case(tx, self._case_id, self._patient_id, reason, seen, sure=sure)
        return self._done

    def finish(self) -> None:
        """Remove what the wrong patient's key could still open, and wake the worker; the move is through."""
        if self._done is not None:
            case_transfer.remove_leftover_files(self._context.records, self._done)
            self._decoder.work_available.set()
