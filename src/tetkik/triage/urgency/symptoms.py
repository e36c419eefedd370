"""The recogniser: which symptoms a complaint names, where, and whether they are really there.

`symptoms.toml` says what to look for: classes of words (`[words]`) and, for each symptom, patterns of words
near each other (`[symptoms]`). In a pattern a space means "then, within three words", `&` means "near, either
way round", `@gogus` is a class, `a|b` are stems, and `/5` at the end widens the gap.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any

from tetkik import turkish
from tetkik.errors import DataError
from tetkik.triage import age_and_duration
from tetkik.triage.age_and_duration import ComplaintSubject, Duration
from tetkik.triage.urgency.clauses import Status, Text, denies_itself, lacks, read
from tetkik.triage.urgency.temporality import long_ago

# From a word to the classes of words it belongs to, through suffixes and one typing error.
#
# A class is a list of stems ("göğüs", "göğs"). A word belongs to it when it begins with a stem, as Turkish
# only adds suffixes; a stem written `=kan` takes the whole word only, and `-kanser` keeps words out. A stem
# of six letters or more also takes a word with one error inside it: a letter missing or added, two swapped,
# and from eight letters a wrong one (with six, "yandım" would take "yardım"). Such words are found through
# precomputed deletions (Garbe's symmetric delete, SymSpell, 2012), so that no list is walked; `known` words
# are never taken for errors.
#
# Shorter stems are mended by whole words: one that is not in a list of common words is read as the word of
# that list from which one letter missing, doubled or swapped parts it ("trliyorum", "göğüsmde"). A missing
# letter must be one of the stem, as suffixes differ by single letters ("gelmiyor", "geliyor").


_TYPO_LENGTH = 6
_WRONG_LETTER_LENGTH = 8
_SOFTENS = {"k": "g", "p": "b"}
"""Before a vowel a last k or p softens: "kemik" stands for "kemiği", "kitap" for "kitabı"."""
_SOFTENS_FROM = 5
_CACHE_SIZE = 50_000
_LONGEST_WORD = 40
"""A longer one is no word, and takes long to mend."""
_MENDED_LENGTH = 5
"""A shorter word has too many neighbours to be mended."""
_NO_SYLLABLE = re.compile(r"[^aeiou]{2}\w\w")
"""How hardly a word of Turkish begins: "gldi", "krnm"."""
_ODD = re.compile(r"[^aeiou]{3}|^[^aeiou]{2}|[aeiou]{2}|[^aeiou][^aeioulrnmys]$|[^aeiou][mys]$")
"""What few words of Turkish have: consonants in a cluster ("krnim"), vowels side by side ("ateim")."""
_PLAIN_LENGTH = 6
"""A word without that is mended from this length, and within stems of `_PLAIN_STEM` letters."""
_PLAIN_STEM = 4
_DRAWN_OUT = re.compile(r"(\w)\1{2,}")
_SPOKEN = re.compile(
    r"(?<=\w\w)(?:([iu])(?:yo|o|y)|(?<=[^aeiou])()yo|(?<=[^aeiou])()y(?=r))(?:(ru?m)|(om|m)|(r?))$"
)
"""How "-iyor" and "-iyorum" are written on a phone: "-ior", "-iyrm", "-iom", "tutmyor"."""


Memberships = Mapping[int, int]
"""The classes a word belongs to, each with how many of the word's letters its stem took."""


def one_edit_apart(a: str, b: str) -> bool:
    """Whether `a` and `b` are equal, or one letter missing, added, wrong or swapped makes them so."""
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1:
        return False
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[at:] == b[at + 1 :]
    if a[at + 1 :] == b[at + 1 :]:
        return True
    return a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :]


def _misspells(prefix: str, stem: str) -> bool:
    if not one_edit_apart(prefix, stem):
        return False
    if sorted(prefix) == sorted(stem):
        return True
    # The stem's last letter must stand, or every other suffix ("annem", "anneme") were an error of this one.
    return prefix[-1] == stem[-1] and (len(stem) >= _WRONG_LETTER_LENGTH or len(prefix) != len(stem))


def _deletions(text: str) -> set[str]:
    # The first letter is kept: a slip there is rare, and letting it go joins too many words.
    return {text[:i] + text[i + 1 :] for i in range(1, len(text))}


def _as_written(found: re.Match[str]) -> str:
    vowel = found[1]
    if vowel is None:
        before = re.findall("[aeiou]", found.string[: found.start()])
        vowel = "u" if before and before[-1] in "ou" else "i"
    return f"{vowel}yor{'um' if found[4] or found[5] else ''}"


class WordIndex:
    """Looks words up; built once from the classes.

    Args:
        classes: for each class, its stems as written in the file (Turkish letters, `=`, `-`).
        known: beginnings of words that are right as they stand, though near a stem.
        words: common words, folded, the most frequent first: right as they stand; others are read as them.
    """

    def __init__(
        self, classes: Iterable[Iterable[str]], known: Iterable[str] = (), words: Iterable[str] = ()
    ) -> None:
        self._known = tuple(turkish.fold(word) for word in known)
        self._prefixes: dict[str, list[tuple[int, bool]]] = {}
        self._barred: dict[str, list[int]] = {}
        self._near: dict[str, list[tuple[str, int]]] = {}
        self._near_longest: dict[str, int] = {}
        self._cache: dict[str, Memberships] = {}
        self._longest = 0
        for number, stems in enumerate(classes):
            for written in stems:
                self._add(number, written)
        self._spelled: dict[str, str] = {}
        self._words = frozenset(words)
        self._lacking: dict[str, str] = {}
        for word in words:
            self._add_word(word)

    def _add(self, number: int, written: str) -> None:
        stem = turkish.fold(written.lstrip("=-"))
        if written.startswith("-"):
            self._barred.setdefault(stem, []).append(number)
            return
        whole = written.startswith("=")
        self._prefixes.setdefault(stem, []).append((number, whole))
        if not whole and len(stem) >= _SOFTENS_FROM and stem[-1] in _SOFTENS:
            self._prefixes.setdefault(stem[:-1] + _SOFTENS[stem[-1]], []).append((number, False))
        self._longest = max(self._longest, len(stem))
        if len(stem) >= _TYPO_LENGTH and not whole:
            for key in _deletions(stem) | {stem}:
                self._near.setdefault(key, []).append((stem, number))
            self._near_longest[stem[0]] = max(self._near_longest.get(stem[0], 0), len(stem))

    def _add_word(self, word: str) -> None:
        if len(word) >= _MENDED_LENGTH:
            for i in range(1, min(self._stem_of(word), len(word) - 1)):
                # "yapmıyor" lacks nothing of "yapamıyor", nor "giriş" of "girmiş".
                if word[i] != "m" and word[i : i + 2] not in ("am", "em"):
                    self._lacking.setdefault(word[:i] + word[i + 1 :], word)

    def _stem_of(self, word: str) -> int:
        """How many letters the longest stem takes of the word."""
        for length in range(min(len(word), self._longest), 1, -1):
            for _, whole in self._prefixes.get(word[:length], ()):
                if not whole or length == len(word):
                    return length
        return 0

    def spelled(self, word: str) -> str:
        """The word as it was probably meant; most stay as they are."""
        if len(word) > _LONGEST_WORD:
            return word
        found = self._spelled.get(word)
        if found is None:
            found = self._mend(word)
            if len(self._spelled) >= _CACHE_SIZE:
                self._spelled.clear()
            self._spelled[word] = found
        return found

    def _mend(self, word: str) -> str:
        words = self._words
        if not word.isalpha():
            return word
        plain = _DRAWN_OUT.sub(r"\1", word) if len(word) > 3 else word
        if len(plain) < _MENDED_LENGTH:
            return self._lacking.get(plain, plain) if _NO_SYLLABLE.match(plain) else plain
        full = _SPOKEN.sub(_as_written, plain)
        if full not in words and not full.endswith("rum"):
            full = plain
        for form in (full, plain):
            if form in words or form.startswith(self._known) or self._stem_of(form) == len(form):
                return form
        return self._neighbour(plain) or self._neighbour(full) or full

    def _neighbour(self, word: str) -> str | None:
        """The common word from which one letter swapped, doubled or missing parts a word."""
        words = self._words
        for i in range(1, len(word)):
            if word[i] == word[i - 1] and word[:i] + word[i + 1 :] in words:
                return word[:i] + word[i + 1 :]
        for i in range(1, len(word) - 1):
            swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
            if swapped in words and not word.endswith(("mi", "mu")):
                return swapped
        found = self._lacking.get(word)
        if (
            found
            and not _ODD.search(word)
            and (len(word) < _PLAIN_LENGTH or self._stem_of(found) < _PLAIN_STEM)
        ):
            return None
        return found

    def classes_of(self, word: str) -> Memberships:
        found = self._cache.get(word)
        if found is None:
            found = self._look_up(word)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[word] = found
        return found

    def _look_up(self, word: str) -> Memberships:
        best: dict[int, int] = {}
        barred: set[int] = set()
        for length in range(1, min(len(word), max(self._longest, 1)) + 1):
            prefix = word[:length]
            for number, whole in self._prefixes.get(prefix, ()):
                if not whole or length == len(word):
                    best[number] = length
            barred.update(self._barred.get(prefix, ()))
        # A word that is right for one class is not looked at again: that finds mostly nonsense.
        if not best and len(word) >= _TYPO_LENGTH - 1 and not word.startswith(self._known):
            best = self._look_up_near(word)
        return {number: length for number, length in best.items() if number not in barred}

    def _look_up_near(self, word: str) -> dict[int, int]:
        best: dict[int, int] = {}
        near = self._near
        for length in range(_TYPO_LENGTH - 1, min(len(word), self._near_longest.get(word[0], 0) + 1) + 1):
            prefix = word[:length]
            keys = [prefix[:i] + prefix[i + 1 :] for i in range(1, length)]
            keys.append(prefix)
            for key in keys:
                if key in near:
                    for stem, number in near[key]:
                        if _misspells(prefix, stem):
                            best[number] = max(best.get(number, 0), length)
        return best


_GAP = 3
_BACKWARD_GAP = 2
_WIDEST_GAP = 20
_STEM = r"(?:@\w+|[=-]?\w+)"
_READABLE = re.compile(rf"\s*{_STEM}(?:\|{_STEM})*(?:[\s&]+{_STEM}(?:\|{_STEM})*)*[\s&]*")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A symptom found: its id, the first and last word (indexes), and what is said of it."""

    symptom: str
    first: int
    last: int
    status: Status


@dataclass(frozen=True, slots=True)
class Reading:
    """A complaint with the symptoms found in it, and what is said of the patient.

    Attributes:
        person: the patient's age where stated, whether a child, whether pregnant.
        durations: the times stated, in order.
        recent: where words tell of now ("bugün"): indexes of words.
        history: where words tell of tests, treatment, doctors: indexes of words.
        past: the words of an account long over (`long_ago`).
    """

    text: Text
    found: tuple[Occurrence, ...]
    present: Mapping[str, tuple[Occurrence, ...]]
    person: ComplaintSubject
    durations: tuple[Duration, ...]
    recent: tuple[int, ...]
    history: tuple[int, ...]
    past: frozenset[int]

    def standing(self) -> tuple[int, ...]:
        """The words that are said of the patient and of now: not denied, not past, not of a relative."""
        named = {i for items in self.present.values() for o in items for i in range(o.first, o.last + 1)}
        text, standing = self.text, []
        for clause in text.clauses:
            words = range(clause.first, clause.last + 1)
            if clause.is_plain:
                standing += [i for i in words if i not in self.past or i in named]
            else:
                standing += [
                    i for i in words if i in named or (i not in self.past and self._stands(i, named))
                ]
        return tuple(standing)

    def _stands(self, index: int, named: AbstractSet[int]) -> bool:
        return _said_of(index, index, self.text, named, diagnosis=False) is Status.PRESENT


_Key = tuple[int, int, int]
"""First word, last word, symptom."""
_Hit = tuple[tuple[int, ...], tuple[int, ...]]
"""The words of a match, and the class each was taken for."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    symptom: int
    classes: tuple[int, ...]
    rest: frozenset[int]
    either_way: bool
    gap: int


class Recogniser:
    """Finds symptoms in text; built once from the table and safe to share between threads.

    Args:
        table: `symptoms.toml`, read: `words` {name: stems}, `symptoms` {id: patterns}, and the lists
            `history`, `diagnoses`, `recent`, `reported` and `known`, which the file explains.

    Raises:
        DataError: a pattern names an unknown class, or an id of the lists is unknown.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._names: dict[str, int] = {}
        self._stems: list[list[str]] = []
        for name, stems in table["words"].items():
            self._class(f"@{name}", stems.split())
        self.symptoms: tuple[str, ...] = tuple(table["symptoms"])
        patterns = [
            self._pattern(number, written)
            for number, symptom in enumerate(self.symptoms)
            for written in table["symptoms"][symptom]
        ]
        self._history = self._known(table.get("history", []))
        self._diagnoses = self._known(table.get("diagnoses", []))
        self._recent = self._known(table.get("recent", []))
        self._reported = self._known(table.get("reported", []))
        self._index = WordIndex(self._stems, table.get("known", "").split(), common_words())
        self._single: dict[int, list[int]] = {}
        self._by_pair: dict[int, dict[int, list[_Pattern]]] = {}
        for pattern in patterns:
            if len(pattern.classes) == 1:
                self._single.setdefault(pattern.classes[0], []).append(pattern.symptom)
            else:
                first, second = pattern.classes[:2]
                self._by_pair.setdefault(first, {}).setdefault(second, []).append(pattern)

    def _class(self, name: str, stems: Sequence[str]) -> int:
        if name not in self._names:
            self._names[name] = len(self._stems)
            self._stems.append(list(stems))
        return self._names[name]

    def _known(self, ids: Sequence[str]) -> frozenset[str]:
        for symptom in ids:
            if symptom not in self.symptoms:
                raise DataError(
                    "The symptom {id} is listed but not defined; define it in [symptoms].", id=symptom
                )
        return frozenset(ids)

    def _pattern(self, symptom: int, written: str) -> _Pattern:
        gap = _GAP
        body = written
        if match := re.search(r"\s*/(\d+)$", written):
            gap, body = int(match[1]), written[: match.start()]
        either_way = "&" in body
        classes = []
        if gap > _WIDEST_GAP or not _READABLE.fullmatch(body):
            raise DataError(
                "The symptom {id} has the pattern {written}, which no text can match; write letters, and at "
                "most 20 behind the stroke.",
                id=self.symptoms[symptom],
                written=written,
            )
        if not all(element.strip() for element in body.split("&")):
            raise DataError("The symptom {id} has an empty pattern; write words.", id=self.symptoms[symptom])
        for element in body.replace("&", " ").split():
            classes.append(self._class(element, self._stems_of(element, self.symptoms[symptom])))
        return _Pattern(symptom, tuple(classes), frozenset(classes[1:]), either_way, gap)

    def _stems_of(self, element: str, symptom: str) -> list[str]:
        stems: list[str] = []
        for part in element.split("|"):
            if not part.startswith("@"):
                stems.append(part)
            elif part in self._names:
                stems.extend(self._stems[self._names[part]])
            else:
                raise DataError(
                    "The symptom {id} uses {word}, which [words] does not define; define it.",
                    id=symptom,
                    word=part,
                )
        return stems

    def read(self, text: str) -> Reading:
        """Find the symptoms of a complaint."""
        read_text = read(text, self._index.spelled)
        memberships = [self._index.classes_of(word) for word in read_text.words]
        folded = read_text.folded
        durations = age_and_duration.read_durations(folded)
        past = long_ago(read_text, durations)
        found = self._find(read_text, memberships, past)
        present: dict[str, list[Occurrence]] = {}
        for occurrence in found:
            if occurrence.status is Status.PRESENT:
                present.setdefault(occurrence.symptom, []).append(occurrence)
        return Reading(
            text=read_text,
            found=found,
            present={symptom: tuple(items) for symptom, items in present.items()},
            person=age_and_duration.read_person(folded),
            durations=durations,
            recent=tuple(o.first for o in found if o.symptom in self._recent),
            history=tuple(o.first for o in found if o.symptom in self._reported),
            past=past,
        )

    def _find(
        self, text: Text, memberships: list[Memberships], past: frozenset[int]
    ) -> tuple[Occurrence, ...]:
        positions = _positions(text.words, memberships)
        hits: dict[_Key, _Hit] = {}
        for word_class, places in positions.items():
            for symptom in self._single.get(word_class, ()):
                for index in places:
                    hits.setdefault((index, index, symptom), ((index,), (word_class,)))
            pairs = self._by_pair.get(word_class)
            if not pairs:
                continue
            for second in pairs.keys() & positions.keys():
                for pattern in pairs[second]:
                    if len(pattern.classes) > 2 and not pattern.rest <= positions.keys():
                        continue
                    for index in places:
                        placed = _place(pattern, index, positions, text)
                        if placed:
                            key = (min(placed), max(placed), pattern.symptom)
                            # A stem with its negative ("kıpırdamı-") goes before one that it denies.
                            if key not in hits or _own_denial(*hits[key], text, memberships):
                                hits[key] = (placed, pattern.classes)
        return self._judged(hits, text, memberships, past)

    def _judged(
        self,
        hits: Mapping[_Key, _Hit],
        text: Text,
        memberships: list[Memberships],
        past: frozenset[int],
    ) -> tuple[Occurrence, ...]:
        spent = _spent(hits, text, memberships)
        found = []
        for key in sorted(hits):
            first, last, symptom = key
            placed, classes = hits[key]
            name = self.symptoms[symptom]
            status = Status.DENIED
            if not _own_denial(placed, classes, text, memberships):
                status = _said_of(first, last, text, spent, diagnosis=name in self._diagnoses)
            if status is Status.PRESENT and last in past:
                status = Status.PAST
            if status is Status.PAST and name in self._history:
                status = Status.PRESENT
            found.append(Occurrence(name, first, last, status))
        return tuple(found)


def _positions(words: Sequence[str], memberships: Sequence[Memberships]) -> dict[int, list[int]]:
    """Where the words of each class stand, in order; a word said often is looked at once."""
    places: dict[str, list[int]] = {}
    for index, word in enumerate(words):
        places.setdefault(word, []).append(index)
    parts: dict[int, list[list[int]]] = {}
    for indexes in places.values():
        for word_class in memberships[indexes[0]]:
            parts.setdefault(word_class, []).append(indexes)
    return {
        word_class: lists[0] if len(lists) == 1 else sorted(chain.from_iterable(lists))
        for word_class, lists in parts.items()
    }


def _place(
    pattern: _Pattern, at: int, positions: Mapping[int, list[int]], text: Text
) -> tuple[int, ...] | None:
    placed = [at]
    current = at
    for word_class in pattern.classes[1:]:
        best = None
        places = positions[word_class]
        begin = bisect_left(places, current - _BACKWARD_GAP - 1)
        for index in places[begin : bisect_right(places, current + pattern.gap + 1)]:
            closer = best is None or abs(index - current) < abs(best - current)
            if closer and index not in placed and _near(current, index, pattern, text):
                best = index
        if best is None:
            return None
        placed.append(best)
        current = best
    return tuple(placed)


def _near(a: int, b: int, pattern: _Pattern, text: Text) -> bool:
    if a < b:
        # A finite verb between closes the thought: "başım ağrıyor kolum iyi".
        if b - a > pattern.gap + 1 or text.clause[a] != text.clause[b]:
            return False
        return b - a + sum(text.comma[a + 1 : b + 1]) <= pattern.gap + 1
    if not pattern.either_way or a - b > _BACKWARD_GAP + 1 or text.clause[a] != text.clause[b]:
        return False
    return not any(text.comma[b + 1 : a + 1]) and not any(form.ends for form in text.forms[b:a])


def _own_denial(
    placed: tuple[int, ...], classes: tuple[int, ...], text: Text, memberships: list[Memberships]
) -> bool:
    """Whether a word of a match denies itself ("ağrımıyor", "ağrısız")."""
    for index, word_class in zip(placed, classes, strict=True):
        form = text.forms[index]
        if form.negative_at < 0 and not form.privative:
            continue
        length = memberships[index][word_class]
        if denies_itself(form, length) or lacks(text.words[index], length):
            return True
    return False


def _spent(hits: Mapping[_Key, _Hit], text: Text, memberships: list[Memberships]) -> frozenset[int]:
    """Verbs that are part of a symptom ("idrar gelmiyor", "nefesim kesildi") and so deny nothing else."""
    spent = set()
    for placed, classes in hits.values():
        for index, word_class in zip(placed, classes, strict=True):
            form = text.forms[index]
            says_no = form.denies or form.resolves
            # "nefes yok" is one thing, "nefes darlığı hiç yok" another.
            denies_alone = text.words[index].startswith("yok") and index - 1 not in placed
            if says_no and not denies_alone and not denies_itself(form, memberships[index][word_class]):
                spent.add(index)
    return frozenset(spent)


def _said_of(first: int, last: int, text: Text, spent: AbstractSet[int], *, diagnosis: bool) -> Status:
    clause = text.clauses[text.clause[last]]
    if clause.isnot_at >= 0 and clause.isnot_at - last == 1:
        return Status.DENIED
    if clause.denied and clause.denier not in spent and last >= clause.denied_from:
        return Status.DENIED
    if clause.others or _fatal(last, text):
        return Status.OTHERS
    if clause.past or (clause.resolver >= 0 and clause.resolver not in spent):
        return Status.PAST
    likened = last + 1 < len(text.words) and text.words[last + 1].startswith("gibi")
    if diagnosis and (clause.asked or clause.supposed_at >= 0 or likened):
        return Status.SUPPOSED
    if 0 < clause.supposed_at - last <= 2 or (
        clause.asked and last < clause.last and text.forms[last + 1].asks
    ):
        return Status.SUPPOSED
    return Status.PRESENT


def _fatal(last: int, text: Text) -> bool:
    # "kalp krizinden öldü": "oldu" alone may be "happened", after "-den" it is "died".
    ablative = text.words[last].endswith(("den", "dan", "ten", "tan")) and last + 1 < len(text.words)
    return ablative and text.words[last + 1].startswith(("oldu", "olmus", "vefat", "kaybett"))


@cache
def common_words() -> tuple[str, ...]:
    """`words.txt`: folded words of five letters or more that several writers use, the most frequent first."""
    file = resources.files("tetkik.triage.urgency").joinpath("words.txt")
    return tuple(file.read_text("ascii").split())


def builtin_table() -> dict[str, Any]:
    """`symptoms.toml`, read afresh."""
    file = resources.files("tetkik.triage.urgency").joinpath("symptoms.toml")
    return tomllib.loads(file.read_text("utf-8"))


@cache
def recogniser() -> Recogniser:
    """The built-in recogniser, read once."""
    return Recogniser(builtin_table())
