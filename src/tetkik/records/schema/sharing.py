"""What processes share for minutes, and may lose in a crash: on PostgreSQL these tables are unlogged."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Moment


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
