"""Drafts, signed versions, signatures, and what people corrected.

Versions, signatures and withdrawals never change.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Made, Moment, SignedBy, enum_column
from tetkik.values import AccountChange, Judgement, ReportState, WithdrawalReason


class Report(Identified, Base):
    """A report about the images of a study: the working draft, and the number of its last signed version."""

    __tablename__ = "reports"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), index=True, unique=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), unique=True)
    """The image that stands for the study: its picture is the document's."""
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    state: Mapped[ReportState] = mapped_column(enum_column(ReportState))
    language: Mapped[str] = mapped_column(String(2))
    writer: Mapped[str] = mapped_column(String(120))
    revision: Mapped[int] = mapped_column(default=1)
    """Grows with each save; who saves names the one that they saw."""
    machine: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed JSON of the draft as the machine wrote it."""
    draft: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed JSON of the draft as it stands."""
    amending: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed reason of an amendment under way; None where none is."""
    version: Mapped[int] = mapped_column(default=0)
    """Of the last signed one; 0 before the first."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)
    updated_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))

    # What statistics read stands in the index: else they pass over every sealed draft.
    __table_args__ = (Index("ix_reports_of_period", "created_at", "study_id", "id"),)


class ReportVersion(Identified, Base):
    """What was signed, for ever. An amendment is a new version that names the old."""

    __tablename__ = "report_versions"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id"))
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    number: Mapped[int]
    replaces: Mapped[str | None] = mapped_column(ForeignKey("report_versions.id"))
    reason: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: why it was amended."""
    document: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON of the whole document: draft, result, identity, tags, hospital, signature."""
    verification: Mapped[str] = mapped_column(String(64))
    """`ReportDocument.verification`, which its QR code shows."""
    corrected: Mapped[bool]
    """Whether a person changed the machine's draft before the signature."""
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (
        UniqueConstraint("report_id", "number"),
        Index(
            "ix_report_versions_of_period", "created_at", "report_id", "number", "replaces", "corrected", "id"
        ),
    )


class SignatureRow(SignedBy, Base):
    """Who answers for a version, and how they proved to be that person."""

    __tablename__ = "signatures"

    version_id: Mapped[str] = mapped_column(ForeignKey("report_versions.id"), primary_key=True)
    signed_at: Mapped[datetime] = mapped_column(Moment)


class WithdrawalRow(SignedBy, Base):
    """That a report was withdrawn, with all its versions up to this one; a link of the chain like them."""

    __tablename__ = "withdrawals"

    version_id: Mapped[str] = mapped_column(ForeignKey("report_versions.id"), primary_key=True)
    why: Mapped[WithdrawalReason] = mapped_column(enum_column(WithdrawalReason))
    statement: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed JSON: what is withdrawn, by the digest of its signature, and why, in words, too."""
    withdrawn_at: Mapped[datetime] = mapped_column(Moment)


class Delivery(Identified, Base):
    """That a person got a document of a signed version, and what they were told of it since; no patient."""

    __tablename__ = "deliveries"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id"))
    number: Mapped[int]
    """Of the version."""
    form: Mapped[str] = mapped_column(String(16))
    """`pdf`, `fhir`, `hl7`, …; `signed` is the version byte for byte, `export` a patient's own copy."""
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    """Who downloaded it, or whose token fetched it."""
    at: Mapped[datetime] = mapped_column(Moment)
    notified: Mapped[AccountChange | None] = mapped_column(enum_column(AccountChange))
    """The last change of the report that they were told of; None before any."""
    notified_at: Mapped[datetime | None] = mapped_column(Moment)
    notice_id: Mapped[str | None] = mapped_column(String(26))
    """Of their notice, which goes a year after it was seen."""

    __table_args__ = (UniqueConstraint("report_id", "number", "form", "user_id"),)


class FindingReview(Base):
    """What a radiologist says of one finding of a model; names no patient, kept for retraining."""

    __tablename__ = "finding_reviews"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id"), primary_key=True)
    label: Mapped[str] = mapped_column(String(60), primary_key=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    judgement: Mapped[Judgement] = mapped_column(enum_column(Judgement))
    model_positive: Mapped[bool | None]
    """What the model had said; None where it was not assessed."""
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index(None, "label", "at"),)


class ReportTemplate(Identified, Made, Base):
    """A hospital's own text with named slots."""

    __tablename__ = "report_templates"

    name: Mapped[str] = mapped_column(String(80), unique=True)
    language: Mapped[str] = mapped_column(String(2))
    text: Mapped[str] = mapped_column(String(20_000))
