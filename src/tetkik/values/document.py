"""What a document is made of: its content, whose it is, the hospital that writes it, and who signed it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from tetkik.values.common import ADDED
from tetkik.values.finding import FindingsResult
from tetkik.values.measurement import Measurement
from tetkik.values.radiograph import Identity, ImageTags, View
from tetkik.values.report import Draft, ReportContent
from tetkik.values.states import Judgement


class ReportState(StrEnum):
    """How far a report is."""

    DRAFT = "draft"
    FINAL = "final"
    AMENDED = "amended"
    WITHDRAWN = "withdrawn"
    """Issued in error; of a document `standing` says so, for what was signed keeps its own word."""


class WithdrawalReason(StrEnum):
    """Why a signed report was issued in error."""

    WRONG_PATIENT = "wrong_patient"
    WRONG_IMAGE = "wrong_image"
    WRONG_CASE = "wrong_case"
    WRONG_TEXT = "wrong_text"
    UNFINISHED = "unfinished"
    OTHER = "other"


DEMONSTRATION = "DENEME HASTANESİ · demo, invented patients"
"""The name of the hospital in a demonstration: it stands in the head of every document of it."""


@dataclass(frozen=True, slots=True)
class Hospital:
    """The hospital that writes the report, its department, such as `Radyoloji`, and a PNG or JPEG as logo."""

    name: str = ""
    department: str = ""
    address: str = ""
    logo: bytes | None = field(default=None, repr=False)
    time_zone: str = field(default="", metadata=ADDED)  # such as `Europe/Istanbul`; empty is the machine's
    authority: str = field(default="", metadata=ADDED)  # who assigns its patients' numbers
    oid: str = field(default="", metadata=ADDED)  # of that authority; empty where it has none

    @property
    def demonstration(self) -> bool:
        """Whether its patients are invented."""
        return self.name == DEMONSTRATION

    def local(self, moment: datetime) -> datetime:
        """The same moment by the clocks of the hospital."""
        return moment.astimezone(ZoneInfo(self.time_zone) if self.time_zone else None)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who answers for a report, with a title, such as `Uzm. Dr.`, and a number, such as the diploma's."""

    name: str
    title: str = ""
    registration: str = ""
    signed_at: datetime = field(kw_only=True)

    def __post_init__(self) -> None:
        if self.signed_at.tzinfo is None:
            raise ValueError("a signature's time needs its zone")


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """That a signed report stands no longer; it is a signed act as the report was."""

    why: WithdrawalReason
    words: str = field(repr=False)
    signature: Signature


@dataclass(frozen=True, slots=True)
class ReplacedVersion:
    """The version that a report takes the place of, and why; no reason where that one was withdrawn."""

    number: int
    signed_at: datetime
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JudgedFinding:
    """What a radiologist says of one label."""

    label: str
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class ReportedImage:
    """One of the images that a report is about; the UIDs are those of its DICOM file, where it is one."""

    id: str
    view: View | None = None
    series_uid: str | None = None
    instance_uid: str | None = None
    sop_class: str | None = None


@dataclass(frozen=True, slots=True)
class ReportDocument:
    """A report as every document format is made of it.

    Attributes:
        heatmap: the same with the model's heatmap as a PNG, for `heatmap_label` where that is known.
        withdrawal: of what was signed; None where it stands. No part of what was signed.
        images: of the study, where it has several; the first stands for it.
        number: of the report, as people call it: `2026-000123-1`; empty of one that no records have.
        department: that refers the patient; empty where unknown.
    """

    id: str  # of the report, the same in all its versions; says nothing about the patient
    content: ReportContent
    result: FindingsResult | None  # what the model found, in its own words; None where none was asked
    identity: Identity  # whose it is; empty for a file without a patient
    tags: ImageTags
    hospital: Hospital
    state: ReportState
    created: datetime
    version: int = 1  # from 1
    signature: Signature | None = None
    image: bytes | None = field(default=None, repr=False)  # the original as a PNG
    heatmap: bytes | None = field(default=None, repr=False)
    heatmap_label: str | None = None
    judgements: tuple[JudgedFinding, ...] = ()
    withdrawal: Withdrawal | None = None
    images: tuple[ReportedImage, ...] = field(default=(), metadata=ADDED)
    key_pictures: tuple[bytes, ...] = field(default=(), repr=False, metadata=ADDED)  # of its key images
    number: str = field(default="", metadata=ADDED)
    department: str = field(default="", metadata=ADDED)
    replaces: ReplacedVersion | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        if self.created.tzinfo is None:
            raise ValueError("a report's time needs its zone")
        if (self.signature is None) is not (self.state is ReportState.DRAFT):
            raise ValueError("a report is signed exactly when it is no draft")
        if self.state is ReportState.WITHDRAWN or (self.withdrawal is not None and self.signature is None):
            raise ValueError("what is withdrawn was signed, and keeps the state that it was signed in")
        if self.signature is not None and (self.draft.open_marks or self.draft.exercise):
            raise ValueError("a report with open marks, or about no patient, cannot be signed")

    @property
    def draft(self) -> Draft:
        return self.content.draft

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What was measured; arrows and texts stand in the key images and in presentation states alone."""
        return self.content.measured

    @property
    def standing(self) -> ReportState:
        """How far it is now: `state`, unless it was withdrawn after the signature."""
        return self.state if self.withdrawal is None else ReportState.WITHDRAWN

    @property
    def verification(self) -> str:
        """SHA-256 of what was written, for whom, and who signed it, hexadecimal.

        Two documents with the same value say the same; it tells nothing about the patient.
        """
        signed = self.signature
        content: dict[str, object] = {
            "id": self.id,
            "version": self.version,
            "state": self.state,
            "patient": [self.identity.patient_id, self.identity.patient_name, self.identity.birth_date],
            "study": [self.identity.study_uid, self.identity.accession],
            "image": self.result.sha256 if self.result is not None else None,
            "signature": None if signed is None else [signed.name, signed.signed_at.isoformat()],
            **self.content.verified(),
        }
        if self.images:
            content["images"] = [[item.id, item.instance_uid] for item in self.images]
        about = [self.identity.national_id or "", self.number, self.department]
        if any(about):
            content["about"] = about
        if self.judgements:
            content["judgements"] = [[item.label, item.judgement] for item in self.judgements]
        if self.replaces is not None:
            old = self.replaces
            content["replaces"] = [old.number, old.signed_at.isoformat(), old.reason]
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
