"""What other systems are asked by DICOM: how many images a study has, earlier studies, the worklist.

C-FIND and C-MOVE of the study root (PS3.4, annex C) and the modality worklist (annex K), as user. A system
that answers with nonsense or a failure knows nothing, and the log says so; of one that does not answer
`Unanswered` tells.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice

import structlog
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.association import Association

from tetkik.errors import TetkikError
from tetkik.imaging.tags import text, texts, whole
from tetkik.integrations.calling import (
    LONGEST_CALL,
    Answer,
    CallOutcome,
    answer_of_store,
    client_context,
    own_title,
)
from tetkik.integrations.dicom.spool import decode_text
from tetkik.integrations.systems import Configuration, HospitalSystem

STUDY_FIND, STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2"
WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
_CONNECT, _ASSOCIATE, _ANSWER, _MOVED = 5.0, 10.0, 30.0, 300.0
"""Seconds for a connection, for the answer to an association, to a question, and between images of C-MOVE."""
_MOST = 1000
"""Answers that are read of one question."""
_PENDING = (0xFF00, 0xFF01)
_log = structlog.get_logger()


class Unanswered(TetkikError):
    """Another system is not there, or takes no association of ours."""


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that an archive has."""

    study_uid: str = field(repr=False)
    patient_id: str = field(repr=False)
    patient_name: str = field(repr=False)
    birth_date: str = field(repr=False)
    issuer: str
    date: str
    """`YYYYMMDD`."""
    modalities: tuple[str, ...]
    description: str = field(repr=False)
    images: int | None


def count_images(systems: Configuration, peer: HospitalSystem, study_uid: str) -> int | None:
    """Number of Study Related Instances (0020,1208) as a system says it; None where it does not.

    Raises:
        Unanswered.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_uid
    query.NumberOfStudyRelatedInstances = ""
    for found in _find(systems, peer, STUDY_FIND, query):
        count = whole(found, "NumberOfStudyRelatedInstances")
        if text(found, "StudyInstanceUID") == study_uid and count is not None and count > 0:
            return count
    return None


def find_studies(systems: Configuration, peer: HospitalSystem, patient_id: str) -> tuple[FoundStudy, ...]:
    """The studies that an archive has of a patient's number, the newest first.

    Raises:
        Unanswered.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.PatientID = patient_id
    for keyword in STUDY_KEYS:
        setattr(query, keyword, "")
    return found_studies(_find(systems, peer, STUDY_FIND, query), peer)


def found_studies(answers: Iterable[Dataset], peer: HospitalSystem) -> tuple[FoundStudy, ...]:
    """What answers of C-FIND or QIDO-RS say, the newest first."""
    found = [
        FoundStudy(
            study_uid=uid,
            patient_id=_text(one, "PatientID", peer),
            patient_name=_text(one, "PatientName", peer),
            birth_date=_text(one, "PatientBirthDate", peer),
            issuer=_text(one, "IssuerOfPatientID", peer),
            date=_text(one, "StudyDate", peer),
            modalities=texts(one, "ModalitiesInStudy"),
            description=_text(one, "StudyDescription", peer),
            images=whole(one, "NumberOfStudyRelatedInstances"),
        )
        for one in answers
        if (uid := text(one, "StudyInstanceUID"))
    ]
    return tuple(sorted(found, key=lambda one: one.date, reverse=True))


def move_study(systems: Configuration, peer: HospitalSystem, study_uid: str, until: float) -> bool:
    """Ask an archive to send us a study by C-STORE; gives whether it says that it did by then
    (`time.monotonic`).

    Raises:
        Unanswered.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_uid
    with _association(systems, peer, STUDY_MOVE, answer_seconds=_MOVED) as association:
        status = 0xFFFF
        for answer, _ in association.send_c_move(query, own_title(systems), STUDY_MOVE):
            status = answer.get("Status", 0xFFFF)
            if status not in _PENDING:
                break
            if time.monotonic() > until:
                association.abort()
                break
    if status not in (0x0000, 0xB000):  # B000: complete, with failures of some (PS3.4 table C.4-2)
        _log.warning("move_failed", peer=peer.name, status=f"{status:04X}H")
    return status in (0x0000, 0xB000)


def find_worklist(systems: Configuration, peer: HospitalSystem, dates: str) -> Iterator[Dataset]:
    """Scheduled procedure steps of a worklist provider on `dates` (`YYYYMMDD-YYYYMMDD`).

    Raises:
        Unanswered.
    """
    query, step = Dataset(), Dataset()
    for keyword in _WORKLIST_KEYS:
        setattr(query, keyword, "")
    for keyword in _STEP_KEYS:
        setattr(step, keyword, "")
    step.ScheduledProcedureStepStartDate = dates
    query.ScheduledProcedureStepSequence = [step]
    yield from _find(systems, peer, WORKLIST_FIND, query)


STUDY_KEYS = (
    "StudyInstanceUID",
    "PatientName",
    "PatientBirthDate",
    "IssuerOfPatientID",
    "StudyDate",
    "StudyTime",
    "ModalitiesInStudy",
    "StudyDescription",
    "NumberOfStudyRelatedInstances",
)
_WORKLIST_KEYS = (
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "RequestedProcedureDescription",
    "RequestedProcedureID",
    "ReasonForTheRequestedProcedure",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestingService",
)
_STEP_KEYS = (
    "Modality",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepID",
)


def _text(dataset: Dataset, keyword: str, peer: HospitalSystem) -> str:
    return repaired_text(dataset, keyword, peer.character_set)


def repaired_text(dataset: Dataset, keyword: str, character_set: str | None) -> str:
    """A text of an answer in the character set that it is in; empty where there is none."""
    element = dataset.get_item(keyword) if keyword in dataset else None
    raw = getattr(element, "value", None)
    if isinstance(raw, bytes) and b"\x1b" not in raw:
        declared = next(iter(texts(dataset, "SpecificCharacterSet")), "")
        return decode_text(raw.strip(b" \0"), declared, character_set).text
    return text(dataset, keyword) or ""


def _find(systems: Configuration, peer: HospitalSystem, model: str, query: Dataset) -> Iterator[Dataset]:
    query.SpecificCharacterSet = "ISO_IR 192"
    with _association(systems, peer, model) as association:
        status = 0xFFFF
        for answer, found in islice(association.send_c_find(query, model), _MOST):
            status = answer.get("Status", 0xFFFF)
            if status in _PENDING and found is not None:
                yield found
        if status == 0xFFFF:
            raise _unanswered(peer, "no answer")
        if status not in (0x0000, *_PENDING):
            _log.warning("find_failed", peer=peer.name, status=f"{status:04X}H")


@contextmanager
def _association(
    systems: Configuration, peer: HospitalSystem, model: str, answer_seconds: float = _ANSWER
) -> Iterator[Association]:
    """An association for one SOP class."""
    if peer.host is None or peer.ae_title is None:
        raise _unanswered(peer, "no host")
    # It would write the words of patients into the log, and decode them as they are declared.
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    entity = AE(ae_title=own_title(systems))
    entity.connection_timeout, entity.acse_timeout = _CONNECT, _ASSOCIATE
    entity.dimse_timeout = entity.network_timeout = answer_seconds
    entity.add_requested_context(model)
    try:
        tls = (client_context(systems.listen), peer.host) if peer.tls else None
    except OSError as error:
        raise _unanswered(peer, type(error).__name__) from None
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls)
    if not association.is_established:
        raise _unanswered(peer, "rejected or no answer")
    try:
        if not association.accepted_contexts:
            raise _unanswered(peer, "it does not offer this")
        yield association
    finally:
        association.release() if association.is_established else association.abort()


def _unanswered(peer: HospitalSystem, fault: str) -> Unanswered:
    _log.warning("association_failed", peer=peer.name, fault=fault)
    return Unanswered(
        "{name} does not answer by DICOM; check its host and port, and that it knows our AE title.",
        name=peer.name,
    )


# Objects sent to an archive by C-STORE (PS3.4, annex B): each one's status, and what follows from it.


_CONNECT_STORE, _ASSOCIATE_STORE, _ANSWER_STORE = 10.0, 30.0, 60.0
"""Seconds for a connection, for the answer to an association, and to an object."""


def store(systems: Configuration, peer: HospitalSystem, objects: Sequence[bytes]) -> Answer:
    """Send files (PS3.10) over one association; the first that is not stored ends it.

    The answer is that of the last one, or of the worst: a warning outweighs success.
    """
    datasets = [dcmread(BytesIO(content)) for content in objects]
    if peer.host is None or peer.ae_title is None:
        return Answer.permanent("no host and ae_title")
    entity = AE(ae_title=own_title(systems))
    entity.connection_timeout, entity.acse_timeout = _CONNECT_STORE, _ASSOCIATE_STORE
    entity.dimse_timeout = entity.network_timeout = _ANSWER_STORE
    for sop_class in sorted({one.SOPClassUID for one in datasets}):
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    try:
        tls = (client_context(systems.listen), peer.host) if peer.tls else None
    except OSError as error:  # an SSLError is one, too
        return Answer.unavailable(f"TLS: {type(error).__name__}")
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls)
    if not association.is_established:
        return _no_association(association, (peer.host, peer.port))
    try:
        worst, until = Answer.done("0000H"), time.monotonic() + LONGEST_CALL
        for dataset in datasets:
            if time.monotonic() > until:
                return Answer.transient("the answers come too slowly")
            answer = _store(association, dataset)
            if answer.outcome is not CallOutcome.DONE:
                return answer
            worst = worst if answer.status == "0000H" else answer
        return worst
    finally:
        association.release() if association.is_established else association.abort()


def _store(association: Association, dataset: Dataset) -> Answer:
    sop_class = UID(dataset.SOPClassUID)
    if not any(one.abstract_syntax == sop_class for one in association.accepted_contexts):
        return Answer.permanent(f"no presentation context for {sop_class.name}")
    try:
        status = association.send_c_store(dataset)
    except (RuntimeError, ValueError, AttributeError) as error:
        # The association is gone, or the object cannot be encoded for the syntax that was accepted.
        gone = not association.is_established
        return (Answer.transient if gone else Answer.permanent)(type(error).__name__)
    if "Status" not in status:
        return Answer.transient("the association was aborted")
    return answer_of_store(status.Status, str(status.get("ErrorComment", "")))


def _no_association(association: Association, address: tuple[str, int]) -> Answer:
    """Rejected, with the peer's reason (PS3.8, section 9.3.4); aborted; or nobody there, and why."""
    primitive = association.acceptor.primitive
    if association.is_rejected and primitive is not None and primitive.result is not None:
        words = f"A-ASSOCIATE-RJ: {primitive.result_str}, {primitive.reason_str}"
        return Answer.permanent(words) if primitive.result == 1 else Answer.unavailable(words)
    try:  # pynetdicom tells a failed connection from an abort in its log alone
        socket.create_connection(address, _CONNECT_STORE).close()
    except OSError as error:
        return Answer.unavailable(f"no connection: {error.strerror or type(error).__name__}")
    return Answer.unavailable("the association was aborted or not answered")
