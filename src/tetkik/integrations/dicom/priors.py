"""Earlier studies of a patient, fetched from archives for comparison (PS3.4, annex C).

An archive that several hospitals share gives one number to several people. So what it says of the patient is
compared before anything is fetched, and what it sends is compared again (`received_decisions.decide`).
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

import structlog
from pydicom.filereader import read_dataset
from sqlalchemy import or_, select

from tetkik.imaging.tags import text
from tetkik.integrations.dicom import query
from tetkik.integrations.dicom.commitment import STORAGE_CLASSES, STORAGE_SYNTAXES
from tetkik.integrations.dicom.query import STUDY_KEYS, FoundStudy, found_studies
from tetkik.integrations.dicom.spool import Origin, Spool, now
from tetkik.integrations.dicomweb import DicomwebError, fetch, find, unreadable
from tetkik.integrations.systems import Configuration, HospitalSystem
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.identity_comparison import compare_with_patient, person_from_identity
from tetkik.records.database import Records
from tetkik.records.images import receiving
from tetkik.records.images.receiving import ReceivedView
from tetkik.records.schema.orders import ReceivedStudy
from tetkik.records.schema.trail import AuditRow
from tetkik.settings import Settings
from tetkik.turkish import fold
from tetkik.values.access import SYSTEM
from tetkik.values.radiograph import Identity
from tetkik.values.states import ReceivedState

# Earlier studies of an archive that is asked by DICOMweb: found by QIDO-RS, fetched by WADO-RS (PS3.18).


_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*")
"""No part of it is `..`, which would lead out of the study."""
_MOST_STUDIES, _MOST_OBJECTS = 1000, 20_000
_LONGEST_META = 64 << 10
_PIECE = 1 << 20


def find_studies(
    systems: Configuration, peer: HospitalSystem, patient_id: str, settings: Settings
) -> tuple[FoundStudy, ...]:
    """As `query.find_studies`.

    Raises:
        DicomwebError: it does not answer.
    """
    query = {"PatientID": patient_id, "includefield": ",".join(STUDY_KEYS), "limit": str(_MOST_STUDIES)}
    return found_studies(find(systems, peer, "studies", query, settings), peer)


def fetch_study(
    systems: Configuration,
    peer: HospitalSystem,
    study_uid: str,
    settings: Settings,
    spool: Spool,
    until: float,
) -> int:
    """Bring the objects of a study into the spool, one after the other; gives how many.

    Raises:
        DicomwebError: it does not answer, or gives something else, or not all by then (`time.monotonic`).
        NoRoom, OSError: the disk is full.
    """
    study = f"studies/{_checked(study_uid, peer)}"
    objects = find(systems, peer, f"{study}/instances", {"limit": str(_MOST_OBJECTS)}, settings)
    for one in objects:
        series, uid = (_checked(text(one, name), peer) for name in ("SeriesInstanceUID", "SOPInstanceUID"))
        if time.monotonic() > until:
            raise DicomwebError(
                "{name} gives a study by DICOMweb too slowly; look at its log.", name=peer.name
            )
        place = f"{study}/series/{series}/instances/{uid}"
        for content in fetch(systems, peer, place, spool.longest_object, settings):
            _keep(spool, peer, content)
    return len(objects)


def _checked(uid: str | None, peer: HospitalSystem) -> str:
    """A UID (PS3.5, section 9.1), which is to be a part of an address."""
    if uid is None or not _UID.fullmatch(uid):
        raise unreadable(peer)
    return uid


def _keep(spool: Spool, peer: HospitalSystem, content: bytes) -> None:
    """Put a file (PS3.10) into the spool by its file meta information; the importer reads the rest of it."""
    if content[128:140] != b"DICM\x02\0\0\0UL\x04\0":
        raise unreadable(peer)
    end = 144 + int.from_bytes(content[140:144], "little")
    try:
        meta = read_dataset(BytesIO(content[144 : min(end, _LONGEST_META)]), False, True)
        kind, uid, syntax = (
            str(meta[name].value)
            for name in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
        )
    except Exception:  # pydicom raises whatever hostile bytes lead to
        raise unreadable(peer) from None
    if kind not in STORAGE_CLASSES or syntax not in STORAGE_SYNTAXES:
        raise unreadable(peer)
    coming = spool.receive(Origin(peer.name, peer.ae_title or "", kind, _checked(uid, peer), syntax, now()))
    try:
        for at in range(end, len(content), _PIECE):
            coming.write(content[at : at + _PIECE])
        coming.keep()
    except ValueError:
        raise unreadable(peer) from None
    finally:
        coming.discard()


_ALIKE = frozenset({"CR", "DX", "DR", "RG"})
"""Radiographs, whatever made them."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Archives:
    """The archives that have `priors`, and the spool into which those bring their studies that we fetch."""

    records: Records
    systems: Configuration
    settings: Settings
    spool: Spool

    def ask(self, since: datetime) -> int:
        """Ask for the newest relevant studies before those that came since; gives how many are coming.

        An archive that does not answer is asked the next time, and keeps the others waiting once.
        """
        coming, silent = 0, set()
        for study, peers in find_unasked(self.records, self.systems, since):
            for peer in peers:
                if peer.name in silent:
                    continue
                try:
                    coming += self._ask(peer, study)
                except Exception as fault:
                    # It is a convenience: whatever an archive does, the study itself is read.
                    silent.add(peer.name)
                    _log.error("priors", peer=peer.name, kind=type(fault).__name__)
        return coming

    def _ask(self, peer: HospitalSystem, study: ReceivedView) -> int:
        assert study.patient_id is not None
        with self.records.read() as tx:
            person = patients.load_person(tx, study.patient_id)
        number = person.number or person.tckn
        if not number:
            return 0
        if peer.is_web:
            found = find_studies(self.systems, peer, number, self.settings)
        else:
            found = query.find_studies(self.systems, peer, number)
        with self.records.read() as tx:
            wanted = [
                one
                for one in found
                if is_relevant(one, study)
                and _fits_issuer(one, peer, study)
                and not compare_with_patient(tx, study.patient_id, _identity(one))
                and person_from_identity(_identity(one)).name
            ]
        wanted = wanted[: peer.prior_count]
        with self.records.write(SYSTEM) as tx:
            coming = [
                one
                for one in wanted
                if receiving.expect_prior(tx, one.study_uid, study.patient_id, peer.name)
            ]
        came = 0
        try:
            for one in coming:
                came += self._fetch(peer, one.study_uid)
        finally:
            missing = len(coming) - came
            more: dict[str, Any] = {"not_given": missing} if missing else {}
            if came or not missing:  # else it counts as not asked
                with self.records.write(SYSTEM) as tx:
                    tx.audit(
                        Action.STUDIES_FETCHED,
                        case_id=study.case_id,
                        patient_id=study.patient_id,
                        peer=peer.name,
                        found=len(found),
                        count=came,
                        **more,
                    )
        return came

    def _fetch(self, peer: HospitalSystem, study_uid: str) -> bool:
        assert self.systems.listen is not None
        until = time.monotonic() + self.systems.listen.longest_seconds
        # Where this fails in the middle, what came lies in the spool and must find its row there.
        if peer.is_web:
            place = self.settings, self.spool, until
            came = fetch_study(self.systems, peer, study_uid, *place) > 0
        else:
            came = query.move_study(self.systems, peer, study_uid, until)
        if not came:
            with self.records.write(SYSTEM) as tx:
                receiving.forget_expected(tx, study_uid)
        return came


def find_unasked(
    records: Records, systems: Configuration, since: datetime
) -> tuple[tuple[ReceivedView, tuple[HospitalSystem, ...]], ...]:
    """Studies that came since, with the archives that were not asked for earlier ones or gave not all."""
    with records.read() as tx:
        asked = select(AuditRow.case_id, AuditRow.content).where(
            AuditRow.action == Action.STUDIES_FETCHED, AuditRow.at > since
        )
        answers = [
            (case_id, json.loads(content)["detail"])
            for case_id, content in tx.session.execute(asked)
            if content is not None  # erased
        ]
        done = {(case_id, detail["peer"]) for case_id, detail in answers if not detail.get("not_given")}
        came = select(ReceivedStudy.id, ReceivedStudy.case_id).where(
            ReceivedStudy.state == ReceivedState.IMPORTED,
            or_(ReceivedStudy.last_at > since, ReceivedStudy.decided_at > since),
            ReceivedStudy.prior_of.is_(None),
            ReceivedStudy.patient_id.is_not(None),
        )
        return tuple(
            (receiving.load_received(tx, received_id), peers)
            for received_id, case_id in tx.session.execute(came.order_by(ReceivedStudy.last_at)).all()
            if (
                peers := tuple(
                    peer for peer in systems.peers if peer.priors and (case_id, peer.name) not in done
                )
            )
        )


def is_relevant(found: FoundStudy, study: ReceivedView) -> bool:
    """Whether a study is worth comparing: one of an earlier day, of the same kind and part of the body.

    The part stands in the series alone (0018,0015): where the description names it, it must be the same.
    """
    content = study.content
    today = content.identity.study_date or f"{study.first_at:%Y%m%d}"
    # Of the same day, it may be on its way to be read.
    if found.study_uid == content.identity.study_uid or not found.date or found.date >= today:
        return False
    kind = {content.modality} | (_ALIKE if content.modality in _ALIKE else frozenset())
    if found.modalities and not kind & set(found.modalities):
        return False
    own = fold(content.body_part or "")
    named = {_PARTS[word] for word in fold(found.description).split() if word in _PARTS}
    return not own or not named or _PARTS.get(own, own) in named


_PARTS = {
    "chest": "chest",
    "thorax": "chest",
    "toraks": "chest",
    "akciger": "chest",
    "gogus": "chest",
    "head": "head",
    "brain": "head",
    "beyin": "head",
    "kranial": "head",
    "abdomen": "abdomen",
    "batin": "abdomen",
    "pelvis": "pelvis",
    "knee": "knee",
    "diz": "knee",
}
"""Words of descriptions, folded, by the Body Part Examined that they name."""


def _fits_issuer(found: FoundStudy, peer: HospitalSystem, study: ReceivedView) -> bool:
    """A number is the same only where the same authority gave it."""
    issuers = {fold(one) for one in (found.issuer or peer.issuer, study.content.issuer) if one}
    return len(issuers) < 2


def _identity(found: FoundStudy) -> Identity:
    return Identity(
        patient_id=found.patient_id or None,
        patient_name=found.patient_name or None,
        birth_date=found.birth_date or None,
    )
