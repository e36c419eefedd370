"""What reception decided, as a table to train from: without names, numbers and days.

Masking finds what looks like personal data (`tetkik.privacy`); beside that every word of the patient's own
name and every one of their numbers goes, for here they are known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import or_, select

from tetkik.privacy import Personal, mask
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Transaction
from tetkik.records.schema import Case, Complaint
from tetkik.records.schema.base import within
from tetkik.records.serialization import to_csv
from tetkik.turkish import fold_with_places
from tetkik.values import UrgencyLevel, UrgencyReason

COLUMNS = (
    *("text", "label", "department_model", "agreed"),
    *("urgency", "urgency_model", "urgency_reason", "rules", "date", "model"),
)
"""Columns of the table; `tetkik triage train` reads the first two."""
_SHORTEST_NAME = 3
_SHORTEST_NUMBER = 4
"""A shorter one stands in many a sentence without meaning the patient: `120/80`."""
_AT_ONCE = 500
# The endings that follow a name in one word: Ayşeyi, Ayşenin, Ayşeden, Ayşeyle.
_ENDING = re.compile(r"[yn]?[aeiu]|[yn]?[iu]n|[dt][ae]n?|y?l[ae]|y[iu]m")


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    text: str = field(repr=False)
    label: str | None
    """The department that a person chose; None where they set the urgency alone."""
    department_model: str | None
    """That the model had put first; None where it could not read the text."""
    urgency: UrgencyLevel | None
    """The level that holds: a person's, or else of triage; None: not assessed."""
    urgency_model: UrgencyLevel | None
    """Of triage."""
    urgency_reason: UrgencyReason | None
    """Why a person set another one; None where that of triage stands."""
    rules: str
    """Ids of the rules that gave the level of triage, with spaces between; empty of a complaint of before."""
    month: str
    """In which the complaint was taken down, `2026-11`; a day could lead back to a person."""
    model: str

    @property
    def agreed(self) -> bool:
        """Whether the person chose what the model had put first."""
        return self.label is not None and self.label == self.department_model

    @property
    def overridden(self) -> bool:
        """Whether a person set another urgency than triage."""
        return self.urgency_reason is not None

    def cells(self) -> tuple[str, ...]:
        """As `COLUMNS` names them."""
        agreed = "" if self.label is None else "yes" if self.agreed else "no"
        levels = (self.urgency, self.urgency_model, self.urgency_reason)
        return (
            *(_harmless(self.text), self.label or "", self.department_model or "", agreed),
            *(item.value if item is not None else "" for item in levels),
            *(self.rules, self.month, self.model),
        )


@dataclass(frozen=True, slots=True)
class Feedback:
    """The table, and what was done to it."""

    rows: tuple[FeedbackRow, ...]
    masked: dict[Personal, int]
    """How many pieces of personal data were replaced, by kind."""
    restricted: int
    erased: int

    def as_csv(self) -> str:
        """The table as CSV (RFC 4180), UTF-8, with its heading."""
        return to_csv([COLUMNS, *(row.cells() for row in self.rows)])


def export(tx: Transaction, since: datetime | None = None, until: datetime | None = None) -> Feedback:
    """Every complaint for which a person chose a department or set the urgency; the trail notes it."""
    rows: list[FeedbackRow] = []
    masked: Counter[Personal] = Counter()
    restricted = erased = 0
    for complaint, hidden in _chosen(tx, since, until):
        if hidden:
            restricted += 1
            continue
        if complaint.text is None:
            erased += 1
            continue
        people = patients.load_people(tx, complaint.patient_id)
        clean, counts = without_identity(tx.open_text(complaint, "text"), *people)
        masked.update(counts)
        rows.append(
            FeedbackRow(
                clean,
                complaint.department_chosen,
                complaint.department_model,
                complaint.urgency_chosen or complaint.urgency,
                complaint.urgency,
                complaint.urgency_reason,
                complaint.urgency_rules or "",
                f"{complaint.created_at:%Y-%m}",
                complaint.bundle,
            )
        )
    tx.audit(Action.FEEDBACK_EXPORTED, what="triage", rows=len(rows), restricted=restricted, erased=erased)
    return Feedback(tuple(rows), dict(masked), restricted, erased)


def without_identity(text: str, *people: Person) -> tuple[str, Counter[Personal]]:
    """A complaint without personal data, and how many pieces of which kind were replaced."""
    found = mask(text, thorough=True)
    counts = Counter(found.counts)
    clean = found.text
    for person in people:
        if len(person.number) >= _SHORTEST_NUMBER:
            pattern = rf"(?<!\w){re.escape(person.number)}(?!\w)"
            clean, replaced = re.subn(pattern, Personal.TCKN.token, clean, flags=re.IGNORECASE)
            counts[Personal.TCKN] += replaced
        clean = _without_name(clean, person.name, counts)
    return clean, counts


def _without_name(text: str, name: str, counts: Counter[Personal]) -> str:
    """Every word that is a word of the patient's name, or one with an ending (`Ayşe'yi`), replaced."""
    known = {word for word in fold_with_places(name)[0].split() if len(word) >= _SHORTEST_NAME}
    if not known:
        return text
    folded, places = fold_with_places(text)
    pieces: list[str] = []
    done = 0
    for word in re.finditer(r"[^ ]+", folded):
        start, end = word.span()
        word_start, word_end = places[start], places[end - 1] + 1
        if _is_name(word[0], known) and text[word_start - 1 : word_start] != "[":  # no token's own word
            pieces += (text[done:word_start], Personal.NAME.token)
            counts[Personal.NAME] += 1
            done = word_end
    return "".join((*pieces, text[done:]))


def _is_name(word: str, known: set[str]) -> bool:
    return any(
        word == name or (word.startswith(name) and _ENDING.fullmatch(word[len(name) :]) is not None)
        for name in known
    )


def _harmless(text: str) -> str:
    """A text that a spreadsheet takes for a text: a formula begins with none of its signs (CWE-1236)."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def _chosen(
    tx: Transaction, since: datetime | None, until: datetime | None
) -> Iterator[tuple[Complaint, bool]]:
    wanted = (
        select(Complaint, Case.restricted)
        .join(Case, Case.id == Complaint.case_id)
        .where(
            or_(Complaint.department_chosen.is_not(None), Complaint.urgency_chosen.is_not(None)),
            *within(Complaint.created_at, since, until),
        )
        .order_by(Complaint.id)
    )
    for row in tx.session.execute(wanted.execution_options(yield_per=_AT_ONCE)):
        yield row[0], row[1]
