"""What goes out to other systems, and how each of them answered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Moment, enum_column
from tetkik.values import OutboxState

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
