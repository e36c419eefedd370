"""Earlier studies of a patient, fetched from archives for comparison (PS3.4, annex C).

An archive that several hospitals share gives one number to several people. So what it says of the patient is
compared before anything is fetched, and what it sends is compared again (`received_decisions.decide`).
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import select

from tetkik.integrations.configuration import Configuration, Peer
from tetkik.integrations.dicom import query
from tetkik.integrations.dicom.query import FoundStudy
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.identity_comparison import compare_with_patient, person_from_identity
from tetkik.records.database import Records
from tetkik.records.images import receiving
from tetkik.records.images.receiving import ReceivedView
from tetkik.records.schema import AuditRow
from tetkik.turkish import fold
from tetkik.values import SYSTEM, Identity, ReceivedState

_ALIKE = frozenset({"CR", "DX", "DR", "RG"})
"""Radiographs, whatever made them."""
_RECENT = timedelta(days=1)
_MOST = 5000
_log = structlog.get_logger()


def find_unasked(records: Records) -> tuple[ReceivedView, ...]:
    """Studies of the last day for which no archive was asked: the program ended before it, or the archive
    was away.
    """
    with records.read() as tx:
        asked = select(AuditRow.case_id).where(
            AuditRow.action == Action.STUDIES_FETCHED, AuditRow.at > tx.now - _RECENT
        )
        done = set(tx.session.scalars(asked))
        found = receiving.list_received(tx, (ReceivedState.IMPORTED,), most=_MOST, since=tx.now - _RECENT)
    return tuple(
        one for one in found if one.prior_of is None and one.case_id is not None and one.case_id not in done
    )


def fetch_priors(records: Records, systems: Configuration, study: ReceivedView) -> int:
    """Ask every archive that has `priors` for the newest relevant studies; gives how many are coming."""
    coming = 0
    for peer in systems.peers:
        if peer.priors and study.patient_id is not None:
            try:
                coming += _fetch_from(records, systems, peer, study)
            except Exception as fault:
                # It is a convenience: whatever an archive does, the study itself is read.
                _log.error("priors", peer=peer.name, kind=type(fault).__name__)
    return coming


def _fetch_from(records: Records, systems: Configuration, peer: Peer, study: ReceivedView) -> int:
    assert study.patient_id is not None
    with records.read() as tx:
        person = patients.load_person(tx, study.patient_id)
    number = person.number or person.tckn
    if not number:
        return 0
    found = query.find_studies(systems, peer, number)
    with records.read() as tx:
        wanted = [
            one
            for one in found
            if is_relevant(one, study)
            and _fits_issuer(one, peer, study)
            and not compare_with_patient(tx, study.patient_id, _identity(one))
            and person_from_identity(_identity(one)).name
        ]
    wanted = wanted[: peer.prior_count]
    with records.write(SYSTEM) as tx:
        coming = [
            one for one in wanted if receiving.expect_prior(tx, one.study_uid, study.patient_id, peer.name)
        ]
        tx.audit(
            Action.STUDIES_FETCHED,
            case_id=study.case_id,
            patient_id=study.patient_id,
            peer=peer.name,
            found=len(found),
            count=len(coming),
        )
    return sum(_move(records, systems, peer, one) for one in coming)


def _move(records: Records, systems: Configuration, peer: Peer, found: FoundStudy) -> bool:
    moved = False
    try:
        moved = query.move_study(systems, peer, found.study_uid)
    finally:
        if not moved:
            with records.write(SYSTEM) as tx:
                receiving.forget_expected(tx, found.study_uid)
    return moved


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


def _fits_issuer(found: FoundStudy, peer: Peer, study: ReceivedView) -> bool:
    """A number is the same only where the same authority gave it."""
    issuers = {fold(one) for one in (found.issuer or peer.issuer, study.content.issuer) if one}
    return len(issuers) < 2


def _identity(found: FoundStudy) -> Identity:
    return Identity(
        patient_id=found.patient_id or None,
        patient_name=found.patient_name or None,
        birth_date=found.birth_date or None,
    )
