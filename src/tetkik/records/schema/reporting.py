"""What speeds reporting up, a person's own, and the critical results that somebody has to hear of at once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Made, Moment, enum_column
from tetkik.values import CriticalLevel


class Macro(Identified, Base):
    """A person's own block of text, inserted into a draft by its abbreviation or its key."""

    __tablename__ = "macros"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    language: Mapped[str] = mapped_column(String(2))
    abbreviation: Mapped[str] = mapped_column(String(16))
    """Small letters, digits and hyphens; that of a normal sentence takes the place of the built-in one."""
    name: Mapped[str] = mapped_column(String(80))
    hotkey: Mapped[int | None]
    """1 to 9 for Alt+1 to Alt+9; None without a key."""
    text: Mapped[str] = mapped_column(String(4000))

    __table_args__ = (
        UniqueConstraint("user_id", "language", "abbreviation"),
        UniqueConstraint("user_id", "language", "hotkey"),
    )


class PersonalWord(Base):
    """A word that a person added to the spelling check."""

    __tablename__ = "personal_words"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    word: Mapped[str] = mapped_column(String(60), primary_key=True)


class CriticalResult(Identified, Made, Base):
    """That a result of a case cannot wait: who was told, and who said that they know it."""

    __tablename__ = "critical_results"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"), index=True)
    reference: Mapped[str] = mapped_column(String(32), unique=True)
    """What messages say instead of the case: random, it names nobody."""
    level: Mapped[CriticalLevel] = mapped_column(enum_column(CriticalLevel))
    words: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: what was found, as the radiologist says it."""
    notices: Mapped[str] = mapped_column(Text, default="[]")
    """JSON list of the notices that were sent: `at`, `to`, `channel`, `sent`. Contacts, never the patient."""
    next_at: Mapped[datetime | None] = mapped_column(Moment)
    """When the next contact is told; None once somebody knows it, or where there is no contact."""
    acknowledged_at: Mapped[datetime | None] = mapped_column(Moment)
    acknowledged_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """The signed-in person who acknowledged it, or wrote down to whom they told it."""
    told_to: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed: who heard it by telephone or in person; None where somebody acknowledged it here."""
    read_back: Mapped[bool] = mapped_column(default=False)
    """Whether that person read it back (Joint Commission NPSG.02.03.01)."""

    __table_args__ = (Index(None, "acknowledged_at", "next_at"),)
