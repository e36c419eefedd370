"""What another system said of an object or a message that was sent to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LONGEST_STATUS = 200
"""Characters of a peer's words that are kept."""


class Outcome(StrEnum):
    """What follows from an answer."""

    DONE = "done"
    """The peer has it."""
    TRANSIENT = "transient"
    """Not now: it is tried again, later each time."""
    PERMANENT = "permanent"
    """Never as it is: it is set aside until a person sends it again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome with the peer's own status: `0000H`, `HTTP 409: …`, `AE: …`; without words of a patient.

    Where nobody answered the status says what was wrong in the words of the network: `ConnectionRefusedError`.
    `retry_after` is in seconds, where the peer named a time.
    """

    outcome: Outcome
    status: str
    retry_after: float | None = None

    def __post_init__(self) -> None:
        printable = "".join(char if char.isprintable() else " " for char in self.status)
        object.__setattr__(self, "status", " ".join(printable.split())[:LONGEST_STATUS])

    @classmethod
    def done(cls, status: str) -> Answer:
        return cls(Outcome.DONE, status)

    @classmethod
    def transient(cls, status: str, retry_after: float | None = None) -> Answer:
        return cls(Outcome.TRANSIENT, status, retry_after)

    @classmethod
    def permanent(cls, status: str) -> Answer:
        return cls(Outcome.PERMANENT, status)
