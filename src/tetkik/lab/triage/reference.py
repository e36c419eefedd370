"""The reference of a bundle: its answers and complaints on data that it did not learn, for telling drift."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tetkik.bundle import ComplaintReference
from tetkik.lab.engine.card import today
from tetkik.language import Sentence
from tetkik.statistics import Floats, Ints, SeenComplaint, Tally, described
from tetkik.triage.predict import Triage
from tetkik.values import ProgressCallback

STEP = "reference"
"""What `progress` shows."""
_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """What models say of complaints that they had not learned."""

    probabilities: Floats  # (complaints, labels), float64, with what `adjust_for_age` makes of them
    unknown: Floats  # (complaints,), float64, share of words that the model's vocabulary does not hold

    def only(self, rows: Ints) -> OutOfFold:
        return OutOfFold(self.probabilities[rows], self.unknown[rows])


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceComplaints:
    """Complaints to take a reference from."""

    texts: tuple[str, ...]
    departments: tuple[str, ...]
    split: tuple[Sentence, ...]  # for the card: which part of the data, and which model scored it
    others: OutOfFold | None = None  # of models that had not learned them; None for the model's own

    def __len__(self) -> int:
        return len(self.texts)

    def some(self, most: int, seed: int = 0) -> ReferenceComplaints:
        """At most `most` of them, drawn by chance."""
        if len(self) <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False))
        return replace(
            self,
            texts=tuple(self.texts[row] for row in rows.tolist()),
            departments=tuple(self.departments[row] for row in rows.tolist()),
            split=(
                *self.split,
                Sentence("{count} of {total} drawn by chance", {"count": most, "total": len(self)}),
            ),
            others=self.others.only(rows) if self.others else None,
        )


def observe(
    triage: Triage, given: ReferenceComplaints, progress: ProgressCallback | None = None
) -> list[SeenComplaint]:
    """What reception's tally would have counted of these complaints."""
    found: list[SeenComplaint] = []
    for start in range(0, len(given), _BATCH):
        texts = given.texts[start : start + _BATCH]
        scores = triage.scores(texts)
        for row, (text, score) in enumerate(zip(texts, scores, strict=True), start):
            found.append(_seen(triage, given, row, text, score))
        if progress is not None:
            progress(STEP, len(found), len(given))
    return found


def _seen(triage: Triage, given: ReferenceComplaints, row: int, text: str, score: Floats) -> SeenComplaint:
    measured, others = triage.measure(text), given.others
    read = not np.isnan(score).any()
    if read and others is not None:
        score, measured = others.probabilities[row], replace(measured, unknown=float(others.unknown[row]))
    threshold = triage.abstain_threshold
    return SeenComplaint(
        measured.words,
        measured.plain,
        measured.unknown,
        dict(zip(triage.labels, score.tolist(), strict=True)) if read else {},
        triage.urgency(text).level,
        read and threshold is not None and float(score.max()) < threshold,
        given.departments[row],
    )


def make_reference(
    triage: Triage,
    given: ReferenceComplaints,
    data: str,
    progress: ProgressCallback | None = None,
) -> ComplaintReference:
    """How a model's answers and its complaints, one at least, are spread; an unread text is refused."""
    tally = Tally()
    for seen in observe(triage, given, progress):
        tally.add(seen)
    return described(tally, data=data, split=given.split, created=today())
