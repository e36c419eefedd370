"""What the models did: runs with every score, and the work that waits for them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from tetkik.records.schema.base import Base, Identified, Made, Moment, enum_column
from tetkik.values.states import Capability, CriticalLevel, JobState, RunState

OPEN_JOB, FAILED_JOB = text("state IN ('queued', 'running')"), text("state = 'failed'")
"""In words: a partial index serves no query that gives the states as parameters."""


class Run(Identified, Base):
    """One answer of one model about one image."""

    __tablename__ = "runs"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), index=True)
    patient_id: Mapped[str] = mapped_column(ForeignKey("patients.id"))
    capability: Mapped[Capability] = mapped_column(enum_column(Capability))
    bundle: Mapped[str] = mapped_column(String(120))
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[RunState] = mapped_column(enum_column(RunState))
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed JSON of the result."""
    route: Mapped[str | None] = mapped_column(String(16))
    flaws: Mapped[str] = mapped_column(String(300), default="")
    """Codes of the quality gate, with commas."""
    screen: Mapped[float | None]
    brightness: Mapped[float | None]
    """Mean of the pixels as a share of white; None where no image was read."""
    contrast: Mapped[float | None]
    """Standard deviation of the pixels as a share of white."""
    frame: Mapped[int | None]
    """Which of several was read, counted from 1; None for an image of one."""
    started_at: Mapped[datetime] = mapped_column(Moment)
    finished_at: Mapped[datetime] = mapped_column(Moment, index=True)


class Score(Base):
    """Every score of every run; names nobody, and stays when a patient is erased."""

    __tablename__ = "scores"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    label: Mapped[str] = mapped_column(String(60), primary_key=True)
    score: Mapped[float]
    probability: Mapped[float | None]
    threshold: Mapped[float]
    positive: Mapped[bool]
    asserted: Mapped[bool]
    """Whether the bundle's held-out precision lets it be stated, and so raise a case."""


class TriageTally(Base):
    """A week's complaints as one model saw them: how many fell into each bin of each figure, and no more.

    It refers to no case and no patient, and keeps no two figures of one complaint together. So nobody is
    found in it, what becomes of a case later leaves it as it is, and erasure has nothing to take out.
    """

    __tablename__ = "triage_tallies"

    bundle_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    week: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    """Its Monday, 0:00 UTC: no moment that would lead to a case."""
    bundle: Mapped[str] = mapped_column(String(120))
    counts: Mapped[str] = mapped_column(Text)
    """JSON: of `statistics.Tally`."""


class Job(Identified, Base):
    """Work that waits for a worker; a lease that runs out is work for the next one."""

    __tablename__ = "jobs"

    kind: Mapped[str] = mapped_column(String(32))
    """`read_image`: findings, heatmaps and draft of one image."""
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"))
    image_id: Mapped[str | None] = mapped_column(ForeignKey("images.id"), index=True)
    state: Mapped[JobState] = mapped_column(enum_column(JobState))
    priority: Mapped[int] = mapped_column(SmallInteger)
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    """Nobody takes it before: a worker has it, or it rests after a fault."""
    model: Mapped[str | None] = mapped_column(String(300))
    """That was asked for; None is the model of the settings."""
    frame: Mapped[int | None]
    """That was asked for, counted from 1; None is the middle one."""
    fault: Mapped[str | None] = mapped_column(String(2000))
    """A sentence as JSON (template and values), for the page; nothing of a patient."""
    created_at: Mapped[datetime] = mapped_column(Moment)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        Index("ix_jobs_open", "priority", "id", sqlite_where=OPEN_JOB, postgresql_where=OPEN_JOB),
        Index("ix_jobs_failed", "created_at", sqlite_where=FAILED_JOB, postgresql_where=FAILED_JOB),
        Index("ix_jobs_case", "case_id"),
    )


# What speeds reporting up, a person's own, and the critical results that somebody has to hear of at once.


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
