"""What the hospital's system asked for and told: orders of studies, and encounters of patients."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Moment, enum_column
from tetkik.values import OrderState


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
