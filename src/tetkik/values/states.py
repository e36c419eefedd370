"""The states that a case and its parts go through, from reception to a signed report."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum, StrEnum

from tetkik.values.complaint import UrgencyLevel
from tetkik.values.finding_labels import CRITICAL_LABELS, NORMAL_LABELS


class CriticalLevel(StrEnum):
    """How long a critical result may wait until somebody who treats the patient knows of it."""

    RED = "red"
    """Minutes: the patient may die of it at once."""
    ORANGE = "orange"
    """Hours."""
    YELLOW = "yellow"
    """Days: a finding that must not be lost."""


class CriticalStanding(StrEnum):
    """How far a critical result has come; only what happened."""

    QUEUED = "queued"
    """A contact is to be told; none was yet."""
    TOLD = "told"
    """A contact was told, who has time left to acknowledge it."""
    LATE = "late"
    """A contact was told, let the time pass, and nobody acknowledged it."""
    UNREACHED = "unreached"
    """No contact is set, or none could be told: somebody has to call."""
    ACKNOWLEDGED = "acknowledged"


class NotTold(StrEnum):
    """Why nobody needs to be told of a critical finding; codes alone, for the trail keeps them."""

    TREATED = "treated"
    """The department treats the patient for it already."""
    UNCHANGED = "unchanged"
    """It is known from an earlier report."""
    NOT_CRITICAL = "not_critical"
    """It is there, but not critical in this patient."""


class LinkReason(StrEnum):
    """Why two records became one; codes alone, for the trail keeps them."""

    IDENTIFIED = "identified"
    """Somebody unknown was identified, and has a record."""
    REGISTERED_TWICE = "registered_twice"
    MASTER_INDEX = "master_index"
    """The hospital's own register of patients says so."""


class SplitReason(StrEnum):
    """Why a link was undone."""

    OTHER_PERSON = "other_person"
    WRONG_SURVIVOR = "wrong_survivor"
    """The other record should stand for both."""


class MoveReason(StrEnum):
    """Why a case was moved to another patient; codes alone, for the trail keeps them."""

    CHOSEN_WRONGLY = "chosen_wrongly"
    """Another patient was chosen at the desk."""
    ALIKE = "alike"
    """The two have names or numbers that are easily taken for each other."""
    MADE_UNDER = "made_under"
    """The images were made under another patient's name."""
    MOVED_WRONGLY = "moved_wrongly"
    """It had been moved to the wrong one: it goes back."""


class RemovalReason(StrEnum):
    """Why an image was taken out of a case; codes alone, for the trail keeps them."""

    WRONG_PATIENT = "wrong_patient"
    WRONG_CASE = "wrong_case"
    """Of this patient, but of another visit."""
    POOR_QUALITY = "poor_quality"
    """Repeated: moved, cut off, wrongly exposed."""
    DUPLICATE = "duplicate"
    TEST = "test"
    """A phantom or a trial shot, of no patient."""
    OTHER = "other"


class UrgencyReason(StrEnum):
    """Why a person set another level of urgency than triage; codes alone, for the trail keeps them."""

    VITAL_SIGNS = "vital_signs"
    """What was measured at the desk: pulse, blood pressure, oxygen, fever."""
    LOOKS_ILL = "looks_ill"
    LOOKS_WELL = "looks_well"
    TOLD_MORE = "told_more"
    """The patient told more than the text says."""
    DENIED = "denied"
    """Asked, the patient does not have what the text was read as."""
    NOT_NOW = "not_now"
    """It is of another person, or of the past."""
    CHRONIC = "chronic"
    """Known for long, and no worse than usual."""
    OTHER = "other"


class CaseState(StrEnum):
    """Where a case is on its way."""

    WAITING = "waiting"
    """Received; no image yet."""
    PROCESSING = "processing"
    """An image has come and no model has answered yet."""
    TO_READ = "to_read"
    """A radiologist is awaited."""
    SIGNED = "signed"
    CLOSED = "closed"
    """Ended without a report, or put away after one."""
    MOVED = "moved"
    """Opened for the wrong patient: it goes on as another case, and nothing of it is left here."""

    @property
    def ended(self) -> bool:
        """Whether nothing is done in it any more, unless it is taken up again."""
        return self in (CaseState.CLOSED, CaseState.MOVED)


class OrderState(StrEnum):
    """Where an order of a study is on its way."""

    SCHEDULED = "scheduled"
    ARRIVED = "arrived"
    """The patient is there, or the study was begun."""
    COMPLETED = "completed"
    """Its study came, and is in a case."""
    CANCELLED = "cancelled"


class Priority(IntEnum):
    """Order of the worklist: the smallest first."""

    CRITICAL = 0
    """Seen at once: kırmızı, or a finding that cannot wait."""
    URGENT = 1
    """Today: sarı, or another finding that stands."""
    ROUTINE = 2

    @classmethod
    def of_urgency(cls, level: UrgencyLevel) -> Priority:
        return cls(2 - level.severity)

    @classmethod
    def of_findings(cls, labels: Collection[str]) -> Priority:
        """The priority that what was found in a case gives."""
        if not {*CRITICAL_LABELS}.isdisjoint(labels):
            return cls.CRITICAL
        return cls.URGENT if {*labels} - {*NORMAL_LABELS} else cls.ROUTINE


class Capability(StrEnum):
    """Which of the models ran."""

    TRIAGE = "triage"
    FINDINGS = "findings"
    CAPTION = "caption"


class RunState(StrEnum):
    """How a run of a model ended."""

    DONE = "done"
    REFUSED = "refused"
    """The image is not suitable: an answer, not a failure."""
    FAILED = "failed"


class OutboxState(StrEnum):
    """Where a result is that goes to another system."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    """The system has it, and said so."""
    REFUSED = "refused"
    """Set aside: refused for good, or tried too often; a person may send it again."""
    SUPERSEDED = "superseded"
    """Never sent, for a later version or the withdrawal took its place."""


class JobState(StrEnum):
    """Where a piece of work is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Judgement(StrEnum):
    """What a radiologist says of one finding of the model."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ADDED = "added"


class ReceivedState(StrEnum):
    """Where a study is that another system sent."""

    RECEIVING = "receiving"
    """More of its images are expected."""
    COMPLETE = "complete"
    """Complete, and about to be taken into a case."""
    DOUBTFUL = "doubtful"
    """A person has to say whose it is; nothing of it is read before."""
    IMPORTED = "imported"
    REJECTED = "rejected"
    """A person said that it does not belong here; its files stay until it is removed."""
    FAILED = "failed"
    """None of its files can be read."""


class ReceivedFileState(StrEnum):
    """Where a file of a received study is."""

    WAITING = "waiting"
    """In the spool."""
    IMPORTED = "imported"
    """In a case; the spool has it no longer."""
    REFUSED = "refused"
    """It cannot be taken; it stays in the spool, with its reason."""
