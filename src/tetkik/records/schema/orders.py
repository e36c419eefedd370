"""What the hospital's system asked for and told: orders of studies, and encounters of patients."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Moment, enum_column
from tetkik.values.states import OrderState, OutboxState, ReceivedFileState, ReceivedState


class Order(Identified, Base):
    """A study that was ordered for a patient; one order is one scheduled procedure."""

    __tablename__ = "orders"

    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    case_id: Mapped[str | None] = mapped_column(ForeignKey("cases.id"), index=True)
    """That its study is in; None until it came."""
    source: Mapped[str] = mapped_column(String(60))
    """The peer that placed it, by its name in the file of integrations."""
    state: Mapped[OrderState] = mapped_column(enum_column(OrderState))
    accession_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    """Keyed digest, as that of a study: orders of two issuers, or of two years, may share it."""
    placer_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    filler_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    modality: Mapped[str | None] = mapped_column(String(16))
    body_part: Mapped[str | None] = mapped_column(String(16))
    """Body Part Examined (0018,0015), upper case; None where the order does not say it."""
    department: Mapped[str | None] = mapped_column(String(60))
    """That ordered it."""
    station_ae: Mapped[str | None] = mapped_column(String(16))
    """Scheduled Station AE Title (0040,0001); None for any."""
    scheduled_at: Mapped[datetime] = mapped_column(Moment)
    told_at: Mapped[datetime | None] = mapped_column(Moment)
    """When its system said what is known of it, by that one's clock; None where it says no time."""
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed: `orders.OrderContent`."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (
        UniqueConstraint("source", "placer_digest"),
        Index("ix_orders_scheduled", "state", "scheduled_at"),
    )


class Encounter(Identified, Base):
    """A visit or stay of a patient, as the hospital's system tells it: open until it is told to be over."""

    __tablename__ = "encounters"

    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    number_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    """Keyed digest of the Visit Number (HL7 PV1-19)."""
    department: Mapped[str | None] = mapped_column(String(60))
    opened_at: Mapped[datetime | None] = mapped_column(Moment)
    """None where the end alone was told so far."""
    closed_at: Mapped[datetime | None] = mapped_column(Moment)
    told_at: Mapped[datetime] = mapped_column(Moment)
    """When what it says happened; an older message changes nothing any more."""

    __table_args__ = (
        UniqueConstraint("patient_id", "number_digest"),
        Index("ix_encounters_open", "closed_at", "patient_id"),
    )


# What other systems sent, on its way into a case: studies, and the files of each.


class ReceivedStudy(Identified, Base):
    """A study that came by DICOM: one row a Study Instance UID, from its first image on."""

    __tablename__ = "received_studies"

    state: Mapped[ReceivedState] = mapped_column(enum_column(ReceivedState))
    peer: Mapped[str] = mapped_column(String(64))
    """The name that the configuration gives the system which sent the newest file."""
    uid_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    """Keyed digest of the Study Instance UID."""
    verdict: Mapped[str | None] = mapped_column(String(16))
    """`matched`, `doubtful` or `none`; None before the study is complete."""
    order_id: Mapped[str | None] = mapped_column(String(26), index=True)
    case_id: Mapped[str | None] = mapped_column(ForeignKey("cases.id"), index=True)
    patient_id: Mapped[str | None] = mapped_column(ForeignKey("patients.id"), index=True)
    """Whose it is, once the order or a person has said so."""
    prior_of: Mapped[str | None] = mapped_column(ForeignKey("patients.id"), index=True)
    """The patient for whom it was fetched as an earlier study; None where it was sent to us."""
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed `ReceivedContent`: under the patient's key, or the installation's before there is a patient."""
    files: Mapped[int] = mapped_column(default=0)
    """Different files that came."""
    imported: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    """Set aside, each with its reason."""
    expected: Mapped[int | None]
    """Images of the study as its source counts them (0020,1208); None where it does not say."""
    asked_at: Mapped[datetime | None] = mapped_column(Moment)
    """When the source was last asked for that number."""
    first_at: Mapped[datetime] = mapped_column(Moment)
    """Of the first file since the study was last imported."""
    last_at: Mapped[datetime] = mapped_column(Moment)
    fault: Mapped[str | None] = mapped_column(Text)
    """JSON of the sentence that says why it failed or was refused; nothing in it names a patient."""
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (Index(None, "state", "last_at"),)


class ReceivedFile(Identified, Base):
    """One file of a received study: where it is, so that a program that ends in the middle goes on there."""

    __tablename__ = "received_files"

    received_id: Mapped[str] = mapped_column(ForeignKey("received_studies.id"), index=True)
    state: Mapped[ReceivedFileState] = mapped_column(enum_column(ReceivedFileState))
    name: Mapped[str] = mapped_column(String(120), unique=True)
    """Of the file in the spool; it names no patient."""
    instance_digest: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    """Keyed digest of the SOP Instance UID."""
    image_id: Mapped[str | None] = mapped_column(ForeignKey("images.id"), index=True)
    fault: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(Moment)


# What goes out to other systems, and how each of them answered.


_SENDING = text("state = 'sending'")


class OutboxItem(Identified, Base):
    """A signed version, or its withdrawal, in one form on its way to one system."""

    __tablename__ = "outbox"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id"))
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    number: Mapped[int]
    """Of the version."""
    withdrawal: Mapped[bool]
    """Whether it says that the version was withdrawn."""
    destination: Mapped[str] = mapped_column(String(40))
    """What the file of systems calls it."""
    form: Mapped[str] = mapped_column(String(16))
    """`sr`, `pdf`, `capture`, `image`, `presentation`, `rejection`, `hl7`, `fhir`."""
    state: Mapped[OutboxState] = mapped_column(enum_column(OutboxState))
    tries: Mapped[int]
    next_at: Mapped[datetime | None] = mapped_column(Moment)
    """When it is sent; while it is being sent, when it counts as not sent. None once settled."""
    status: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: the system's last answer in its own words, which may name the patient."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    settled_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        UniqueConstraint("report_id", "number", "withdrawal", "destination", "form"),
        Index(None, "state", "next_at"),
        # One object at a time goes to a system, whichever process sends it.
        Index(
            "uq_outbox_sending", "destination", unique=True, sqlite_where=_SENDING, postgresql_where=_SENDING
        ),
    )
