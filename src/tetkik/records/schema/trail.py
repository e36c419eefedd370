"""What happened: the audit trail, the events that pages wait for, and requests that may come twice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Moment

_Counter = BigInteger().with_variant(Integer, "sqlite")


class AuditRow(Base):
    """One entry. Rows are only added; erasure empties `content` and `salt` and leaves the chain whole."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(_Counter, primary_key=True, autoincrement=False)
    """1, 2, 3 … without a gap."""
    at: Mapped[datetime] = mapped_column(Moment, index=True)
    action: Mapped[str] = mapped_column(String(40), index=True)
    user_id: Mapped[str | None] = mapped_column(String(26), index=True)
    case_id: Mapped[str | None] = mapped_column(String(26), index=True)
    patient_id: Mapped[str | None] = mapped_column(String(26), index=True)
    content: Mapped[str | None] = mapped_column(String(8000))
    """Canonical JSON of everything that the entry says."""
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of salt and content."""
    chain: Mapped[bytes] = mapped_column(LargeBinary(32))
    """Keyed hash of the previous chain value, `seq`, the columns and `digest`."""


class AuditHead(Base):
    """Where the chain ends; one row, locked by whoever appends."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(_Counter)
    chain: Mapped[bytes] = mapped_column(LargeBinary(32))
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))
    """Keyed hash of the two, so that cutting off the last rows shows."""


class Event(Base):
    """Something that open pages want to hear of; pruned after a day."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(_Counter, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(Moment, index=True)
    kind: Mapped[str] = mapped_column(String(32))
    case_id: Mapped[str | None] = mapped_column(String(26))
    """An id alone: who hears it asks for the rest with their own rights."""

    __table_args__ = ({"sqlite_autoincrement": True},)


class IdempotentRequest(Base):
    """The answer to a request that may come again; forgotten after a day."""

    __tablename__ = "idempotent_requests"

    user_id: Mapped[str] = mapped_column(String(26), primary_key=True)
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    request: Mapped[bytes] = mapped_column(LargeBinary(32))
    """Digest of method, path and body: the same key for another request is refused."""
    patient_id: Mapped[str | None] = mapped_column(String(26), index=True)
    """Whom the answer is about; None where it is about nobody."""
    status: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed under that patient's key, or under the installation's own."""
    at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index(None, "at"),)


class Note(Base):
    """One value of the installation, such as the last running number."""

    __tablename__ = "notes"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(String(2000))


# What processes share for minutes, and may lose in a crash: on PostgreSQL these tables are unlogged.


class RateBucket(Base):
    """What one of those whose requests are limited has used up, counted over all processes."""

    __tablename__ = "rate_buckets"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the limit and of whom it limits."""
    full_at: Mapped[datetime] = mapped_column(Moment, index=True)
    """When the bucket is full again; from then on no row says the same."""


class Challenge(Base):
    """What was asked of a browser and is answered once: a passkey's challenge, the state of a sign-on."""

    __tablename__ = "challenges"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of what the browser brings back."""
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """Sealed under the installation's key."""
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
