"""The modality worklist as its provider (PS3.4, annex K): a scanner asks which orders wait for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.sequence import Sequence
from pynetdicom.events import Event

from tetkik.errors import TetkikError
from tetkik.imaging.tags import identity_of, items, text, texts
from tetkik.integrations.dicom import query
from tetkik.integrations.dicom.query import repaired_text
from tetkik.integrations.dicom.spool import TURKISH, codec_of
from tetkik.integrations.systems import Configuration, HospitalSystem
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.identity_comparison import compare_with_patient, person_from_identity
from tetkik.records.cases.patients import records_of
from tetkik.records.database import Records, Transaction
from tetkik.records.orders import orders
from tetkik.records.orders.orders import YEARS, OrderContent, StoredOrder, scheduled_orders
from tetkik.records.reports.identity import dicom_name
from tetkik.turkish import fold
from tetkik.values.access import SYSTEM
from tetkik.values.radiograph import Identity
from tetkik.values.states import OrderState

MOST = 500
"""Orders of one answer, the earliest first."""
SUCCESS, PENDING, PENDING_UNSUPPORTED, CANCELLED, CANNOT_UNDERSTAND = 0x0000, 0xFF00, 0xFF01, 0xFE00, 0xC000
"""PS3.4 table K.4-1."""
UTF_8 = "ISO_IR 192"
_DATES = re.compile(r"(\d{8})?(-)?(\d{8})?")
_SHORT, _LONG = 16, 64
"""Characters of the representations SH and LO (PS3.5 6.2)."""
_LONGEST_KEY = 3 * _LONG
"""Of what is compared a name is the longest: three groups (PS3.5 6.2, PN)."""
_STATUS = {OrderState.SCHEDULED: "SCHEDULED", OrderState.ARRIVED: "ARRIVED"}
_log = structlog.get_logger()


def answer_worklist(
    records: Records, zone: ZoneInfo, event: Event, peer: HospitalSystem
) -> Iterator[tuple[int, Dataset | None]]:
    """The answers to one C-FIND, each with its status; the trail notes what the peer got."""
    try:
        query = event.identifier
        wanted = next(iter(items(query, "ScheduledProcedureStepSequence")), Dataset())
        since, until = _span(text(wanted, "ScheduledProcedureStepStartDate") or "", zone)
    except Exception:  # of a hostile query pydicom raises whatever its bytes lead to
        _log.warning("worklist_refused", peer=peer.name, reason="not to be understood")
        yield CANNOT_UNDERSTAND, None
        return
    with records.read() as tx:
        orders = scheduled_orders(
            tx,
            since=since,
            until=until,
            modality=(text(wanted, "Modality") or "").upper() or None,
            station_ae=text(wanted, "ScheduledStationAETitle"),
            most=MOST,
        )
        found = [answer for order in orders if _fits(answer := _entry(tx, order, peer, zone), query)]
    with records.write(SYSTEM) as tx:
        tx.audit(Action.WORKLIST_SENT, peer=peer.name, count=len(found))
    if len(orders) == MOST:
        _log.warning("worklist_cut", peer=peer.name, most=MOST)
    for answer in found:
        if event.is_cancelled:
            yield CANCELLED, None
            return
        supported = _reduce(answer, query)
        answer.SpecificCharacterSet = _character_set(answer, peer, query)
        yield PENDING if supported else PENDING_UNSUPPORTED, answer


def _entry(tx: Transaction, order: StoredOrder, peer: HospitalSystem, zone: ZoneInfo) -> Dataset:
    """An order as a worklist item, with everything that is known (PS3.4 table K.6-1)."""
    person, content = patients.load_person(tx, order.patient_id), order.content
    at = order.scheduled_at.astimezone(zone)
    step = Dataset()
    step.Modality = content.modality.upper()[:_SHORT]
    step.ScheduledStationAETitle = content.station_ae or peer.ae_title or ""
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = (
        f"{at:%Y%m%d}",
        f"{at:%H%M%S}",
    )
    step.ScheduledPerformingPhysicianName = ""
    step.ScheduledProcedureStepDescription = (content.procedure or content.body_part)[:_LONG]
    step.ScheduledProcedureStepID = order.id[-_SHORT:]
    step.ScheduledProcedureStepStatus = _STATUS.get(order.state, "SCHEDULED")
    step.ScheduledStationName = ""
    entry = Dataset()
    entry.ScheduledProcedureStepSequence = Sequence([step])
    # A number that is cut would be another one.
    entry.AccessionNumber = content.accession if len(content.accession) <= _SHORT else ""
    entry.ReferringPhysicianName = dicom_name(content.referrer)[:_LONG]
    entry.PatientName = dicom_name(person.name)[:_LONG]
    entry.PatientID = (person.number or person.tckn)[:_LONG]
    entry.IssuerOfPatientID = person.issuer[:_LONG]
    entry.PatientBirthDate = person.birth_date
    entry.PatientSex = person.sex.value if person.sex is not None else ""
    entry.StudyInstanceUID = study_uid(order.id)
    entry.RequestedProcedureID = order.id[-_SHORT:]
    entry.RequestedProcedureDescription = content.procedure[:_LONG]
    entry.ReasonForTheRequestedProcedure = content.question[:_LONG]
    entry.RequestingService = content.department[:_LONG]
    entry.PlacerOrderNumberImagingServiceRequest = content.placer_number[:_LONG]
    entry.FillerOrderNumberImagingServiceRequest = content.filler_number[:_LONG]
    for keyword in ("PatientWeight", "PatientComments", "MedicalAlerts", "Allergies", "PregnancyStatus"):
        setattr(entry, keyword, None)
    return entry


def study_uid(order_id: str) -> str:
    """The Study Instance UID of an order's study: always the same (PS3.5, annex B.2)."""
    digest = hashlib.sha256(f"tetkik order {order_id}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _fits(entry: Dataset, query: Dataset) -> bool:
    """Whether an entry has the other keys of a query; letters are folded, `*` and `?` stand for any."""
    for keyword in ("PatientName", "PatientID", "AccessionNumber", "RequestedProcedureID"):
        asked = text(query, keyword) or ""
        if asked and not matches_wildcards(asked, text(entry, keyword) or ""):
            return False
    return True


def matches_wildcards(asked: str, value: str) -> bool:
    """Whether a value is what was asked for; each piece is looked for once, however many `*` there are."""
    if len(asked) > _LONGEST_KEY:
        return False
    pieces = [".".join(re.escape(fold(part)) for part in one.split("?")) for one in asked.split("*")]
    first, last = pieces[0], pieces[-1] if len(pieces) > 1 else None
    pattern = first + "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece)
    return (
        re.fullmatch(pattern + (f".*{last}" if last is not None else ""), fold(value), re.DOTALL) is not None
    )


def _span(dates: str, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """The ends of a range of days (PS3.4 C.2.2.2.5); ValueError for no range."""
    match = _DATES.fullmatch(dates.strip())
    if match is None:
        raise ValueError("no dates")
    first, dash, last = match.groups()
    until = last if dash else first
    start = _day(first, zone) if first else None
    end = _day(until, zone) + timedelta(days=1) if until else None
    return start, end


def _day(digits: str, zone: ZoneInfo) -> datetime:
    return datetime.strptime(digits, "%Y%m%d").replace(tzinfo=zone).astimezone(UTC)


def _reduce(entry: Dataset, query: Dataset) -> bool:
    """Leave what was asked for; gives whether all of that is known here. A query without keys gets all."""
    supported = True
    for asked, answer in ((query, entry), *_steps(query, entry)):
        keys = set(asked.keys()) - {tag_for_keyword("SpecificCharacterSet")}
        if keys:
            supported = supported and keys <= set(answer.keys())
            for tag in set(answer.keys()) - keys:
                del answer[tag]
    return supported


def _steps(query: Dataset, entry: Dataset) -> list[tuple[Dataset, Dataset]]:
    asked = next(iter(items(query, "ScheduledProcedureStepSequence")), None)
    return [(asked, entry.ScheduledProcedureStepSequence[0])] if asked is not None else []


def _character_set(entry: Dataset, peer: HospitalSystem, query: Dataset) -> str:
    """What the peer reads: that of its setting, else UTF-8 where it asks in it, else Latin-5, as of old."""
    asked = UTF_8 if UTF_8 in texts(query, "SpecificCharacterSet") else TURKISH
    wanted = peer.character_set if peer.character_set in python_encoding else asked
    words = "".join(str(element.value) for element in entry.iterall() if element.VR != "SQ")
    with suppress(UnicodeEncodeError):
        words.encode(codec_of(wanted) or "ascii")
        return wanted
    return UTF_8


# Orders from the worklist provider of the hospital (PS3.4, annex K, as user), where none come by HL7.


AHEAD = timedelta(days=2)
"""How far ahead orders are taken."""


def take_worklist(records: Records, systems: Configuration, peer: HospitalSystem, zone: ZoneInfo) -> int:
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


def _identity(entry: Dataset, peer: HospitalSystem) -> Identity:
    name, number = (repaired_text(entry, one, peer.character_set) for one in ("PatientName", "PatientID"))
    return replace(identity_of(entry), patient_name=name or None, patient_id=number or None)


def _content(entry: Dataset, peer: HospitalSystem, zone: ZoneInfo) -> OrderContent:
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


def _scheduled_at(step: Dataset, peer: HospitalSystem, zone: ZoneInfo) -> datetime:
    date = text(step, "ScheduledProcedureStepStartDate") or ""
    time = (text(step, "ScheduledProcedureStepStartTime") or "").partition(".")[0].ljust(6, "0")[:6]
    stated = datetime.strptime(date + time, "%Y%m%d%H%M%S").replace(tzinfo=zone)
    if stated.year not in YEARS:
        raise ValueError("no appointment of our time")
    return stated.astimezone(UTC) - timedelta(minutes=peer.clock_offset_minutes)


def _take(tx: Transaction, peer: HospitalSystem, identity: Identity, content: OrderContent) -> bool:
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
