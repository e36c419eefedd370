"""When: what a complaint tells of long ago, since when a symptom lasts, whether a long text tells of now.

A time belongs to the clause it stands in ("on yıldır şeker hastasıyım, bu sabah göğsüm sıkıştı": two times,
two clauses). Standing alone ("başım dönüyor, üç aydır böyle") it belongs to the clause beside it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from tetkik.triage.age_and_duration import Duration, Tense
from tetkik.triage.urgency.clauses import Clause, Text

LONG = 40
"""Words: a longer text must tell of now."""
_NEAR = 10
"""Words between an emergency and its sign of now."""
_RECENT_DAYS = 3.0
_HISTORY_DAYS = 30.0
_LONG_AGO_DAYS = 14.0
_ACCOUNT_WORDS = 12
"""Words of an account of long ago that goes on over several clauses."""
_FILLER = re.compile(
    r"^(?:(?:bu|su|o|boyle|oyle|ayni|hep|surekli|yaklasik|neredeyse|hemen|bile|yani|ama|fakat|ancak|ve|de|da"
    r"|beri|once|evvel|fazla|civari|kadar|bir|cok|daha|en|az|son|falan|filan|gibi|asagi|yukari|sanirim|galiba|var|vardi|oldu)$"
    r"|devam|ed[ie]y?or|sur[ue][yn]|suruyo|surmekte|gecm[ei]|basla|artiyo|artti|sikay|problem|sorun|rahatsiz|agri"
    r"|cekiyo|yasiyo|hissediyo|olu[yr]o|mevcut|dakika|dk$|saat|gun|hafta|ay(?:d|$)|yil|sene|sabah|aksam|gece|ogle|bugun|dun)"
)
_WELL = re.compile(
    r"\biyi(?:yim|yiz|dir|)$|\b(?<!baska )(?:hic )?(?:bir|hicbir) (?:sey|sikayet|sorun|problem)\w* yok"
    r"|^(?:simdi |artik |su an )?(?:gecti|duzeldi|iyilesti|atlatti)\w*$|\bbende (?:hic )?yok$"
)
_OVER = frozenset(("gecti", "oldu", "oluyor", "olmus"))
"""Behind a time these put the clause before it so long ago: "havale geçirdi, iki sene oldu"."""
_CONDITION = re.compile(
    r"^(?:ameliya|operasyo|bypass|baypas|stent|anjiyo|anjio|sezaryen|protez|nakil|nakl|kemoterap|radyoterap)"
)


def word_at(text: Text, place: int) -> int:
    """The index of the word at `place`, a place in the folded text."""
    return max(0, bisect_right(text.starts, place) - 1)


def long_ago(text: Text, durations: Sequence[Duration]) -> frozenset[int]:
    """The words of an account long over ("iki yıl önce düştüm, bayıldım").

    It goes on over clauses of the same sentence in the same tense, twelve words at most; an operation is told
    in one clause, and what began ("başladı") is told of now. Whoever ends with being well ("şimdi iyiyim")
    tells of then up to there.
    """
    words: set[int] = set()
    starts = [
        word_at(text, duration.span.start)
        for duration in durations
        if duration.tense is Tense.AGO and duration.days > _LONG_AGO_DAYS
    ]
    if starts and not any(_is_recent(duration) for duration in durations):
        words.update(range(starts[0], _end_of_illness(text, starts[0])))
    for word in starts:
        clause = text.clauses[text.clause[word]]
        words.update(range(clause.first, clause.last + 1))
        number = text.clause[word]
        if number and text.words[clause.last] in _OVER and word == clause.first:
            before = text.clauses[number - 1]
            if text.sentence[before.first] == text.sentence[word]:
                words.update(range(before.first, before.last + 1))
        if not _is_operation(clause, text):
            for later in _same_account(text, word):
                words.update(range(later.first, later.last + 1))
    return frozenset(words)


def _is_recent(duration: Duration) -> bool:
    return duration.tense is Tense.SINCE and duration.days <= _RECENT_DAYS


def _end_of_illness(text: Text, start: int) -> int:
    """Where the last clause begins that says the writer is well now; `start` where none does.

    Whoever tells of now ("şimdi göğsüm sıkışıyor") before it is not well, whatever stands behind.
    """
    for clause in reversed(text.clauses):
        if clause.first <= start:
            break
        after = text.words[clause.last + 1 : clause.last + 2]
        believed = after and after[0].startswith(("san", "zannet", "diye", "derken"))
        if not believed and _WELL.search(" ".join(text.words[clause.first : clause.last + 1])):
            return start if any(form.opens for form in text.forms[start : clause.first]) else clause.first
    return start


def _is_operation(clause: Clause, text: Text) -> bool:
    return any(_CONDITION.match(word) for word in text.words[clause.first : clause.last + 1])


def _same_account(text: Text, word: int) -> Iterator[Clause]:
    number = text.clause[word]
    pluperfect = text.forms[text.clauses[number].last].pluperfect
    for later in text.clauses[number + 1 :]:
        closing = text.forms[later.last]
        if (
            text.sentence[later.first] != text.sentence[word]
            or later.first > word + _ACCOUNT_WORDS
            or text.forms[later.first].opens
            or not (closing.pluperfect or closing.evidential or (closing.preterite and not pluperfect))
        ):
            return
        yield later


def days_of(text: Text, durations: Sequence[Duration], first: int, last: int) -> float | None:
    """How long what the words `first` to `last` name lasts, in days; None where nothing is stated."""
    before = text.clauses[max(0, text.clause[first] - 1)]
    after = text.clauses[min(len(text.clauses) - 1, text.clause[last] + 1)]
    begin = bisect_left(durations, text.starts[before.first], key=_start)
    end = bisect_right(durations, text.starts[after.last], key=_start)
    stated = [duration for duration in durations[begin:end] if _belongs(text, duration, first, last)]
    return min((duration.days for duration in stated), default=None)


def _start(duration: Duration) -> int:
    return duration.span.start


def _belongs(text: Text, duration: Duration, first: int, last: int) -> bool:
    begin = word_at(text, duration.span.start)
    end = word_at(text, duration.span.end - 1)
    own = text.clause[begin]
    there = range(text.clause[first], text.clause[last] + 1)
    if own in there:
        # "tansiyon hastasıyım yıllardır, göğsüm …": nothing but the comma parts them.
        closes = begin == text.clauses[own].first and end < first and text.comma[end + 1] and begin > 0
        return not (closes and not text.comma[begin] and text.sentence[begin - 1] == text.sentence[begin])
    if not (own + 1 in there or own - 1 in there):
        return False
    clause = text.clauses[own]
    return all(
        begin <= index <= end or _FILLER.match(text.words[index])
        for index in range(clause.first, clause.last + 1)
    )


def is_current(
    text: Text,
    durations: Sequence[Duration],
    recent: Sequence[int],
    history: Sequence[int],
    first: int,
    last: int,
) -> bool:
    """Whether the words `first` to `last` tell of something that happens now.

    Who is in danger writes little. A text of more than forty words is mostly a history with results and a
    question, so an emergency in it counts as one only where a sign of now ("bugün", "şu an", "iki saattir")
    stands near it, or where nothing of a history (tests, treatment, months) is mentioned at all. What is
    denied or long over ("tahlillerim geçen yıl temizdi", "hastaneye gelmem") is no history of it.

    Args:
        recent: the words that tell of now.
        history: the words that tell of tests, treatment, doctors.
    """
    if len(text.words) <= LONG:
        return True
    signs = [
        *recent,
        *(word_at(text, duration.span.start) for duration in durations if _is_recent(duration)),
    ]
    if not _told_on(text, durations, history):
        return True
    return any(first - _NEAR <= sign <= last + _NEAR for sign in signs)


def _told_on(text: Text, durations: Sequence[Duration], history: Sequence[int]) -> bool:
    """Whether tests, treatment or months of an illness that goes on are mentioned."""
    if any(item.tense is Tense.SINCE and item.days > _HISTORY_DAYS for item in durations):
        return True
    over = {
        text.clause[word_at(text, item.span.start)]
        for item in durations
        if item.tense is Tense.AGO and item.days > _LONG_AGO_DAYS
    }
    clauses = (text.clause[word] for word in history)
    return any(
        not (number in over or text.clauses[number].denied or text.clauses[number].past) for number in clauses
    )
