"""Whose data it is, and the keys that everything hangs on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Made, Moment, enum_column
from tetkik.values import LinkReason


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
