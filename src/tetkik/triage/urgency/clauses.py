"""A complaint cut into words, clauses and sentences, with what each clause says of its symptoms."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tetkik import turkish
from tetkik.triage.urgency.grammar import WordForm, form_of

_WORD = re.compile(r"[a-z]+|[0-9]+")
_MARK = re.compile(r"(?<!\d)[.,/-]|[.,/-](?!\d)|[!?;:…\n()]")
"""What divides sentences and lists; not the point of 39.5 or the stroke of 12/8."""
_STOPS = frozenset(".!?;:…\n")
_LIST_ITEM = 2
_COMPARES = frozenset(("gibi", "diye"))
_DENIAL_REACH = 12
"""Clauses that a closing denial may speak of."""
_HEARSAY_REACH = 2
"""Sentences before "bende öyle bir şey yok" that tell of others."""
_OWN = ("ben", "biz", "simdi", "kendi")
_NONE_OF_IT = re.compile(
    r"\bhicbiri|\b(?:oyle|boyle) (?:bi|bir) ?(?:sey|dert|derd|sikayet|durum)|\b(?:oyle|boyle) (?:sey|dert)"
    r"|\b(?:bende|bizde|kendisinde|b[ei][nz]imkinde|onda) (?:hic )?yok$"
)
"""With "yok": what was told before is not the writer's."""


class Status(StrEnum):
    """What the writer says of a symptom."""

    PRESENT = "present"
    DENIED = "denied"
    PAST = "past"
    SUPPOSED = "supposed"
    OTHERS = "others"
    """A relative's, as family history."""


@dataclass(slots=True)
class Clause:
    """Words `first` to `last` (indexes), closed by a verb, a conjunction or a full stop."""

    first: int
    last: int
    denied: bool = False
    denied_from: int = 0
    denier: int = -1
    resolver: int = -1
    isnot_at: int = -1
    past: bool = False
    asked: bool = False
    supposed_at: int = -1
    others: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it only states: nothing denied, over, supposed, asked or of others."""
        at_all = self.denied or self.past or self.others or self.asked
        return not at_all and max(self.isnot_at, self.resolver, self.supposed_at) < 0


@dataclass(frozen=True, slots=True)
class Text:
    """A complaint, read.

    Attributes:
        folded: the words with single spaces between.
        words: folded by `tetkik.turkish.fold`, as they were probably meant.
        starts: where each word begins in `folded`.
        spans: where each word stands in `original`: (start, end), in characters.
        comma: whether a comma (or a dash, a slash) stands before each word.
        sentence: the number of the sentence of each word.
        clause: the number of the clause of each word.
    """

    original: str
    folded: str
    words: list[str]
    starts: list[int]
    spans: list[tuple[int, int]]
    forms: list[WordForm]
    comma: list[bool]
    sentence: list[int]
    clause: list[int]
    clauses: list[Clause]

    def span_of(self, first: int, last: int) -> tuple[int, int]:
        """Where words `first` to `last` stand in the original text: (start, end), in characters."""
        return self.spans[first][0], self.spans[last][1]


def read(text: str, spelled: Callable[[str], str] = str) -> Text:
    """Cut a complaint into words and clauses.

    Args:
        spelled: what a folded word was probably meant to be.
    """
    folded = turkish.fold(text)
    # Most texts fold letter by letter; then a place is the same in both.
    places: Sequence[int] = range(len(text))
    if len(folded) != len(text):
        folded, places = turkish.fold_with_places(text)
    words: list[str] = []
    starts: list[int] = []
    spans: list[tuple[int, int]] = []
    forms: list[WordForm] = []
    comma: list[bool] = []
    sentence: list[int] = []
    clause: list[int] = []
    clauses: list[Clause] = []
    marks = [(mark.start(), mark[0] in _STOPS) for mark in _MARK.finditer(text)]
    marks.append((len(text), False))
    colons: set[int] = set()
    passed = sentences = place = 0
    for index, match in enumerate(_WORD.finditer(folded)):
        start = places[match.start()]
        word = spelled(match[0])
        form = form_of(word)
        has_comma = stopped = False
        while marks[passed][0] < start:
            if marks[passed][1]:
                stopped = True
                if text[marks[passed][0]] == ":":
                    colons.add(index)
            else:
                has_comma = True
            passed += 1
        sentences += stopped
        # The question particle belongs to the verb before it.
        if not index or stopped or form.opens or (forms[-1].ends and not form.asks):
            clauses.append(Clause(index, index))
        clauses[-1].last = index
        words.append(word)
        starts.append(place)
        spans.append((start, places[match.end() - 1] + 1))
        place += len(word) + 1
        forms.append(form)
        comma.append(has_comma and not stopped)
        sentence.append(sentences)
        clause.append(len(clauses) - 1)
    for item in clauses:
        _judge(item, words, forms, comma)
    _spread(clauses, words, forms, sentence, colons)
    return Text(text, " ".join(words), words, starts, spans, forms, comma, sentence, clause, clauses)


def _judge(clause: Clause, words: list[str], forms: list[WordForm], comma: list[bool]) -> None:
    ne_seen = 0
    kin = fate = past_fate = False
    for index in range(clause.first, clause.last + 1):
        form = forms[index]
        after_daha = index > 0 and words[index - 1] == "daha"
        if not form.notable:
            continue
        if form.isnot:
            clause.isnot_at = index
        elif form.denies or (form.dismisses and index and words[index - 1].startswith("akl")):
            clause.denied = True
            clause.denier = index
        if form.resolves:
            clause.resolver = index
        if form.past or (form.pluperfect and index >= clause.last - 1) or (form.formerly and after_daha):
            clause.past = True
        if form.asks:
            earlier = forms[index - 1] if index > clause.first else form
            clause.asked = clause.asked or not (form.advises or earlier.advises or forms[clause.last].ongoing)
        if form.supposes:
            clause.supposed_at = index
        kin = kin or form.kin
        # "vardı" is also what the writer had: a relative's only where one is named.
        fate = fate or (form.fate and not form.pluperfect)
        past_fate = past_fate or (form.fate and form.pluperfect)
        ne_seen += form.ne
    clause.others = (fate and (kin or clause.past)) or (past_fate and kin)
    if ne_seen >= 2:
        clause.denied = True
        clause.denier = -1
        clause.denied_from = clause.first
    elif clause.denied:
        clause.denied_from = _reach(clause, comma)


def _spread(
    clauses: list[Clause], words: list[str], forms: list[WordForm], sentence: list[int], colons: set[int]
) -> None:
    """A clause may speak of others: "… gibi bir şey yok" of those before, "dedemde olmuştu: …" after."""
    hearsay_in = neither = account_in = -1
    for number, clause in enumerate(clauses):
        at = sentence[clause.first]
        if any(form.hearsay for form in forms[clause.first : clause.last + 1]):
            hearsay_in = at
        elif words[clause.first].startswith(_OWN):
            hearsay_in = account_in = -1
        if number and clause.others is False:
            before = clauses[number - 1]
            same = at == sentence[before.first]
            if clause.first in colons and before.others:
                account_in = at
            brief = clause.last + 1 in colons and clause.last - clause.first < _LIST_ITEM
            clause.others = account_in == at or (
                before.others and same and (brief or forms[clause.last].evidential)
            )
        if 0 <= at - hearsay_in <= 1 and hearsay_in >= 0 and _is_hearsay(clause, forms):
            clause.others = True
        if words[clause.first] == "ne":
            if neither >= 0 and sentence[clauses[neither].first] == at:
                for item in (clauses[neither], clause):
                    item.denied, item.denied_from, item.denier = True, item.first, -1
            neither = number
        if clause.denied:
            _deny_before(clauses[max(0, number - _DENIAL_REACH) : number + 1], words, forms, sentence)


def _deny_before(clauses: list[Clause], words: list[str], forms: list[WordForm], sentence: list[int]) -> None:
    """What the denial that closes the last clause says of the clauses before it."""
    clause = clauses[-1]
    at = sentence[clause.first]
    own = words[clause.first : clause.last + 1]
    last = clause.denier if clause.denier >= 0 else clause.last
    same = [item for item in clauses if sentence[item.first] == at]
    if not _COMPARES.isdisjoint((own[0], *words[max(clause.first, last - 3) : last])):
        pass
    elif _NONE_OF_IT.search(" ".join(own)):
        for earlier in clauses[:-1]:
            near = at - sentence[earlier.first] <= _HEARSAY_REACH
            earlier.others = earlier.others or (near and _is_hearsay(earlier, forms))
        if own[-1] != "yok" or not any(item.supposed_at >= 0 for item in same[:-1]):
            return
    else:
        return
    for item in same:
        item.denied, item.denied_from, item.denier = True, item.first, clause.denier


def _is_hearsay(clause: Clause, forms: list[WordForm]) -> bool:
    return any(form.evidential_form for form in forms[clause.first : clause.last + 1])


def _reach(clause: Clause, comma: list[bool]) -> int:
    """How far back a "yok" reaches: over commas only through a bare list ("ateş, öksürük, balgam yok")."""
    commas = [i for i in range(clause.first + 1, clause.last + 1) if comma[i]]
    if not commas:
        return clause.first
    starts = [clause.first, *commas]
    ends = [*commas, clause.last]
    lengths = [b - a for a, b in zip(starts, ends, strict=True)]
    most = _LIST_ITEM if len(commas) > 1 else 1
    if all(length <= most for length in lengths):
        return clause.first
    return commas[-1]
