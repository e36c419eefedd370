"""Storage commitment, push model (PS3.4 annex J): our word for what is safe, and for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role
from pynetdicom.events import Event
from pynetdicom.presentation import AllStoragePresentationContexts, PresentationContext, build_context

from tetkik.integrations.calling import client_context
from tetkik.integrations.dicom.spool import Spool
from tetkik.integrations.systems import Configuration, HospitalSystem, Service

# What we offer who calls us by DICOM: SOP classes and transfer syntaxes, by what a peer may do.
#
# The conformance statement (docs/conformance-dicom.md) is written from here.


VERIFICATION = UID("1.2.840.10008.1.1")
STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
MODALITY_WORKLIST = UID("1.2.840.10008.5.1.4.31")
PLAIN_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
)
STORAGE_SYNTAXES = (
    *PLAIN_SYNTAXES,
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE Lossless
)
"""What our decoders read. An object is stored as it came: none is converted."""
STORAGE_CLASSES = tuple(str(context.abstract_syntax) for context in AllStoragePresentationContexts)


def offered(service: Service) -> tuple[PresentationContext, ...]:
    """The presentation contexts of a service, of which we are the SCP; none for one that is no DICOM."""
    if service is Service.STORE:
        return tuple(build_context(uid, list(STORAGE_SYNTAXES)) for uid in STORAGE_CLASSES)
    single = {
        Service.ECHO: VERIFICATION,
        Service.COMMIT: STORAGE_COMMITMENT,
        Service.WORKLIST: MODALITY_WORKLIST,
    }
    return (build_context(single[service], list(PLAIN_SYNTAXES)),) if service in single else ()


_INSTANCE = UID("1.2.840.10008.1.20.1.1")
REQUEST, ALL_SAFE, SOME_FAILED = 1, 1, 2
"""Action type ID (J.3.2.1) and event type IDs (J.3.3.1)."""
NO_SUCH_OBJECT = 0x0112
SUCCESS, NO_SUCH_ACTION, INVALID = 0x0000, 0x0123, 0x0115
"""PS3.7 annex C."""
MOST = 50_000
_PAUSES = (0.0, 5.0, 60.0, 300.0)
"""Seconds before each try to report on an association of our own."""
_MOST_WAITING = 64

log = structlog.get_logger()


class Commitment:
    """Answers requests, and reports in threads of their own."""

    def __init__(
        self,
        configuration: Configuration,
        spool: Spool,
        imported: Callable[[Collection[str]], dict[str, bool]],
    ) -> None:
        self._configuration = configuration
        self._spool = spool
        self._imported = imported
        self._stopping = threading.Event()
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)

    def request(self, event: Event, peer: HospitalSystem) -> int:
        """The status of an N-ACTION; what is safe is reported afterwards (J.3.3)."""
        if event.action_type != REQUEST:
            return NO_SUCH_ACTION
        try:
            asked = event.action_information
            transaction = str(asked.TransactionUID)
            wanted = [
                (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                for item in asked.ReferencedSOPSequence
            ]
        except Exception:  # whatever pydicom says of a hostile data set
            wanted = []
        if not wanted or len(wanted) > MOST or not self._waiting.acquire(blocking=False):
            log.warning("commitment_refused", peer=peer.name)
            return INVALID
        try:
            report = self.report(transaction, wanted)
            threading.Thread(target=self._send, args=(event.assoc, peer, report), daemon=True).start()
        except BaseException:  # the database is away: the next request has its place again
            self._waiting.release()
            raise
        return SUCCESS

    def report(self, transaction: str, wanted: Collection[tuple[str, str]]) -> Dataset:
        """The event information: of what is asked for, what is safe and what is not."""
        uids = {uid for _, uid in wanted}
        held = self._spool.held(uids)
        # In this order: the importer removes a file only after its row is in the database.
        settled = self._imported(uids)
        safe = {uid for uid in uids if settled.get(uid, uid in held)}
        report = Dataset()
        report.TransactionUID = transaction
        kept, failed = [], []
        for sop_class, uid in wanted:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
            if uid in safe:
                kept.append(item)
            else:
                item.FailureReason = NO_SUCH_OBJECT
                failed.append(item)
        if kept:
            report.ReferencedSOPSequence = kept
        if failed:
            report.FailedSOPSequence = failed
        return report

    def stop(self) -> None:
        """Try no more; a peer that got no report asks again."""
        self._stopping.set()

    def _send(self, assoc: Any, peer: HospitalSystem, report: Dataset) -> None:
        kind = SOME_FAILED if "FailedSOPSequence" in report else ALL_SAFE
        failed = len(report.get("FailedSOPSequence", ()))
        try:
            if peer.host is None:
                sent = not self._stopping.wait(0.2) and _report(assoc, kind, report)
            else:
                sent = any(self._send_anew(peer, kind, report, pause) for pause in _PAUSES)
            how = "commitment_reported" if sent else "commitment_unreported"
            log.info(how, peer=peer.name, kept=len(report.get("ReferencedSOPSequence", ())), failed=failed)
        finally:
            self._waiting.release()

    def _send_anew(self, peer: HospitalSystem, kind: int, report: Dataset, pause: float) -> bool:
        """Report on an association of our own, as SCP of its context (role negotiation, PS3.7 D.3.3.4)."""
        if self._stopping.wait(pause):
            return False
        own = self._configuration.listen
        assert own is not None
        ae = AE(own.ae_title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = own.silent_seconds
        ae.add_requested_context(STORAGE_COMMITMENT)
        assoc = ae.associate(
            peer.host or "",
            peer.port,
            ae_title=peer.ae_title or "ANY-SCP",
            ext_neg=[build_role(STORAGE_COMMITMENT, scp_role=True)],
            tls_args=(client_context(self._configuration.listen), peer.host or "") if peer.tls else None,
        )
        try:
            return _report(assoc, kind, report)
        finally:
            if assoc.is_established:
                assoc.release()


def _report(assoc: Any, kind: int, report: Dataset) -> bool:
    """Whether the other side took the report."""
    if not assoc.is_established:
        return False
    try:
        status, _ = assoc.send_n_event_report(report, kind, STORAGE_COMMITMENT, _INSTANCE)
    except (RuntimeError, ValueError):  # released meanwhile, or the role was refused
        return False
    return bool(status) and status.Status == SUCCESS
