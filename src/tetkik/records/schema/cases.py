"""Whose data it is; a visit with its complaint, studies and images; what people make of the worklist."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Made, Moment, enum_column
from tetkik.values.complaint import UrgencyLevel
from tetkik.values.states import CaseState, LinkReason, MoveReason, RemovalReason, UrgencyReason

# Whose data it is, and the keys that everything hangs on.


class Patient(Identified, Base):
    """A patient; everything sealed about them hangs on `key`."""

    __tablename__ = "patients"

    key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Wrapped by the ring; destroyed at erasure."""
    identity: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed JSON: name, numbers, date of birth, sex, telephone."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    erased_at: Mapped[datetime | None] = mapped_column(Moment)
    erase_after: Mapped[datetime | None] = mapped_column(Moment)
    """Erasure was asked for; signed reports are kept until then by law."""
    name_revision: Mapped[int | None] = mapped_column(BigInteger)
    """Of the last change of the name, one row of numbers for all patients (`name_index`)."""
    told_at: Mapped[datetime | None] = mapped_column(Moment)
    """When the hospital's system said what is known, by its own clock: what is older changes nothing."""

    __table_args__ = (Index(None, "name_revision", "id"),)


class PatientIndex(Base):
    """What a patient is found by: keyed digests of numbers, which are one person's each.

    Names are found in memory (`name_index`): digests of them would tell them by how often they come.
    """

    __tablename__ = "patient_index"

    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    """`tckn`, `number` (of the hospital), `phone`."""
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)

    __table_args__ = (Index(None, "kind", "digest"),)


class PatientLink(Made, Base):
    """A record that another one stands for: both are of one person. Neither loses its key or its content."""

    __tablename__ = "patient_links"

    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), primary_key=True)
    """The record that is replaced; it is replaced by one other alone."""
    survivor_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    """The record that stands for it; it may have been replaced itself since."""
    reason: Mapped[LinkReason] = mapped_column(enum_column(LinkReason))


class RingKey(Base):
    """One random key of the installation; all of them are wrapped again with a new master key."""

    __tablename__ = "keyring"

    purpose: Mapped[str] = mapped_column(String(16), primary_key=True)
    version: Mapped[int]
    """Of the ring; patients' keys name the one that wraps them."""
    master: Mapped[str] = mapped_column(String(16))
    """Fingerprint of the master key that wraps it."""
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime] = mapped_column(Moment)


class Case(Identified, Made, Base):
    """One visit of one patient, from the desk to the signed report."""

    __tablename__ = "cases"

    number: Mapped[str] = mapped_column(String(16), unique=True)
    """What people call it: year and a running number, such as `2026-000123`."""
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    state: Mapped[CaseState] = mapped_column(enum_column(CaseState))
    priority: Mapped[int] = mapped_column(SmallInteger)
    """`values.Priority`: the smallest is read first. `records.cases.priority` alone writes it."""
    priority_chosen: Mapped[int | None] = mapped_column(SmallInteger)
    """The one that a person chose, whatever is found; None lets it follow the findings and triage."""
    urgency: Mapped[UrgencyLevel | None] = mapped_column(enum_column(UrgencyLevel))
    """A person's or else of triage; None without a complaint, or with one that was not assessed."""
    department: Mapped[str | None] = mapped_column(String(60))
    """The one that a person chose; a clinician of another one does not see the case."""
    restricted: Mapped[bool] = mapped_column(default=False)
    """Of a colleague or a person in public view: only with a reason."""
    waiting_since: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)
    question: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: the clinical question of the referrer."""
    emptied_at: Mapped[datetime | None] = mapped_column(Moment)
    """When erasure or the end of retention took everything of the patient out of it."""

    __table_args__ = (
        UniqueConstraint("id", "state", "priority", "waiting_since"),  # what `case_marks` follows
        Index("ix_cases_state", "state", "priority", "waiting_since", "id"),
        Index("ix_cases_department", "department", "state", "priority", "waiting_since", "id"),
        Index("ix_cases_updated", "updated_at", "id"),
        Index(None, "created_at"),
    )


class CaseMark(Base):
    """What a worklist is filtered by and a case may have several of: findings that stand, modalities.

    State, priority and time stand here again, so that one index serves a filter and the order; the database
    itself keeps them equal to those of the case.
    """

    __tablename__ = "case_marks"

    case_id: Mapped[str] = mapped_column(String(26), primary_key=True)
    mark: Mapped[str] = mapped_column(String(200), primary_key=True)
    """`finding:Effusion`, `finding:Effusion|modality:DX|department:Kardiyoloji`: see `cases.filter_index`."""
    state: Mapped[CaseState] = mapped_column(enum_column(CaseState))
    priority: Mapped[int] = mapped_column(SmallInteger)
    waiting_since: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (
        ForeignKeyConstraint(
            ["case_id", "state", "priority", "waiting_since"],
            ["cases.id", "cases.state", "cases.priority", "cases.waiting_since"],
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        Index("ix_case_marks_worklist", "mark", "state", "priority", "waiting_since", "case_id"),
    )


class CaseMove(Made, Base):
    """That a case was opened for the wrong patient, and as which other one it goes on: ids alone."""

    __tablename__ = "case_moves"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    """The case of the wrong patient; it is moved once."""
    moved_to: Mapped[str] = mapped_column(ForeignKey("cases.id"), unique=True)
    """The case of the right one; it may have been moved itself since."""
    reason: Mapped[MoveReason] = mapped_column(enum_column(MoveReason))


class Complaint(Identified, Base):
    """What the patient said, what the model made of it, and what a person decided."""

    __tablename__ = "complaints"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"))
    text: Mapped[bytes | None] = mapped_column(LargeBinary)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed JSON of the triage result."""
    bundle: Mapped[str] = mapped_column(String(120))
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    urgency: Mapped[UrgencyLevel | None] = mapped_column(enum_column(UrgencyLevel))
    """Of triage; None where it could not assess the text."""
    urgency_rules: Mapped[str | None] = mapped_column(Text)
    """Ids of the rules that gave that level, with spaces between."""
    urgency_chosen: Mapped[UrgencyLevel | None] = mapped_column(enum_column(UrgencyLevel))
    """The level that a person set instead; None lets that of triage stand."""
    urgency_reason: Mapped[UrgencyReason | None] = mapped_column(enum_column(UrgencyReason))
    urgency_chosen_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    urgency_chosen_at: Mapped[datetime | None] = mapped_column(Moment)
    department_model: Mapped[str | None] = mapped_column(String(60))
    """First of the model; None where it could not read the text."""
    probability: Mapped[float | None]
    abstained: Mapped[bool]
    department_chosen: Mapped[str | None] = mapped_column(String(60))
    chosen_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    chosen_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment, index=True)
    created_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))


class Claim(Base):
    """Who is reading a case right now."""

    __tablename__ = "claims"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    since: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class Study(Identified, Base):
    """Images that were made together; of files without DICOM tags, those of one upload."""

    __tablename__ = "studies"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    uid_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """Keyed digest of the Study Instance UID."""
    accession_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    tags: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed JSON: UID, accession number, date, description."""
    modality: Mapped[str | None] = mapped_column(String(16))
    body_part: Mapped[str | None] = mapped_column(String(16))
    """Body Part Examined (0018,0015), upper case; None where unknown."""
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (UniqueConstraint("case_id", "uid_digest"), Index(None, "created_at"))


class Image(Identified, Made, Base):
    """One image; its file lies in the store under a name made of its content."""

    __tablename__ = "images"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), index=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    file: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    """Bytes of the file as it came."""
    file_format: Mapped[str] = mapped_column(String(16))
    rows: Mapped[int]
    columns: Mapped[int]
    frames: Mapped[int] = mapped_column(default=1)
    """Of a DICOM file; 1 for every other."""
    spacing: Mapped[str | None] = mapped_column(String(40))
    """Millimetres between rows and columns, as `0.143,0.143`; None where unknown."""
    view: Mapped[str | None] = mapped_column(String(16))
    tags: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed JSON of `values.Identity` and `values.ImageTags`, and the name that the sender gave the file."""
    removed_at: Mapped[datetime | None] = mapped_column(Moment)
    """When a person took it out of its case; None of one that counts."""
    removed_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    removal_reason: Mapped[RemovalReason | None] = mapped_column(enum_column(RemovalReason))
    moved_to: Mapped[str | None] = mapped_column(ForeignKey("images.id"))
    """The same image in the case that it was moved to."""

    __table_args__ = (UniqueConstraint("case_id", "file"), Index(None, "created_by", "created_at"))


class Blob(Identified, Made, Base):
    """A sealed file beside the images: a heatmap, a preview, a presentation state."""

    __tablename__ = "blobs"

    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    """`heat`, `preview`, `presentation`, or what a picture of a report is."""
    label: Mapped[str] = mapped_column(String(60), default="")
    file: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    """Bytes of the file as it came."""

    __table_args__ = (UniqueConstraint("image_id", "kind", "label"),)


# What people make of the worklist: pools of readers, assignments, saved views.


class ReaderPool(Identified, Made, Base):
    """A group of readers to which cases are assigned, such as "Thorax"."""

    __tablename__ = "reader_pools"

    name: Mapped[str] = mapped_column(String(60), unique=True)


class PoolMember(Base):
    """A reader of a pool."""

    __tablename__ = "pool_members"

    pool_id: Mapped[str] = mapped_column(ForeignKey("reader_pools.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)


class Assignment(Base):
    """Who is to read an open case: one reader or one pool. It goes when the case is signed."""

    __tablename__ = "assignments"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"), index=True)
    pool_id: Mapped[str | None] = mapped_column(ForeignKey("reader_pools.id", ondelete="CASCADE"), index=True)
    assigned_at: Mapped[datetime] = mapped_column(Moment)
    assigned_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))


class SavedView(Identified, Made, Base):
    """Filters, order and columns of the worklist under a name; of `created_by`, or everybody's."""

    __tablename__ = "worklist_views"

    name: Mapped[str] = mapped_column(String(60))
    query: Mapped[str] = mapped_column(Text)
    """As the address of the worklist has it after the `?`: codes alone, nothing of a patient."""
    shared: Mapped[bool]

    __table_args__ = (UniqueConstraint("created_by", "name"),)
