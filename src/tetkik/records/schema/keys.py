"""The keys that everything hangs on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Moment


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
