"""Orders from the worklist provider of the hospital (PS3.4, annex K, as user), where none come by HL7."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from pydicom import Dataset

from tetkik.errors import TetkikError
from tetkik.imaging.tags import identity_of, items, text
from tetkik.integrations.configuration import Configuration, Peer
from tetkik.integrations.dicom import query
from tetkik.integrations.dicom.query import repaired_text
from tetkik.records.cases import patients
from tetkik.records.cases.identity_comparison import compare_with_patient, person_from_identity
from tetkik.records.cases.patient_links import records_of
from tetkik.records.database import Records, Transaction
from tetkik.records.orders import orders
from tetkik.records.orders.orders import YEARS, OrderContent
from tetkik.values import SYSTEM, Identity, OrderState

AHEAD = timedelta(days=2)
"""How far ahead orders are taken."""
_log = structlog.get_logger()


def take_worklist(records: Records, systems: Configuration, peer: Peer, zone: ZoneInfo) -> int:
    """Take what a provider has scheduled from yesterday on; gives how many orders are new or changed.

    What is not on it any more stays: a provider drops an order when its study has begun, too.
    """
    today = datetime.now(zone)
    dates = f"{today - timedelta(days=1):%Y%m%d}-{today + AHEAD:%Y%m%d}"
    taken = 0
    for entry in query.find_worklist(systems, peer, dates):
        try:
            identity, content = _identity(entry, peer), _content(entry, peer, zone)
            with records.write(SYSTEM) as tx:
                taken += _take(tx, peer, identity, content)
        except TetkikError as fault:
            _log.warning("worklist_entry_refused", peer=peer.name, template=fault.template)
        except Exception as fault:  # of hostile bytes pydicom raises whatever they lead to
            _log.warning("worklist_entry_refused", peer=peer.name, kind=type(fault).__name__)
    return taken


def _identity(entry: Dataset, peer: Peer) -> Identity:
    name, number = (repaired_text(entry, one, peer.character_set) for one in ("PatientName", "PatientID"))
    return replace(identity_of(entry), patient_name=name or None, patient_id=number or None)


def _content(entry: Dataset, peer: Peer, zone: ZoneInfo) -> OrderContent:
    def value_of(keyword: str) -> str:
        return repaired_text(entry, keyword, peer.character_set)

    step = next(iter(items(entry, "ScheduledProcedureStepSequence")), Dataset())
    procedure = value_of("RequestedProcedureDescription") or (
        text(step, "ScheduledProcedureStepDescription") or ""
    )
    accession, requested = value_of("AccessionNumber"), value_of("RequestedProcedureID")
    # Many systems count the procedures of each study from 1: their number alone names no order.
    return OrderContent(
        accession=accession,
        issuer=peer.issuer,
        placer_number=value_of("PlacerOrderNumberImagingServiceRequest") or ("" if accession else requested),
        filler_number=value_of("FillerOrderNumberImagingServiceRequest") or (requested if accession else ""),
        procedure=procedure,
        question=value_of("ReasonForTheRequestedProcedure"),
        referrer=value_of("ReferringPhysicianName").replace("^", " ").strip(),
        modality=(text(step, "Modality") or "").upper(),
        department=value_of("RequestingService"),
        scheduled_at=_scheduled_at(step, peer, zone),
        station_ae=text(step, "ScheduledStationAETitle") or "",
    )


def _scheduled_at(step: Dataset, peer: Peer, zone: ZoneInfo) -> datetime:
    date = text(step, "ScheduledProcedureStepStartDate") or ""
    time = (text(step, "ScheduledProcedureStepStartTime") or "").partition(".")[0].ljust(6, "0")[:6]
    stated = datetime.strptime(date + time, "%Y%m%d%H%M%S").replace(tzinfo=zone)
    if stated.year not in YEARS:
        raise ValueError("no appointment of our time")
    return stated.astimezone(UTC) - timedelta(minutes=peer.clock_offset_minutes)


def _take(tx: Transaction, peer: Peer, identity: Identity, content: OrderContent) -> bool:
    """Place or change one order; gives whether anything was written."""
    filed = replace(person_from_identity(identity), issuer=peer.issuer)
    if not (filed.number or filed.tckn) or not (content.placer_number or content.accession):
        _log.warning("worklist_entry_refused", peer=peer.name, reason="no number")
        return False
    meant = patients.find_by_number(tx, filed)
    if len(meant) > 1 or (meant and compare_with_patient(tx, meant[0], identity)):
        # Two hospitals give one number to two people: an order must not reach the wrong one.
        _log.warning("worklist_entry_refused", peer=peer.name, reason="other patient of this number")
        return False
    patient_id = meant[0] if meant else patients.create(tx, patients.validate_person(filed))
    number = {"placer_number": content.placer_number} if content.placer_number else {}
    found = orders.find_orders(tx, peer.name, **(number or {"accession": content.accession}))
    theirs = records_of(tx, patient_id)
    known = next((one for one in found if one.patient_id in theirs and _is_same(one.content, content)), None)
    if known is None:
        orders.place_order(tx, patient_id, content, peer.name)  # refuses a placer's number of somebody else
        return True
    if known.state in (OrderState.CANCELLED, OrderState.COMPLETED) or known.content == content:
        return False
    orders.change_order(tx, known.id, content)
    return True


def _is_same(known: OrderContent, content: OrderContent) -> bool:
    """Whether two that share the placer's or the accession number are one order, not two of one request."""
    if content.placer_number:
        return True
    return not (known.filler_number and content.filler_number) or known.filler_number == content.filler_number
