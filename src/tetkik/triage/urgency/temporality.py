"""Whether a long text tells of now.

Who is in danger writes little. A text of more than forty words is mostly a history with results and a
question, so an emergency in it counts as one only where a sign of now ("bugün", "şu an", "iki saattir")
stands near it, or where nothing of a history (tests, treatment, months) is mentioned at all. Otherwise it
comes as sarı.
"""

from __future__ import annotations

from tetkik.triage.age_and_duration import Tense
from tetkik.triage.urgency.symptoms import Occurrence, Reading, word_at

LONG = 40
"""Words: a longer text must tell of now."""
_NEAR = 10
"""Words between an emergency and its sign of now."""
_RECENT_DAYS = 3.0
_HISTORY_DAYS = 30.0


def is_current(reading: Reading, chosen: tuple[Occurrence, ...]) -> bool:
    """Whether the symptoms `chosen` are described as happening now."""
    text = reading.text
    if len(text.words) <= LONG:
        return True
    recent = list(reading.recent)
    history = bool(reading.history)
    for duration in reading.durations:
        if duration.tense is Tense.SINCE and duration.days <= _RECENT_DAYS:
            recent.append(word_at(text, duration.span.start))
        history = history or duration.days > _HISTORY_DAYS
    if not history:
        return True
    first, last = min(o.first for o in chosen), max(o.last for o in chosen)
    return any(first - _NEAR <= place <= last + _NEAR for place in recent)
