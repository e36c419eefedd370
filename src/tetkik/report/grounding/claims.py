"""What a sentence claims, against the facts: objections, each with its reason and its place."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from tetkik.language import Language, Sentence
from tetkik.report.facts import ChangeKind, Facts
from tetkik.report.grounding.wording import words
from tetkik.report.labeler.read import Words, read_report, words_of
from tetkik.report.labeler.rules import (
    OTHER_LABELS,
    Context,
    Lexicon,
    Mention,
    PhraseHit,
    Polarity,
    SentenceReading,
    rules_of,
)
from tetkik.report.labeler.scope import asked_in
from tetkik.turkish import flat
from tetkik.values.finding_labels import NORMAL_LABELS, label_name, narrower
from tetkik.values.radiograph import Route
from tetkik.values.report import Fault, Mark, Passage, Side

# What `concepts.toml` names, and what histories and passages name of it.


_SINGLE = ("a", "an", "first")
_WORDS = {
    Language.EN: "zero one two three four five six seven eight nine ten eleven twelve",
    Language.TR: "sifir bir iki uc dort bes alti yedi sekiz dokuz",
}
_TENS = {
    Language.EN: {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90},
    Language.TR: {"on": 10, "yirmi": 20, "otuz": 30, "kirk": 40, "elli": 50, "altmis": 60, "doksan": 90},
}
_NUMBERS = {
    language: {word: value for value, word in enumerate(line.split())} for language, line in _WORDS.items()
}
_NUMBERS[Language.EN] |= dict.fromkeys(_SINGLE, 1)
_UNITS = {
    "hour": r"hours?|hourly|saat\w*",
    "day": r"days?|daily|gun\w*",
    "week": r"weeks?|weekly|hafta\w*",
    "month": r"months?|monthly|ay|ay(?:lik|da|dan|i|in|a)",
    "year": r"years?|yearly|yil\w*",
}
_TO = frozenset(("-", "–", "to", "and", "or", "ila", "ile", "ve", "veya", "ya", "da"))

_DIVIDING_WORDS = ", ; . but while whereas although ise ancak fakat olup and ve"
_DIVIDING = frozenset(_DIVIDING_WORDS.split())


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("concepts.toml").read_text("utf-8"))


@cache
def _lexicon(part: str) -> Lexicon[str]:
    """The phrases of one part of `concepts.toml`; of a phrase that stands twice the first counts."""
    entries: dict[str, str] = {}
    for name, phrases in _table()[part].items():
        for phrase in phrases:
            entries.setdefault(phrase, name)
    return Lexicon(entries.items())


def hits_in(words: Sequence[str]) -> dict[str, list[PhraseHit[str]]]:
    """By part of `concepts.toml` what folded words name of it."""
    return {part: _lexicon(part).find(words) for part in _table()}


@lru_cache(maxsize=256)
def named_in(text: str) -> frozenset[str]:
    """The things of `concepts.toml` that a history or a passage names."""
    words = words_of(text).texts
    return frozenset(hit.value for part in ("symptoms", "actions") for hit in _lexicon(part).find(words))


@lru_cache(maxsize=256)
def told_in(question: str) -> frozenset[str]:
    """The labels that a history names."""
    readings = read_report(question, signs=True)
    return frozenset(mention.label for reading in readings for mention in reading.mentions)


@lru_cache(maxsize=256)
def numbers_of(text: str, language: Language) -> frozenset[str]:
    """The numbers of a text in digits: *two weeks* is 2, *a month* is 1.

    Turkish ones in words only as how long: *altı* is below as well, and *uç* and *ön* are folded to numbers.
    """
    words, english = words_of(text).texts, _NUMBERS[Language.EN]
    spelled = {str(english[word]) for word in words if word in english}
    spelled |= {str(number) for (number, _), _ in intervals_in(words, language)}
    return frozenset(spelled.union(*(re.findall(r"\d+", word) for word in words)))


def intervals_in(words: Sequence[str], language: Language) -> Iterator[tuple[tuple[int, str], int]]:
    """Numbers of hours, days, weeks, months and years, each with the place of its last word."""
    ones, tens = _NUMBERS[language], _TENS[language]
    found: list[tuple[int, int]] = []
    for place, word in enumerate(words):
        if word.isdecimal() or word in ones or word in tens:
            number = int(word) if word.isdecimal() else ones.get(word, tens.get(word, 0))
            before = words[place - 1] if found else ""
            if before in _SINGLE:
                found.pop()  # "a 6-week interval"
            elif before in tens and word in ones:
                number += found.pop()[0]  # "on iki" is 12
            found.append((number, place))
        else:
            unit = next((name for name, form in _UNITS.items() if re.fullmatch(form, word)), None)
            yield from (((each, unit), where) for each, where in found if unit)
            found = found if word in _TO else []


def parts_of(words: Sequence[str]) -> list[int]:
    """The number of the part of a sentence in which each word stands: marks and joining words divide them."""
    parts, part = [], 0
    for word in words:
        part += word in _DIVIDING
        parts.append(part)
    return parts


# How single mentions stand to the facts: agreed or not, on which side, with which course.


_OPPOSITE = {Polarity.PRESENT: Polarity.ABSENT, Polarity.ABSENT: Polarity.PRESENT}


def as_image(mention: Mention, facts: Facts) -> tuple[str, Polarity]:
    """Label and polarity of a mention on this kind of image: a tumour of the chest is a mass."""
    here = "Mass" if facts.route is Route.CHEST else "No_Tumor"
    if facts.route is not None and mention.label in ("Mass", "No_Tumor") and mention.label != here:
        return here, _OPPOSITE.get(mention.polarity, mention.polarity)
    return mention.label, mention.polarity


def verdict(mention: Mention, facts: Facts, *, earlier: bool = False) -> str:
    """Whether a mention agrees with the facts: `ok`, `bad`, `unk`; `free` where it claims nothing.

    Args:
        earlier: whether it is said of the earlier image.
    """
    label, polarity = as_image(mention, facts)
    if mention.context is not Context.CURRENT:
        return "free"
    if label == "Lung_Opacity" and facts.route is Route.BRAIN_MRI:
        return "free"
    if label == "Support_Devices" and "line" in named_in(facts.question):
        return "free"
    status = status_of(label, facts)
    if label in NORMAL_LABELS:
        if polarity is Polarity.ABSENT or (polarity is Polarity.UNCERTAIN and status != "F"):
            return "bad" if status == "F" else "ok"
        return {"F": "ok", "A": "bad", "U": "bad" if facts.abnormal else "unk"}[status]
    if earlier:
        before = {facts.before[name] for name in narrower(label) if name in facts.before}
        agrees = (True in before) is (polarity is not Polarity.ABSENT)
        return "unk" if not before else "ok" if agrees else "bad"
    if status == "U":
        return "unk"
    if polarity is Polarity.UNCERTAIN:
        return "ok" if status == "F" else "bad"
    return "ok" if (status == "F") is (polarity is Polarity.PRESENT) else "bad"


def status_of(label: str, facts: Facts) -> str:
    """`F` found, `A` may be denied, `U` not known."""
    return "F" if facts.may_assert(label) else "A" if facts.may_deny(label) else "U"


def side_of(side: Side | None, label: str, facts: Facts) -> str:
    """`s` the measured side, `o` the other, `p` one of both, `u` where none was measured."""
    if side is None:
        return ""
    measured = facts.sides_of(label)
    if not measured:
        return "u"
    if side in measured or (side is Side.BOTH and {Side.LEFT, Side.RIGHT} <= measured):
        return "s"
    return "p" if Side.BOTH in measured else "o"


def change_of(label: str, facts: Facts) -> str:
    """`N` new, `P` persists, `G` gone, `B` on neither image, `x` not assessed before, `0` no earlier one."""
    if not facts.compared:
        return "0"
    kinds = {facts.changes[name] for name in narrower(label) if name in facts.changes}
    for kind, letter in ((ChangeKind.NEW, "N"), (ChangeKind.PERSISTS, "P"), (ChangeKind.GONE, "G")):
        if kind in kinds:
            return letter
    before = {facts.before[name] for name in narrower(label) if name in facts.before}
    return "x" if not before else "W" if True in before else "B"


_SIGN = {Polarity.PRESENT: "+", Polarity.ABSENT: "-", Polarity.UNCERTAIN: "?"}
_BY_SIGNS = frozenset({"Emphysema", "Fibrosis"})
"""What signs suggest that stand without it as well: hyperinflated lungs are no emphysema yet."""
_ATTRIBUTE_STEMS = """size boyu buyu hacm mikt amou volu grad dere evre marg kena exte yayg capi caus nede
etke etiy aeti etio kays sinu natu turu type tipi yeri yerl loca posi seve sidd numb sayi dens side tara horm
akti acti func foks"""
_ATTRIBUTES = frozenset(_ATTRIBUTE_STEMS.split())
_ONLY_WORDS = "limited restricted sinirli only solely confined alone yalniz yalnizca sadece"
_ONLY = frozenset(_ONLY_WORDS.split())
_LUNGS = ("akcigerde", "akcigerlerde", "parankimde")
"""What is said to be in the lungs is not of the side before it: *solda kalınlaşma ile akciğerde fibrozis*."""
_NEAR = 4
"""Words between an exception and what it excepts."""
_RETOLD = 4
"""Words before a finding within which the history is told again."""
_FEW = 6
"""Words that say that something cannot be assessed, and no more."""
_SOFT = ("open", "reverse", "exception", "correction")
"""Kinds of words after which no rule is sure of a sentence: it leaves open, turns round, excepts."""
_WHOLLY = ("complete", "total", "komple")
_LASTING = ("persist", "remain", "continu")
_PAST_WORDS = """was were had then showed wasn weren yoktu vardi mevcuttu degildi izlenmiyordu seciliyordu
izleniyordu normaldi buyuktu secilmiyordu"""
_PAST = frozenset(_PAST_WORDS.split())
_NAMED_NUMBERS = frozenset({"19", "2", "t1", "t2", "0.5", "0,5"})
_WRONG_COURSE = {"new:P", "new:G", "same:N", "same:G", "gone:P", "gone:N", "gone:B"}
_NO_COURSE = {"gone:x", "new:0", "same:0", "gone:0", "amount:0", "amount:P", "amount:N"}
_BESIDE = Sentence("Nothing here assesses this.")
_UNBORNE = Sentence("Nothing that was found bears this out.")
_OBJECTIONS = {
    "disease": (Fault.NOT_FOUND, _BESIDE),
    "part": (Fault.NOT_FOUND, _BESIDE),
    "device": (Fault.NOT_FOUND, _BESIDE),
    "lobe": (Fault.SIDE, Sentence("No such place was measured.")),
    "shape": (Fault.MEASUREMENT, Sentence("Nobody graded this.")),
    "grade": (Fault.MEASUREMENT, Sentence("Nobody graded this.")),
    "cause_of": (Fault.CITATION, _UNBORNE),
    "rest": (Fault.DENIES_UNPROVEN, _BESIDE),
    "kind_of": (Fault.MEASUREMENT, Sentence("Nobody graded this.")),
    "mirrored": (Fault.SIDE, Sentence("The side is another one.")),
}
_NEVER_SOFT = frozenset({"rest"})
"""What is an exception itself: *otherwise normal* speaks of all that nobody looked at."""
_MEASURED = ("measur", "ratio", "ctr", "kto", "oran", "olcul")
_TIMES = ("hour", "day", "week", "month", "year", "saat", "gun", "hafta", "ay", "yil")
_OF_THIS_IMAGE = frozenset({"disease", "kind_of", "grade", "shape", "device"})
"""What no passage can know of an image."""
_SUBSETS = frozenset({"grade", "shape", "lobe"})
"""What narrows a finding: who denies the whole denies that too."""
_ACTIONS_OF_A_PASSAGE = frozenset(
    {
        "ct",
        "drain",
        "biopsy",
        "sampling",
        "pet",
        "ultrasound",
        "antibiotic",
        "endoscopy",
        "surgery",
        "laboratory",
    }
    | {"echo"}
    | {"specialist", "radiotherapy"}
)


@dataclass(frozen=True)
class Claims:
    """What one sentence was taken apart into.

    Attributes:
        found: kinds of words with how often they stand there.
        against: objections of what the facts contradict.
        undecided: objections of what the model was asked for and can neither assert nor deny.
        beyond: objections of what they do not hold.
        certain: those of them that stand whatever the wording: a number that nobody measured, what was found
            called not assessable.
        tokens: the sentence in order for `entailment`: a mention as how it stands to the facts, what
            `concepts.toml` knows as its kind, any other word as itself.
    """

    found: Mapping[str, int]
    against: tuple[Mark, ...]
    undecided: tuple[Mark, ...]
    beyond: tuple[Mark, ...]
    certain: tuple[Mark, ...]
    tokens: tuple[tuple[str, ...], ...]


def claims_of(
    text: str,
    readings: Sequence[SentenceReading],
    facts: Facts,
    passages: Sequence[Passage],
    language: Language,
) -> Claims:
    """The claims of one sentence of `text`, which `readings` have read."""
    return _Taken(text, readings, facts, passages, language).claims()


class _Taken:
    """One sentence being taken apart."""

    def __init__(
        self,
        text: str,
        readings: Sequence[SentenceReading],
        facts: Facts,
        passages: Sequence[Passage],
        language: Language,
    ) -> None:
        self.facts, self.language = facts, language
        self.words: Words = words_of(text)
        self.mentions = [mention for reading in readings for mention in reading.mentions]
        self.background = f"{facts.question} {facts.inputs.technique or ''}"
        self.leaned = " ".join(item.text for item in passages)
        self.background_words = frozenset(words_of(self.background).texts)
        self.leaned_words = frozenset(words_of(self.leaned).texts)
        self.found: Counter[str] = Counter()
        self.against: list[Mark] = []
        self.undecided: list[Mark] = []
        self.beyond: list[Mark] = []
        self.certain: list[Mark] = []
        self.part = parts_of(self.words.texts)
        self.place = {start: place for place, start in enumerate(self.words.starts)}
        self.inside = {
            place
            for place in range(len(self.words.texts))
            if any(
                self.words.starts[place] < item.end and self.words.ends[place] > item.start
                for item in self.mentions
            )
        }
        self.hits = hits_in(self.words.texts)
        self.kinds = [
            hit for hit in self.hits["classes"] if hit.first not in self.inside or hit.value == "kind_of"
        ]
        self.changes = [hit for hit in self.hits["changes"] if hit.value != "nothing"]
        self.found.update(f"class:{hit.value}" for hit in self.kinds)
        if self.hits["open"] or asked_in(self.words.texts):
            self.found["class:open"] = 1
        self.leaned_on = named_in(self.leaned)
        self.named = {part: named_in(self.background) | self.leaned_on for part in ("symptoms", "actions")}
        self.known = {
            place
            for part, named in self.named.items()
            for hit in self.hits[part]
            if hit.value in named
            for place in range(hit.first, hit.last + 1)
        }
        asked = any(hit.first in self.known for hit in self.hits["actions"])
        self.aside = self.found["class:purpose"] or (asked and self.found["class:condition"])
        self.soft = any(self.found[f"class:{name}"] for name in _SOFT)

    def claims(self) -> Claims:
        self._of_findings()
        self._of_courses()
        self._of_numbers()
        self._of_kinds()
        self._of_actions()
        found = self.found
        found["soft"], found["passage"] = self.soft, bool(self.leaned)
        objections = tuple(self.against), tuple(self.undecided), tuple(self.beyond)
        return Claims(+found, *objections, tuple(self.certain), tuple(self._tokens()))

    def _tokens(self) -> Iterator[tuple[str, ...]]:
        numbers = numbers_of(self.background, self.language) | numbers_of(self.leaned, self.language)
        starting = {place: self._stands(item) for item in self.mentions for place in self._first(item)}
        kinds: dict[int, list[str]] = {}
        for part, hits in self.hits.items():
            for hit in hits:
                value = hit.value if part not in ("symptoms", "actions") else str(hit.first in self.known)
                kinds.setdefault(hit.first, []).append(f"{part}:{value}")
        for place, word in enumerate(self.words.texts):
            if place in starting:
                yield starting[place]
            elif place not in self.inside:
                yield from ((kind,) for kind in kinds.get(place, ()))
                digits = set(re.findall(r"\d+", word))
                number = bool(digits) and word not in _NAMED_NUMBERS
                yield (f"number:{digits <= numbers}",) if number else (f"word:{word}",)

    def _first(self, mention: Mention) -> list[int]:
        """The place of the first word of a mention; none where it is within no word."""
        ends, starts = self.words.ends, self.words.starts
        inside = (place for place, end in enumerate(ends) if end > mention.start)
        return [place for place in inside if starts[place] < mention.end][:1]

    def _stands(self, mention: Mention) -> tuple[str, str, str, str]:
        """How a mention stands to the facts: its verdict, status with side, context and course."""
        label, polarity = as_image(mention, self.facts)
        shape = f"{status_of(label, self.facts)}{_SIGN[polarity]}{side_of(mention.side, label, self.facts)}"
        change = f"course:{change_of(label, self.facts)}"
        stands = "told" if self._retold(mention) else verdict(mention, self.facts)
        return f"is:{stands}", shape, mention.context.value, change

    def _of_findings(self) -> None:
        then = {self.part[hit.first] for hit in self.changes if hit.value == "prior"} & {
            self.part[place] for place, word in enumerate(self.words.texts) if word in _PAST
        }
        for mention in self.mentions:
            label, polarity = as_image(mention, self.facts)
            earlier = bool(then) and self.part[self.place.get(mention.start, 0)] in then
            agreed = verdict(mention, self.facts, earlier=earlier)
            side = side_of(mention.side, label, self.facts)
            if (earlier and agreed in ("ok", "free")) or self._retold(mention):
                continue
            shape = f"{status_of(label, self.facts)}{_SIGN[polarity]}"
            self._object(mention, label, shape, agreed, side)

    def _object(self, mention: Mention, label: str, shape: str, agreed: str, side: str) -> None:
        name = {"finding": label_name(label, self.language)}
        place = mention.start, mention.end
        corrected = bool(self.found["class:correction"])
        own = label not in OTHER_LABELS or self.facts.assessed(label)
        if agreed == "unk" and not self.found["class:open"]:
            reason = Sentence("{finding} was not found.", name)
            mark = Mark(Fault.NOT_FOUND, reason, *place)
            if "-" in shape:
                reason = Sentence("The model has no measured right to deny {finding}.", name)
                mark = Mark(Fault.DENIES_UNPROVEN, reason, *place)
            suggested = "-" not in shape and self.facts.may_suggest(label)
            (self.undecided if self.facts.assessed(label) and not suggested else self.beyond).append(mark)
        elif self._put_off(mention, label):
            mark = Mark(Fault.DENIES_FOUND, Sentence("{finding} was found.", name), *place)
            self.against.append(mark)
            self.certain.append(mark)
        elif agreed == "bad" and shape != "F+":
            plain = shape == "A+" and not corrected
            own &= not (shape.endswith("?") and (label in _BY_SIGNS or self._at_the_edge(mention)))
            if plain or not (self.soft and self._softened(mention)):
                denies = shape.startswith("F")
                template = "{finding} was found." if denies else "{finding} was not found."
                fault = Fault.DENIES_FOUND if denies else Fault.NOT_FOUND
                mark = Mark(fault, Sentence(template, name), *place)
                here = side != "o"  # "no effusion on the right" beside one on the left goes beyond the facts
                (self.against if here and (own or denies) else self.beyond).append(mark)
        elif shape.startswith("F") and side == "o" and not corrected and mention.context is Context.CURRENT:
            mark = Mark(Fault.SIDE, Sentence("The side is another one."), *place)
            (self.against if own else self.beyond).append(mark)
        elif shape == "F+" and side == "p" and not _ONLY.isdisjoint(self.words.texts):
            self.against.append(Mark(Fault.SIDE, Sentence("The side is another one."), *place))
        elif shape == "F+" and side == "u" and not self.soft and self._beside_side(mention):
            mark = Mark(Fault.SIDE, Sentence("No side was measured."), *place)
            self.beyond.append(mark)
            self.certain.append(mark)

    def _retold(self, mention: Mention) -> bool:
        """Whether what the history names is told again: *six weeks after pneumonia*, *pnömoni sonrası*."""
        if mention.polarity is Polarity.ABSENT or mention.label not in told_in(self.facts.question):
            return False
        first = self.place.get(mention.start, 0)
        last = max((place for place, end in enumerate(self.words.ends) if end <= mention.end), default=first)
        before = self.words.texts[max(0, first - _RETOLD) : first]
        after = self.words.texts[last + 1 : last + _RETOLD]
        return any(words("retold", "before").fullmatch(word) for word in before) or any(
            words("retold", "after").fullmatch(word) for word in after
        )

    def _at_the_edge(self, mention: Mention) -> bool:
        """Whether it is said to be at the edge of normal: not yet the finding."""
        return bool(words("borderline", "words").search(flat(mention.words)))

    def _softened(self, mention: Mention) -> bool:
        """Whether the words that make the sentence soft are about this mention: an exception is about one."""
        if any(self.found[f"class:{name}"] for name in ("open", "reverse", "correction")):
            return True
        first = self.place.get(mention.start, 0)
        last = max((place for place, end in enumerate(self.words.ends) if end <= mention.end), default=first)
        for hit in self.kinds:
            if hit.value == "exception" and self.words.texts[hit.first] not in _ONLY:
                gap = hit.first - last if self.language is Language.TR else first - hit.last
                if 0 < gap <= _NEAR:
                    return True
        return False

    def _put_off(self, mention: Mention, label: str) -> bool:
        """Whether what was found is said to be beyond this image, and nothing else is said."""
        alone = len(self.mentions) == 1 and len(self.words.texts) - len(self.inside) <= _FEW
        found = any(item.label == label for item in self.facts.present)
        itself = _ATTRIBUTES.isdisjoint(word[:4] for word in self.words.texts)
        return mention.context is Context.NOT_ASSESSED and alone and found and itself

    def _beside_side(self, mention: Mention) -> bool:
        """Whether a word for a side stands in the same part of the sentence."""
        first = self.place.get(mention.start, 0)
        texts, part = self.words.texts, self.part[first]
        sides = rules_of(self.language, signs=True).sides.find(texts)
        sides = [hit for hit in sides if texts[hit.last + 1 : hit.last + 2] != ("to",)]  # "is left to you"
        if first and texts[first - 1].startswith(_LUNGS):  # "in both lungs", and not "in the right lung"
            return mention.side is not Side.BOTH and any(hit.last == first - 2 for hit in sides)
        return any(self.part[hit.first] == part for hit in sides)

    def _of_courses(self) -> None:
        near = [
            (self.place.get(item.start, 0), change_of(as_image(item, self.facts)[0], self.facts), item)
            for item in self.mentions
            if not item.implied
        ]
        bare = "-" if self.facts.compared else "0"
        gone = {self.part[hit.first] for hit in self.changes if hit.value == "gone"}
        for hit in self.changes:
            if hit.last in self.inside or hit.first in self.known or self.aside:
                continue
            if hit.value == "same" and self.part[hit.first] in gone:
                continue  # "seen on the previous study, no longer seen": one course, that it is gone
            beside = [item for item in near if self.part[item[0]] == self.part[hit.first]] or near
            closest = min(beside, key=lambda item: abs(item[0] - hit.first), default=(0, bare, None))
            of_symptom = any(self.part[place] == self.part[hit.first] for place in self.known)
            if of_symptom and not (beside and self.part[closest[0]] == self.part[hit.first]):
                continue  # the course of a symptom that the history names
            kind, denied = hit.value, closest[2] and closest[2].polarity is Polarity.ABSENT
            if kind == "same" and denied and self.words.texts[hit.first].startswith(_LASTING):
                kind = "gone"  # "no sign that consolidation has persisted"
            claim = f"{kind}:{closest[1]}"
            span = self.words.span(hit.first, hit.last)
            if self.soft:
                continue
            if claim in _WRONG_COURSE:
                reason = Sentence("The comparison does not hold.")
                self.against.append(Mark(Fault.COMPARISON, reason, *span))
            elif claim in _NO_COURSE:
                amount = claim != "amount:0" and hit.value == "amount"
                template = "Nobody measured a change." if amount else "No earlier image was compared."
                self.beyond.append(Mark(Fault.COMPARISON, Sentence(template), *span))

    def _of_numbers(self) -> None:
        asked, leaned = (numbers_of(text, self.language) for text in (self.background, self.leaned))
        measures = any(word.startswith(_MEASURED) for word in self.words.texts)
        for place, word in enumerate(self.words.texts):
            digits = set(re.findall(r"\d+", word))
            # A passage knows when to look again, and no size in this image.
            timed = any(text.startswith(_TIMES) for text in self.words.texts[place + 1 : place + 3])
            allowed = asked | leaned if timed else frozenset() if measures else asked
            if not digits or digits <= allowed or word in _NAMED_NUMBERS or self._lists(place):
                continue
            if not self.soft:
                reason = Sentence("Nobody measured this.")
                mark = Mark(Fault.MEASUREMENT, reason, *self.words.span(place, place))
                self.beyond.append(mark)
                self.certain.append(mark)

    def _lists(self, place: int) -> bool:
        """Whether a number only numbers a line: first, or after a full stop, with a mark behind."""
        texts = self.words.texts
        marked = len(texts[place]) <= 2 and texts[place + 1 : place + 2] in ((".",), (")",))
        return marked and (place == 0 or texts[place - 1] in (".", ":", ";", "\n"))

    def _of_kinds(self) -> None:
        denied = {
            self.part[self.place.get(item.start, 0)]
            for item in self.mentions
            if item.polarity is Polarity.ABSENT or item.label in NORMAL_LABELS
        }
        for hit in self.kinds:
            objection = _OBJECTIONS.get(hit.value)
            if self.words.texts[hit.first].startswith("belirgin") and self.part[hit.first] in denied:
                continue  # "belirgin tümör saptanmadı" grades nothing
            word = self.words.texts[hit.first]
            repeated = (hit.first in self.known and not self._asserts_disease(hit)) or (
                (word in self.background_words and hit.value not in ("disease", "kind_of"))
                or (word in self.leaned_words and hit.value not in _OF_THIS_IMAGE)
            )
            if repeated or (hit.value in _SUBSETS and self._within_denied(hit.last)):
                continue
            ended = hit.value == "grade" and self.words.texts[hit.first].startswith(_WHOLLY)
            if ended and any(change.value == "gone" for change in self.changes):
                continue
            if hit.value == "cause_of" and self._own_sign(hit.first):
                continue
            if objection is not None and (not self.soft or hit.value in _NEVER_SOFT):
                self.beyond.append(Mark(*objection, *self.words.span(hit.first, hit.last)))

    def _asserts_disease(self, hit: PhraseHit[str]) -> bool:
        """Whether a disease that the history names is said to be seen here."""
        if hit.value != "disease":
            return False
        part = self.part[hit.first]
        near = " ".join(word for place, word in enumerate(self.words.texts) if self.part[place] == part)
        return bool(words("seen", "words").search(near))

    def _within_denied(self, place: int) -> bool:
        """Whether the next word begins what is rightly denied: *no focal pneumonia* where there is none."""
        courses = {self.part[hit.first] for hit in self.changes}
        return any(
            self.place.get(item.start) == place + 1
            and self.part[place] not in courses
            and item.polarity is Polarity.ABSENT
            and verdict(item, self.facts) == "ok"
            for item in self.mentions
        )

    def _own_sign(self, place: int) -> bool:
        """Whether a finding is only the cause of its own sign: *sinüs sıvıya bağlı olarak kapalı*."""
        part = self.part[place]
        near = {item.label for item in self.mentions if self.part[self.place.get(item.start, 0)] == part}
        others = (hit for name in self.named for hit in self.hits[name] if hit.first not in self.inside)
        return (
            len(near) == 1
            and place - 1 in self.inside
            and all(self.part[hit.first] != part for hit in others)
        )

    def _of_actions(self) -> None:
        for part, named in self.named.items():
            for hit in self.hits[part]:
                if hit.first in self.inside and hit.value not in _ACTIONS_OF_A_PASSAGE:
                    continue
                # What to do next rests on a passage: a history may ask for anything.
                known = hit.value in (self.leaned_on if hit.value in _ACTIONS_OF_A_PASSAGE else named)
                self.found[f"{part}:known"] += known
                soft = any(self.found[f"class:{name}"] for name in ("open", "reverse", "correction"))
                if not known and hit.value in _ACTIONS_OF_A_PASSAGE and not soft:
                    reason = Sentence("No cited passage says this.")
                    self.beyond.append(Mark(Fault.CITATION, reason, *self.words.span(hit.first, hit.last)))
