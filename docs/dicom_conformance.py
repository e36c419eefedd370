"""The DICOM conformance statement (PS3.2) as parts of a page, from what the code offers."""

from __future__ import annotations

from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tetkik.integrations.dicom import acceptor, commitment, query, worklist
from tetkik.integrations.dicom.acceptor import MAXIMUM_PDU
from tetkik.integrations.dicom.commitment import PLAIN_SYNTAXES, STORAGE_SYNTAXES, offered
from tetkik.integrations.systems import DicomListener, ResultForm, Service
from tetkik.records.reports.outbox import DICOM_FORMS, REJECTION

Part = str | tuple[tuple[str, ...], list[tuple[str, ...]]]
_SERVICES = {
    Service.ECHO: "Verification (PS3.4 annex A)",
    Service.COMMIT: "Storage Commitment, push model (annex J)",
    Service.WORKLIST: "Modality Worklist (annex K)",
    Service.STORE: "Storage (annex B)",
}


_RESULTS = {
    "sr": Comprehensive3DSRStorage,
    "pdf": EncapsulatedPDFStorage,
    "capture": SecondaryCaptureImageStorage,
    "image": SecondaryCaptureImageStorage,
    "presentation": GrayscaleSoftcopyPresentationStateStorage,
    REJECTION: KeyObjectSelectionDocumentStorage,
}
_ASKED = (query.STUDY_FIND, query.STUDY_MOVE, query.WORKLIST_FIND)


def parts() -> list[Part]:
    """Text, and tables as titles and rows."""
    return [
        "# DICOM conformance statement",
        "What `tetkik listen` offers who calls it. A peer is offered what the file of systems allows it "
        "([how-to](how-to/integrations.md)), and nothing else of these tables.",
        "## Association",
        (("property", "value"), _association()),
        "## Who is refused",
        (("case", "answer"), _refusals()),
        "## Services as SCP",
        (
            ("service", "`allow`", "SOP class", "UID", "role", "transfer syntaxes"),
            [
                (
                    name,
                    f"`{service.value}`",
                    UID(str(context.abstract_syntax)).name,
                    str(context.abstract_syntax),
                    "SCP",
                    "storage" if service is Service.STORE else "plain",
                )
                for service, name in _SERVICES.items()
                for context in offered(service)
            ],
        ),
        "## Transfer syntaxes",
        "Of those that a peer proposes in a presentation context, the first one of ours is accepted.",
        (
            ("transfer syntax", "UID", "storage", "plain"),
            [(UID(uid).name, uid, "yes", "yes" if uid in PLAIN_SYNTAXES else "") for uid in STORAGE_SYNTAXES],
        ),
        "## Storage",
        "Level 2 (full): every attribute is kept. The encoded data set is stored as it came; nothing is "
        "coerced or converted. Success means that the object lies on the disk, synchronised. The same object "
        "again is a success and changes nothing.",
        (("status", "meaning"), _statuses()),
        "## Storage commitment",
        "An object is committed that lies in the spool or in the database. It is reported by N-EVENT-REPORT "
        "on an association of our own where the file names the peer's `host` (with role selection: we are "
        "the SCP), and else on the association of the request. Where no report is taken it is tried again "
        "for some minutes; a peer that got none asks again.",
        (("what", "value"), _commitment()),
        "## Modality worklist",
        "Matching keys: Scheduled Station AE Title, Scheduled Procedure Step Start Date (a day or a range), "
        "Modality; Patient's Name (wildcards; letters are folded), Patient ID, Accession Number, Requested "
        f"Procedure ID. What is asked for is returned, up to {worklist.MOST} entries, in ISO_IR 148, in "
        "UTF-8 where the query is in it, or in the peer's `character_set`.",
        (("status", "meaning"), _worklist_statuses()),
        "## Services as SCU",
        "Peers are asked by the keys of the file `expected_count`, `priors` and `worklist`, and tried by "
        "`tetkik listen --check`; results go to them by the routes of the file.",
        (("SOP class", "UID", "role"), [(UID(uid).name, uid, "SCU") for uid in (*_ASKED, Verification)]),
        "A result is proposed and sent in Explicit VR Little Endian or Implicit VR Little Endian. Storage "
        "commitment is not asked for.",
        (("result, by its name in a route", "SOP class", "UID", "role"), _stored()),
        "## DICOMweb as a user",
        "Of a peer with an address of DICOMweb (PS3.18) Store Instances (STOW-RS) is asked in the place of "
        "C-STORE: `multipart/related` of `application/dicom`, the answer in `application/dicom+json`. "
        "Earlier studies are searched for (QIDO-RS, studies and instances) and fetched (WADO-RS, instance by "
        "instance, as they are stored) from a peer with `priors` and no host. "
        "Tetkik is no server of DICOMweb.",
        "## Security",
        "TLS 1.2 or newer where the file names a certificate (PS3.15 B.9); with `tls_ca` a peer must show a "
        "certificate of that authority. User identity negotiation (PS3.7 D.3.3.7) is not used.",
    ]


def _stored() -> list[tuple[str, ...]]:
    """Every form in which a result goes to an archive."""
    assert set(_RESULTS) == {*DICOM_FORMS, REJECTION}, "a form without its SOP class"
    chosen = {form.value for form in ResultForm}
    return [
        (f"`{form}`" if form in chosen else f"{form} (goes along)", UID(uid).name, uid, "SCU")
        for form, uid in _RESULTS.items()
    ]


def _association() -> list[tuple[str, ...]]:
    own = DicomListener()
    return [
        ("application context", "1.2.840.10008.3.1.1.1"),
        ("AE title, by default", f"`{own.ae_title}`"),
        ("port, by default", str(own.port)),
        ("most bytes of a PDU that we receive", f"{MAXIMUM_PDU:,}"),
        ("associations at once, by default", f"{own.processes} processes of {own.associations} each"),
        ("asynchronous operations", "none: one request at a time (PS3.7 D.3.3.3)"),
        ("time-out, by default", f"{own.silent_seconds} s without a message, or for one PDU"),
        ("implementation class UID", str(PYNETDICOM_IMPLEMENTATION_UID)),
        ("implementation version name", PYNETDICOM_IMPLEMENTATION_VERSION),
    ]


def _refusals() -> list[tuple[str, ...]]:
    def rejection(values: tuple[int, int, int]) -> str:
        return "A-ASSOCIATE-RJ, result {}, source {}, reason {}".format(*values)

    return [
        ("an address of no peer", "the connection is closed"),
        ("a calling AE title that no peer has at that address", rejection(acceptor.CALLING_AE)),
        ("a called AE title that is not ours", rejection(acceptor.CALLED_AE)),
        ("more associations than allowed", rejection(acceptor.LOCAL_LIMIT)),
        ("a service that the peer is not allowed", "its presentation contexts are rejected"),
        ("bytes that are no PDU, or a message without an end", "A-ABORT"),
    ]


def _statuses() -> list[tuple[str, ...]]:
    return [
        (f"{acceptor.SUCCESS:04X}H", "on the disk"),
        (
            f"{acceptor.OUT_OF_RESOURCES:04X}H",
            "the disk is full up to its reserve, or the object is too long",
        ),
        (f"{acceptor.CANNOT_UNDERSTAND:04X}H", "the object is empty"),
    ]


def _worklist_statuses() -> list[tuple[str, ...]]:
    return [
        (f"{worklist.PENDING:04X}H", "an entry"),
        (f"{worklist.PENDING_UNSUPPORTED:04X}H", "an entry, without a key that we do not know"),
        (f"{worklist.SUCCESS:04X}H", "that was all"),
        (f"{worklist.CANCELLED:04X}H", "cancelled by the peer"),
        (f"{worklist.CANNOT_UNDERSTAND:04X}H", "the query cannot be understood"),
    ]


def _commitment() -> list[tuple[str, ...]]:
    return [
        ("N-ACTION, action type", str(commitment.REQUEST)),
        ("status: the request is taken", f"{commitment.SUCCESS:04X}H"),
        ("status: another action type", f"{commitment.NO_SUCH_ACTION:04X}H"),
        ("status: no list, one that is too long, or too many requests at once", f"{commitment.INVALID:04X}H"),
        ("event type: all are safe", str(commitment.ALL_SAFE)),
        ("event type: some are not", str(commitment.SOME_FAILED)),
        ("failure reason of those", f"{commitment.NO_SUCH_OBJECT:04X}H"),
        ("most objects of a request", f"{commitment.MOST:,}"),
    ]
