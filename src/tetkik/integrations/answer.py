"""What another system said of an object or a message that was sent to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import httpx

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

    Where nobody answered the status says what was wrong with the connection: `no connection`.
    `retry_after` is in seconds, where the peer named a time. `for_all`: whatever else goes to this peer now
    would have the same answer, because nobody is there, or it is full.
    """

    outcome: Outcome
    status: str
    retry_after: float | None = None
    for_all: bool = False

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
    def unavailable(cls, status: str, retry_after: float | None = None) -> Answer:
        """Transient, and not the object's fault."""
        return cls(Outcome.TRANSIENT, status, retry_after, for_all=True)

    @classmethod
    def permanent(cls, status: str) -> Answer:
        return cls(Outcome.PERMANENT, status)


_STORED = frozenset({0x0000, 0xB000, 0xB006, 0xB007, 0x0111})
"""Success; stored with a warning (PS3.4, table B.2-1); stored before: a UID is of one object alone."""
_NOT_NOW = frozenset({0x0110, 0x0210, 0x0213})
"""Processing failure, duplicate invocation, resource limitation (PS3.7, annex C)."""
BUSY = frozenset({429, 503})
"""Of HTTP: the server takes nothing at all now (RFC 6585, section 4; RFC 9110, section 15.6.4)."""


def answer_of_fault(error: Exception) -> Answer:
    """What follows from a call that failed: where there was no connection, nothing else arrives either."""
    nobody = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))
    return (Answer.unavailable if nobody else Answer.transient)(type(error).__name__)


def answer_of_store(status: int, comment: str = "") -> Answer:
    """What a status of C-STORE means; A7xx is out of resources, any other failure stays one."""
    words = f"{status:04X}H {comment}"
    if status in _STORED:
        return Answer.done(words)
    if status >> 8 == 0xA7:
        return Answer.unavailable(words)
    if status in _NOT_NOW:
        return Answer.transient(words)
    return Answer.permanent(words)
