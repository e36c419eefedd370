"""What a withdrawal looks like to a program, and what it may send."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from tetkik.records.reports.withdrawals import Withdrawn
from tetkik.records.reports.withdrawing import LONGEST_WORDS
from tetkik.service.access.again import Proof
from tetkik.values import WithdrawalReason


class WithdrawnShape(BaseModel):
    """That a report was withdrawn.

    Attributes:
        number: of the last version that was taken back, with all before it.
        why: from the short list.
        by: who, with title.
        at: when.
    """

    number: int
    why: WithdrawalReason
    by: str
    at: datetime

    @classmethod
    def of(cls, found: Withdrawn) -> WithdrawnShape:
        """The same for a program."""
        return cls(number=found.number, why=found.why, by=found.by, at=found.at)

    @classmethod
    def of_any(cls, found: Withdrawn | None) -> WithdrawnShape | None:
        """The same of what may stand."""
        return None if found is None else cls.of(found)


class WithdrawalSent(BaseModel):
    """Why a report is withdrawn, and the password or a passkey again.

    Attributes:
        why: from the short list.
        words: more about it, that its readers will see; needed with `other`.
        password: as typed.
        assertion: a passkey's answer to the question of `POST /api/v1/account/passkeys/question`.
    """

    why: WithdrawalReason
    words: Annotated[str, Field(max_length=LONGEST_WORDS, repr=False)] = ""
    password: Annotated[str | None, Field(max_length=400, repr=False)] = None
    assertion: Annotated[dict[str, Any] | None, Field(repr=False)] = None

    @property
    def proof(self) -> Proof:
        """The password or the passkey."""
        return Proof(password=self.password, assertion=self.assertion)
