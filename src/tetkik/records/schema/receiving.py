"""What other systems sent, on its way into a case: studies, and the files of each."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Moment, enum_column
from tetkik.values import ReceivedFileState, ReceivedState


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
