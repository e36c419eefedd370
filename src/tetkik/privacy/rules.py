"""Personal data that is known by its digits: identity numbers, bank accounts, telephones.

Each function gives the places in the text, as (start, end), in order and apart from each other.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property, lru_cache
from importlib import resources

from tetkik.privacy import tagger
from tetkik.privacy.tagger import close_gaps, known_word, list_of, tagged, word_lists
from tetkik.turkish import flat

_SEVEN = re.compile(r"\d(?:\W{0,3}\d){6}")
_RUN = re.compile(r"\d(?:[ .\-\u00a0]?\d)*")
_DIGITS = re.compile(r"\d+")


def is_tckn(digits: str) -> bool:
    """Whether eleven digits make a Turkish identity number: the two check digits of NVI fit.

    Digit 10 is (7 · (d1+d3+d5+d7+d9) - (d2+d4+d6+d8)) mod 10, digit 11 the sum of the first ten mod 10.
    """
    if len(digits) != 11 or not digits.isdecimal() or int(digits[0]) == 0:
        return False
    d = [int(digit) for digit in digits]
    return d[9] == (7 * sum(d[0:9:2]) - sum(d[1:8:2])) % 10 and d[10] == sum(d[:10]) % 10


def tckns(text: str) -> Iterator[tuple[int, int]]:
    """Identity numbers, written in one or with single spaces, dots or hyphens between groups."""
    if not _SEVEN.search(text):
        return
    for run in _RUN.finditer(text):
        if run.end() - run.start() < 11:
            continue
        groups = [(run.start() + m.start(), run.start() + m.end()) for m in _DIGITS.finditer(run[0])]
        first = 0
        while first < len(groups):
            digits, last = "", first
            while last < len(groups) and len(digits) < 11:
                digits += text[slice(*groups[last])]
                last += 1
            if is_tckn(digits):
                yield groups[first][0], groups[last - 1][1]
                first = last
            else:
                first += 1


# Lengths from the IBAN registry (ISO 13616-2) of the accounts met in Turkey.
_LENGTHS = {
    "TR": 26, "AT": 20, "AZ": 28, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "DE": 22, "DK": 18, "ES": 24,
    "FR": 27, "GB": 22, "GE": 22, "GR": 27, "IT": 27, "LU": 20, "NL": 18, "NO": 15, "PL": 28, "RO": 24,
    "SA": 24, "SE": 24, "UA": 29,
}  # fmt: skip
_IBAN = re.compile(r"(?<![^\W_])(TR|tr|Tr|[A-Z]{2}) ?\d{2}(?:[ .\-\u00a0]?[A-Za-z0-9]){11,30}")


def is_iban(account: str) -> bool:
    """Whether letters and digits make an IBAN: its country's length, and ISO 13616's mod 97 = 1."""
    if len(account) != _LENGTHS.get(account[:2].upper()) or not (account.isascii() and account.isalnum()):
        return False
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """Bank accounts, written in one or in groups; the words after them are not taken along."""
    for match in _IBAN.finditer(text):
        places = [match.start() + m.start() for m in re.finditer(r"[A-Za-z0-9]", match[0])]
        length = _LENGTHS.get(match[1].upper(), 0)
        if 0 < length <= len(places) and is_iban("".join(text[place] for place in places[:length])):
            yield match.start(), places[length - 1] + 1


# A telephone: 0, +90 or 0090 and ten digits, or a mobile number's ten digits alone; digits may stand apart.
_GAP = r"[ \t\u00a0().\-/]{0,3}"
_PHONE = re.compile(
    rf"""(?<!\d)
    (?:
        (?:\+|00)[ ]?90{_GAP}[2-58]\d\d(?:{_GAP}\d){{7}}
      | \(?0{_GAP}[2-58]\d\d(?:{_GAP}\d){{7}}
      | 0(?:[ .\-]\d){{10}}
      | \(?5\d\d\)?(?:{_GAP}\d){{7}}
      | \([2-4]\d\d\){_GAP}\d(?:{_GAP}\d){{6}}
      | 90[ ]?5\d\d(?:{_GAP}\d){{7}}
      | \+(?!90)[1-9]\d{{0,2}}(?:{_GAP}\d){{8,11}}
      | 444[ ]?\d[ ]?\d{{3}}
    )(?!\d)""",
    re.VERBOSE,
)
_CALLED = re.compile(
    r"(?<!\w)(?:tel(?:efon)?|gsm|cep|numaram|telim|telefonum|whats?app?)\w{0,4}"
    r"(?:[ \t]*(?:no|numara\w{0,3}))?"
    r"[ \t]*[:.=\-]?[ \t]*(\d(?:[ .\-/]?\d){6,12})(?!\d)",
    re.IGNORECASE,
)


def phones(text: str) -> Iterator[tuple[int, int]]:
    """Telephone numbers in the ways they are written in Turkey, and any number that is called one."""
    if not _SEVEN.search(text):
        return
    found = [match.span() for match in _PHONE.finditer(text)]
    yield from _without_overlaps([*found, *(match.span(1) for match in _CALLED.finditer(text))])


def _without_overlaps(found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Those of the places that begin behind the end of the one before."""
    end = -1
    for start, stop in sorted(found):
        if start >= end:
            yield start, stop
            end = stop


_EMAIL = re.compile(
    r"(?<![\w.+\-])[\w.+\-]{1,64}+(?:@ ?| @ | ?(?:\(at\)|\[at\]) ?)"
    r"(?:(?:[\w\-]+\.)+[^\W\d_]{2,}"
    r"|(?:gmail|hotmail|icloud|live|msn|mynet|outlook|windowslive|yahoo|yandex)(?!\w))",
    re.IGNORECASE,
)
_LINK = re.compile(r"(?:https?://|(?<![\w.@])www\.)[^\s<>\"]+", re.IGNORECASE)


def emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" in text or "at)" in text or "at]" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))


def links(text: str) -> Iterator[tuple[int, int]]:
    """Addresses of web pages: a link in a complaint leads to somebody's pictures or profile."""
    if "://" in text or "www." in text.lower():
        yield from (match.span() for match in _LINK.finditer(text))


_DATE = (
    r"(?:\d{1,2}[ ]?[./\-][ ]?\d{1,2}[ ]?[./\-][ ]?(?:19|20)?\d\d|(?:19|20)\d\d[./\-]\d{1,2}[./\-]\d{1,2}"
    r"|\d{1,2}[ ]?(?:ocak|[sş]ubat|mart|nisan|may[ıi]s|haziran|temmuz|a[gğ]ustos|eyl[uü]l|ekim|kas[ıi]m"
    r"|aral[ıi]k)[ ]?,?[ ]?(?:19|20)\d\d)(?!\d)"
)
_ANY_DATE = re.compile(_DATE, re.IGNORECASE)
_BORN_BEFORE = re.compile(
    r"(?<!\w)(?:do[gğ](?:um|du)[^\W\d_]*|d\.?[ ]?t(?:arihi?m?)?)"
    rf"(?:[ ](?:tarih\w*|g[uü]n\w*|zaman\w*))?[ .:=,()\-]{{0,4}}({_DATE})",
    re.IGNORECASE,
)
_BORN_AFTER = re.compile(
    rf"(?<![\d./\-])({_DATE})(?:['’]?[ ]?(?:de|da|te|ta)(?!\w))?[ ,.()]{{0,3}}"
    r"(?:tarih(?:in?de|li)?[ ]{1,2})?do[gğ](?:um(?![ ]kontrol)|du)",
    re.IGNORECASE,
)


def birth_dates(text: str) -> Iterator[tuple[int, int]]:
    """Full dates next to a word of birth; a year alone (`1985 doğumluyum`) stays, since the age matters."""
    if not _ANY_DATE.search(text):
        return
    yield from _without_overlaps(
        match.span(1) for pattern in (_BORN_BEFORE, _BORN_AFTER) for match in pattern.finditer(text)
    )


# Names of persons, found by the words around them: "adım …", "ismim …", "Dr. …", "… Hanım", "… Bey".
#
# A capital is evidence only in a text that also has words without one; lists of frequent names
# (`names.toml`) are evidence everywhere; and where nothing but a name can stand no evidence is asked for.


_WORD = re.compile(r"[^\W\d_]+")
_TITLES = frozenset("dr drr prof profesor doc docent op opr operator uz uzm yrd".split())  # noqa: SIM905
_ACADEMIC = frozenset("prof profesor doc docent".split())  # noqa: SIM905
_HONOURS = frozenset(
    root + ending
    for root in ("hanim", "bey")
    for ending in ("", "a", "e", "i", "in", "la", "le", "dan", "den", "cim", "cigim", "efendi", "efendiye")
) | frozenset("hoca hocam hocamiz hocamiza hocama hocami hocaya hocanin hocadan hocayla".split())  # noqa: SIM905
_PERSONS = re.compile(
    r"(?:ogl|kiz|bebe|esim|annem|babam|karde|hasta(?!li|ne)|cocu|doktor|yegen|torun|kocam|karim|abla|abi|hoca)\w*"
)
_ENDING = re.compile(r"[yn]?[aeiu]|[yn]?[iu]n|[dt][ae]n?|y?l[ae]|y[iu]m")


@cache
def _lists() -> dict[str, frozenset[str]]:
    table = tomllib.loads(resources.files(__package__).joinpath("names.toml").read_text("utf-8"))
    lists = {name: frozenset(words.split()) for name, words in table.items()}
    sure = lists["given"] - lists["ambiguous"]
    given = lists["given"] | lists["ambiguous"]
    return {
        **lists,
        "given": given,
        "sure": sure,
        "sure_family": lists["family"] - lists["common_family"] - given,
    }


class _Words:
    """The words of a text with their places, folded, and what a capital is worth in it."""

    def __init__(self, text: str) -> None:
        folded = flat(text)
        self.text = text
        self.spans = [match.span() for match in _WORD.finditer(text)]
        self.folded = [folded[start:end] for start, end in self.spans]

    def __len__(self) -> int:
        return len(self.spans)

    def gap(self, index: int) -> str:
        """What stands between the word before and this one; a full stop where there is none before."""
        return self.text[self.spans[index - 1][1] : self.spans[index][0]] if 0 < index < len(self) else "."

    def joined(self, index: int) -> bool:
        """Whether nothing but spaces divides this word from the one before."""
        return self.gap(index).isspace()

    @cached_property
    def capitals_tell(self) -> bool:
        """Whether most ordinary words begin without a capital, so that one with it stands out."""
        lists = _lists()
        ordinary = [
            self.text[start]
            for (start, end), word in zip(self.spans, self.folded, strict=True)
            if end - start > 2
            and word not in lists["given"]
            and word not in lists["family"]
            and word not in lists["never"]
        ]
        return sum(map(str.isupper, ordinary)) <= 0.5 * len(ordinary) and not self.text.isupper()

    def capital(self, index: int) -> bool:
        """Whether the word's capital is evidence of a name."""
        return self.text[self.spans[index][0]].isupper() and self.capitals_tell

    def possible(self, index: int) -> bool:
        word = self.folded[index] if index < len(self) else ""
        return len(word) > 1 and word not in _lists()["never"]

    def sure(self, index: int) -> bool:
        """Whether it is a frequent given name and hardly another word."""
        return self.folded[index] in _lists()["sure"]

    def opens(self, index: int) -> bool:
        """Whether a clause or an address begins at this word."""
        return index == 0 or not self.joined(index) or self.folded[index - 1] in _lists()["openers"]

    def end_of_name(self, first: int) -> int:
        """The index after a name that begins at `first`: up to two more words that go on with it."""
        lists = _lists()
        end = first + 1
        while end < min(first + 3, len(self)) and self.joined(end) and self.possible(end):
            word = self.folded[end]
            last_of_clause = end + 1 == len(self) or not self.joined(end + 1)
            if last_of_clause and self.gap(end + 1).lstrip().startswith(":"):
                break  # the name of the next field of a form
            listed = word in lists["family"] or word in lists["given"]
            sure = word in lists["sure"] or word in lists["sure_family"]
            if not (sure or self.capital(end) or (listed and last_of_clause)):
                break
            end += 1
        return end

    def place(self, first: int, end: int) -> tuple[int, int]:
        return self.spans[first][0], self.spans[end - 1][1]


def is_name(text: str) -> bool:
    """Whether a text is a frequent given name with others behind it, and nothing else."""
    words, lists = _words(text), _lists()
    return len(words) > 1 and words.sure(0) and lists["given"].union(lists["family"]).issuperset(words.folded)


def persons(text: str) -> Iterator[tuple[int, int]]:
    """Names of patients and their families, as (start, end) in `text`."""
    words = _words(text)
    for index, word in enumerate(words.folded):
        if word in ("adim", "ismim", "adi", "ismi"):
            first = _after_trigger(words, index)
            if first is not None:
                yield words.place(first, words.end_of_name(first))
        elif word == "ben" and _introduced(words, index + 1):
            yield words.place(index + 1, words.end_of_name(index + 1))
        elif word in ("isimli", "adli", "adinda") and index and words.joined(index) and words.sure(index - 1):
            yield words.place(index - 1, index)
        elif words.sure(index) and words.capital(index) and _family_follows(words, index):
            yield words.place(index, index + 2)


def _after_trigger(words: _Words, index: int) -> int | None:
    """Where the name after "adım", "ismim", "adı" or "ismi" begins, if one does."""
    word, first = words.folded[index], index + 1
    full = False
    while first < len(words) and words.folded[first] in ("ve", "soyadim", "soyadi", "soyismim", "soyismi"):
        full = full or words.folded[first] != "ve"
        first += 1
    gap = words.gap(first)
    if not words.possible(first) or gap.strip(" :=-,;") or not gap or words.folded[first] in _lists()["step"]:
        return None
    named = words.sure(first) or words.capital(first)
    if word in ("adi", "ismi"):
        of_person = index > 0 and _PERSONS.fullmatch(words.folded[index - 1]) is not None
        return first if full or words.sure(first) or (of_person and words.capital(first)) else None
    if word == "ismim" or full or ":" in gap:
        return first
    before = words.gap(index).strip()
    if before[-1:].isdigit() or (words.joined(index) and words.folded[index - 1] in _lists()["step_before"]):
        return None
    return first if named or words.opens(index) else None


def _introduced(words: _Words, index: int) -> bool:
    """Whether "ben" is followed by a name: a sure one, or a possible one with a family name."""
    if not words.possible(index) or not words.joined(index):
        return False
    if words.sure(index):
        return True
    return words.folded[index] in _lists()["given"] and words.capital(index) and _family_follows(words, index)


def _family_follows(words: _Words, index: int) -> bool:
    following = index + 1
    return (
        following < len(words)
        and words.joined(following)
        and words.capital(following)
        and words.folded[following] in _lists()["family"]
    )


def doctors(text: str) -> Iterator[tuple[int, int]]:
    """Names of doctors and of those addressed as Hanım, Bey or Hocam, as (start, end) in `text`.

    The title itself stays, and so do "doktor bey", "doktor hanım" and "hocam".
    """
    words = _words(text)
    for index, word in enumerate(words.folded):
        if word in _TITLES or word in ("doktor", "doktorum"):
            if _named_after_title(words, index):
                yield words.place(index + 1, words.end_of_name(index + 1))
        elif word in _HONOURS and index and words.joined(index):
            first = _named_before_honour(words, index)
            if first < index:
                yield words.place(first, index)


def _named_after_title(words: _Words, title: int) -> bool:
    first = title + 1
    if not words.possible(first) or words.gap(first).strip(" .") or words.folded[first] in _TITLES:
        return False
    if words.sure(first):
        return True
    if _sure_with_ending(words.folded[first]):
        return True
    if not words.capital(first):
        # "Prof. Dr. …" is followed by nothing but a name, with or without a capital.
        return title > 0 and words.folded[title - 1] in _ACADEMIC and not words.gap(title).strip(" .")
    full_title = words.folded[title] in ("doktor", "doktorum")
    goes_on = words.end_of_name(first) > first + 1
    return goes_on or (not full_title and words.text[words.spans[title][0]].isupper())


def _sure_with_ending(word: str) -> bool:
    """Whether the word is a given name with a case ending and no apostrophe: "ahmete", "zeynepten"."""
    return any(
        word[:-cut] in _lists()["sure"] and _ENDING.fullmatch(word[-cut:])
        for cut in (1, 2, 3)
        if len(word) - cut > 3
    )


def _named_before_honour(words: _Words, honour: int) -> int:
    """Where the name before "hanım", "bey" or "hocam" begins; `honour` itself where there is none."""
    before = honour - 1
    if (
        not words.possible(before)
        or words.folded[before] in _lists()["openers"]
        or words.folded[before] in _TITLES
    ):
        return honour
    word, lists = words.folded[honour], _lists()
    named = words.folded[before] in lists["given"]
    if word.startswith("hoca"):
        named = words.sure(before) or (named and words.capital(before))
    elif word not in ("beyin", "beyi", "beye"):  # "beyin" is the brain as well
        named = named or words.capital(before) or words.opens(before) or words.capital(honour)
    if not named:
        return honour
    first = before
    while first and before - first < 2 and words.joined(first) and words.possible(first - 1):
        previous = words.folded[first - 1]
        if previous in _lists()["openers"] or previous in _TITLES:
            break
        if not (previous in lists["given"] or (words.capital(first - 1) and not words.opens(first - 1))):
            break
        first -= 1
    return first


@lru_cache(maxsize=1)
def _words(text: str) -> _Words:
    """The words of a text, kept for the second of the two searches."""
    return _Words(text)


# What identifies in a clinical text by its form or by the word before it: addresses, plates, files, dates,
# hosts.
#
# Stricter than `find_personal`, which serves complaints and reports: here a date or a number goes that a
# clinical question does not need. Each function gives places as (start, end) and reads the text a bounded
# number of times.


MONTH = (
    r"(?:ocak|subat|mart|nisan|mayis|haziran|temmuz|agustos|eylul|ekim|kasim|aralik"
    r"|oca?|sub|nis|may|haz|tem|agu|eyl|eki|kas|ara"
    r"|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
    r"|muharrem|safer|rebiulevvel|rebiulahir|cemaziyelevvel|cemaziyelahir|recep|saban|ramazan|sevval|zilkade|zilhicce)"
)
_YEAR = r"(?:19|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_DOSE = r"(?![ ]?(?:mg|mcg|ug|ml|cc|gr?|kcal|iu|u|m|mm3?|mmhg|ng|pg|[x*]|kopya|hucre|metre)\b)"
_DATES = re.compile(
    rf"""(?<![\d.,/\-])(?:
        {_DAY}[ ]?([./\-])[ ]?(?:0?[1-9]|1[0-2])[ ]?\1[ ]?(?:\d{{4}}|\d\d)(?!\d|[.,/]\d)
      | (?:0?[1-9]|1[0-2])([./\-]){_DAY}\2{_YEAR}
      | {_DAY}[ ]?[./\-][ ]?[ivx]{{1,4}}[ ]?[./\-][ ]?{_YEAR}
      | {_YEAR}[ ]?[./\-][ ]?\d{{1,2}}(?:[ ]?[./\-][ ]?\d{{1,2}})?
      | \d{{1,2}}[./]{_YEAR}
      | {_DAY}(?:st|nd|rd|th|\.)?[ ]?(?:of[ ])?[\-/]?{MONTH}(?:['’]?(?:d[ae]n?|t[ae]n?|[iu]n))?(?![a-z])
        (?:[ ,/.\-]{{1,3}}'?(?:1[34]\d\d|(?:19|20)?\d\d)(?![\d]|[.,]\d|\s?(?:mg|ml|cc|gr|mm|cm|x)\b))?
      | {MONTH}[ ]{_DAY}(?:(?:st|nd|rd|th)(?:,?[ ]{_YEAR})?|,?[ ]{_YEAR})
      | {MONTH}[ ',]{{1,2}}{_YEAR}
      | (?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])
      | {_YEAR}[ ]{MONTH}(?![a-z])
      | {_YEAR}{_DOSE}
    )(?![\d])""",
    re.VERBOSE,
)
_NUMBER_WORD = (
    r"(?:sifir|bir|iki|uc|dort|bes|alti|yedi|sekiz|dokuz|on|yirmi|otuz|kirk|elli|altmis|yetmis"
    r"|seksen|doksan|yuz|bin)"
)
_SPOKEN = re.compile(
    rf"(?<![a-z])(?:{_NUMBER_WORD}[ ]?){{1,3}}[ ]?{MONTH}[ ](?:(?:iki[ ]?bin"
    rf"|bin[ ]?dokuz[ ]?yuz)(?:[ ]?{_NUMBER_WORD}){{0,3}}|{_YEAR})(?![a-z])"
    rf"|(?<![a-z])(?:{_NUMBER_WORD}[ ,]{{1,2}}){{3,}}(?:{_NUMBER_WORD}|\d[\d ]{{2,12}}\d)(?![a-z\d])"
)
_BORN = (
    r"(?:dogum(?:lu\w*|[ ]?t(?:ar(?:ih\w*)?)?)?|dogm\w{0,3}|dgm|dog|dt|d\.?[ ]?t(?:arih\w*)?|dob|born"
    r"|d[ ]?yili|yili)"
)
_BORN_NEAR = (
    re.compile(
        rf"(?<![a-z]){_BORN}\b[ .:;,=()\-]{{0,4}}(?:yili?[ :]{{0,2}})?"
        rf"((?:{_DAY}[./\- ]{{1,2}}){{0,2}}'?\d{{2,4}})(?![\d])"
    ),
    re.compile(
        r"(?<![\d.,])(1[34]\d\d|(?:19|20)?\d\d)['’]?[ ]?(?:l[iu]|d[ae]n?)?[ ]?(?:dogumlu|dog\b|dgm|dgml"
        r"|d\.?lu|dogdu|born)"
    ),
    re.compile(
        r"(?:hicri|rumi|miladi"
        r"|h\.)[ :]{0,2}((?:\d{1,2}[ ]?[./][ ]?){0,2}(?:\d{1,2}[ ]\w{3,14}[ ])?1[2-4]\d\d)(?!\d)"
    ),
    re.compile(r"(?<!\d)(1[2-4]\d\d)[ ](?:hicri|rumi)"),
)
# An age of 90 and more: as one or in words.
_OLD_WORDS = r"(?:doksan|yuz)(?:[ ]?(?:bir|iki|uc|dort|bes|alti|yedi|sekiz|dokuz|on))?"
_OLD = re.compile(
    r"(?<![\d.,/x])(?P<a>9\d|1[01]\d)(?=[ '’]{0,2}(?:y\b|yas|y/o|yo\b|yr|year|li[kg]|lu[kg]|lar\b|inda\b"
    r"|inde\b|unda\b|unde\b|una\b|sinda\b|y[ /.]?[ekmf]\b))"
    r"|(?<![a-z])(?:yasi?n?|age|aged)[ :=]{0,3}(?P<b>9\d|1[01]\d)(?!\d|[.,]\d)"
    rf"|(?<![a-z])(?P<c>{_OLD_WORDS})(?=[ ](?:yas|li[kg]))"
    rf"|(?<![a-z])yasi[ :]{{1,2}}(?P<d>{_OLD_WORDS})(?![a-z])"
)
_HANDLE = re.compile(
    r"(?<![\w.@/])@[\w][\w.]{1,39}"
    r"|(?<!\w)(?:instagram|insta|ig|twitter|tiktok|facebook|face|telegram|snapchat|kullanici[ ]adi|nick\w*"
    r"|rumuz\w*|hesab[iı])"
    r"[ ]?[:=][ ]?([\w.]{4,40})"
)
_DOT = r"(?:\.|[ ]?\((?:nokta|dot)\)[ ]?|[ ](?:nokta|dot)[ ])"
_EMAIL_IDENTIFIERS = re.compile(
    rf"(?<![\w.+\-])[\w.+\-]{{1,64}}+(?:\((?:nokta|dot)\)[\w\-]{{1,40}}){{0,3}}"
    rf"(?:@[ ]?|[ ]?(?:\(at\)|\[at\]|\(et\)|[ ]at[ ](?=[\w\-]{{2,40}}(?:\.|[ ]nokta))"
    rf"|[ ]et[ ](?=[\w\-]{{2,40}}(?:\.com|[ ]nokta)))[ ]?)"
    rf"[\w\-]{{1,63}}(?:{_DOT}[\w\-]{{2,63}}){{1,4}}"
)
_TLD = (
    r"(?:com|net|org|info|biz|edu|gov|k12|bel|pol|example|site|online|web|app|blog|link|page|xyz|tr|de"
    r"|uk|nl|fr|ru|io|me|co|gl|ly|be|tv)"
)
_HOST = re.compile(
    rf"(?<![\w@.])(?:https?://|www\.)[^\s<>\"]{{3,300}}"
    rf"|(?<![\w@.\-])(?:[a-z0-9][a-z0-9\-]{{0,62}}\.){{1,4}}{_TLD}(?:\.tr)?(?:/[^\s<>\"]{{1,200}}|(?![\w.]*\w))"
)
_ADDRESSES = re.compile(
    r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}(?![\w:])"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){1,6}:(?:[0-9a-f]{1,4}:?){1,5}(?![\w:])"
    r"|(?<![\w:\-])(?:[0-9a-f]{2}[:\-]){5}[0-9a-f]{2}(?![\w:\-])"
)
_IBAN_IDENTIFIERS = re.compile(
    r"(?<![a-z0-9])tr[ .\-]?(?:\d[ .\-]{0,2}){23}\d(?!\d)"
    r"|(?<![a-z0-9])tr[ .\-]?\d\d[ .\-]?(?:\d{4}[ .\-]?){2,5}\d{0,4}"
)
# A province's number, one to three letters, two to five digits; not a dose, a vertebra or a point of time.
_PLATE = re.compile(
    r"(?<![\w.,/])(?:0[1-9]|[1-7]\d|8[01])(?P<g>[ .\-]?)(?P<l>[A-Za-z]{1,3})[ .\-]?\d{2,5}(?![\w]|[.,/]\d)"
)
_VEHICLE = re.compile(
    r"(?i:plaka\w*|ara[cç]\w{0,3}|oto(?:su)?)[ ]?(?:no"
    r"|numara\w*)?[ :]{1,3}(?P<v>[A-Za-z]{0,3}[ .\-]?\d{1,4}[ .\-]?[A-Za-z]{0,3}[ .\-]?\d{2,5})(?!\w)"
)
_UNITS = frozenset(
    """
    mg ml cc gr g kg cm mm m mcg ug iu u ui l lt dl mm ng pg kcal hz db x ay gun hf hft yil yas dk sn
    saat sa st pa ap ve de da f fr ch g t l c s e k y no
    """.split()  # noqa: SIM905
)
_ID_WORD = (
    r"(?:dosya(?:si|sinin)?|arsiv|prot(?:okol\w{0,4})?|prt|evrak|versicherten\w*|belge(?=[ ]no)|order"
    r"|istem(?=[ ](?:no|num|nr|id)|[ ]?[:#])|acc(?:ession)?|barkod\w{0,3}|kayit(?=[ ](?:no|num|nr|id)"
    r"|[ ]?[:#])"
    r"|sicil\w{0,2}|tescil|tahsis|police|ehliyet\w{0,3}|surucu[ ]belgesi|(?:pas(?:aport|port)|ps?sprt"
    r"|pspt?|pass(?:port)?)\w{0,4}"
    r"|sgk\w{0,5}|ssk\w{0,3}|bag-?kur\w{0,3}|mrn|pid|hasta[ ](?:no|id|num\w*)|hst[ ](?:no|id|#)|numune"
    r"|biyopsi[ ]no|fatura|makbuz|karne\w{0,4}|recete(?=[ ]no)"
    r"|rapor(?=[ ]no)|sevk(?=[ ]no)|randevu(?=[ ]no)|ruhsat|seri(?=[ ]no)|sigorta\w{0,3}|vergi"
    r"|kart(?=[ ]no)|id|kimlik\w{0,3}|koruma|tckn?\w{0,3}|t\.c\.\w{0,3}|kupa|provizyon|takip(?=[ ]no)"
    r"|basvuru(?=[ ]no)|sisli|yupass|yabanci|ykn|diploma|tesc)"
)
_ID = re.compile(
    rf"(?<![a-z0-9]){_ID_WORD}(?![a-z])"
    r"(?:[ ]?(?:no(?:su|lu|m|'su)?|numara\w{0,3}|num|nr|id|kodu|number|sicil\w{0,2}|tescil|dosya\w{0,3}"
    r"|eski|yeni|isyeri|kimlik|'?si|basvuru|yatis|order|study|acc)(?![a-z])){0,5}"
    r"[ ]?[.:=#()\-–/]{0,3}[ ]?"
    r"(?P<v>(?:(?<![a-z])[a-z]{1,3}[ \-./]{1,2})?(?:(?<![a-z])(?:[a-z]{1,5}[\-./]?"
    r"|[a-z]{1,2}[ ]))?\d[a-z0-9]*(?:[./\-_][a-z0-9]+)*(?:[ ]\d[\d./\-]+(?![a-z%]))*)"
)
_NUMBERED = re.compile(
    r"(?<![a-z])no(?:su|lu|m)?[ .:]{1,3}((?:[a-z]{1,3}[ \-])?\d{4,}(?:[./\-]\d+)*)(?![\d])"
)
_MIXED = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Z0-9]{6,14}(?![A-Za-z0-9]))(?!(?:[A-Z]\d{1,2})+(?![A-Z0-9]))(?:[A-Z]+\d+|\d+[A-Z]+){2,}[A-Z]*(?![A-Za-z0-9])"
)
_SLASHED = re.compile(r"(?<![A-Za-z0-9])[A-Z]{1,4}/[A-Z]{1,4}\d{0,4}[\-/]\d{3,}|(?<!\w)s\.\d{1,4}/k\.\d{1,4}")
_CODE = re.compile(  # H-2231, ORD558213, BT-7741903, A/2019-06643, P24-11873
    r"(?<![a-zA-Z0-9.\-/])(?:[A-Za-z]{1,5}[\-./_]?\d{5,12}|[A-Z]{1,5}-\d{3,12}|[A-Za-z]{1,4}[\-/]?(?:19|20)?\d\d[\-/]\d{3,8}|\d{2,4}[\-/]\d{4,10}|#\d{4,12}"
    r"|[A-Z](?=[A-Z0-9]{7,10}(?![A-Za-z0-9]))(?:[A-Z]*\d){4}[A-Z0-9]*)(?![A-Za-z0-9]|[.,]\d)"
)
_LONG = re.compile(
    r"(?<![\d.,])(?:\d{6,}|\d{5}(?!\d)|\d\d(?:[ ]\d\d){3,}|\d{4}(?:[ ]\d{4}){2,4}(?:[ ]\d{1,4})?"
    r"|\d{3,4}(?:[ \-.]\d{2,4}){2,6}|\d{2,4}[ ]\d{4,}(?:[ ]\d+)*|[2-5]\d\d[ ]\d{3}(?:[ ]?\d){4})(?![\d:]"
    r"|[.,]\d)"
)
_DOTTED = re.compile(r"(?<![\d.,/\-])\d{1,4}(?:[.\-/]\d{1,9}){2,8}(?![\d])")
_MEASURED = re.compile(
    r"(?:plt|wbc|trombosit|lokosit|eritrosit|ck|bnp|probnp|hcg|ferritin|dimer|lenf\w*|notrofil|troponin|b12|bakteri|koloni|crp|odyo|ast|alt|ldh|cpk|trigliserid|amilaz|lipaz|hucre)\W{0,4}(?:\w{1,6}\W{1,3})?$"
)
_OF_MEASURE = re.compile(
    r"[ ]?(?:/|mg|ml|mm|iu|u/|ng|pg|adet|koloni|cfu|hz|x|kcal|tl\b|cc|gr|hucre|k/|10\^|unite|lira|euro|ohm)"
)
_PHONE_CUE = re.compile(
    r"(?:tel|tlf|tlfn|telefon\w*|gsm|cep\w*|numara\w*|ev|is|fax|faks|dahili|aray\w*|ara|whatsapp|wp"
    r"|no)\W{0,4}((?:\+?\d[\d ()./\-]{5,18}\d))(?!\d)"
)


def _all(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in pattern.finditer(text))


def dates(plain: str, _: str) -> Iterator[tuple[int, int]]:
    """Dates and years, full or not, and what stands beside a word of birth."""
    yield from _all(_DATES, plain)
    yield from _all(_SPOKEN, plain)
    for pattern in _BORN_NEAR:
        yield from (match.span(1) for match in pattern.finditer(plain))


def ages(plain: str, _: str) -> Iterator[tuple[int, int]]:
    """Ages of ninety and more (45 CFR 164.514(b)(2)(i)(C))."""
    for match in _OLD.finditer(plain):
        yield match.span(match.lastgroup or 0)


def handles(plain: str, _: str) -> Iterator[tuple[int, int]]:
    for match in _HANDLE.finditer(plain):
        start, end = match.span(1) if match[1] else match.span()
        yield start, end - (plain[end - 1] == ".")


def hosts(plain: str, _: str) -> Iterator[tuple[int, int]]:
    """Links with or without their scheme, addresses of machines, and mail however its signs are spelt."""
    for match in _HOST.finditer(plain):
        yield match.start(), match.start() + len(match[0].rstrip(".,;:)'\"”]"))
    for pattern in (_EMAIL_IDENTIFIERS, _ADDRESSES):
        yield from _all(pattern, plain)


def plates(_: str, text: str) -> Iterator[tuple[int, int]]:
    for match in _PLATE.finditer(text):
        spaced = bool(match["g"])
        many = sum(map(str.isdigit, match[0])) > 4
        if flat(match["l"]) not in _UNITS or (
            match["l"].isupper() and (many or (spaced and len(match[0]) > 7))
        ):
            yield match.span()
    for match in _VEHICLE.finditer(text):
        yield match.span("v")


def numbers(plain: str, text: str) -> Iterator[tuple[int, int]]:
    """Numbers of files, orders, passes and accounts: after the word for one, or written as one."""
    yield from _all(_IBAN_IDENTIFIERS, plain)
    yield from (match.span("v") for match in _ID.finditer(plain) if sum(map(str.isdigit, match["v"])) > 2)
    yield from (match.span(1) for match in _PHONE_CUE.finditer(plain))
    for pattern in (_CODE, _MIXED, _SLASHED):
        yield from _all(pattern, text)
    yield from (match.span(1) for match in _NUMBERED.finditer(plain))
    for match in _DOTTED.finditer(plain):
        if sum(map(str.isdigit, match[0])) > 8:
            yield match.span()
    for match in _LONG.finditer(plain):
        start, end = match.span()
        if not (
            _MEASURED.search(plain[max(0, start - 24) : start]) or _OF_MEASURE.match(plain[end : end + 8])
        ):
            yield start, end


_STREET = (
    r"(?:mah(?:alle\w*)?|mh|cad(?:de\w*)?|cd|sok(?:ak|ag\w*)?|sk|bulv?(?:ar\w*)?|blv|cikmaz\w*"
    r"|yokusu|meydan\w*|apt|apartman\w*|sitesi|sit|koyu|beldesi|mevkii?|kume[ ]evleri)"
)
_ENTRANCE = r"(?:no|numara|kapi|daire|d|kat|k|blok|bl|ic[ ]?kapi|dis[ ]?kapi|apt|pk)"
_WORD_FORM = r"[a-z0-9][\w'’/\-]{0,24}"
_STREETS = re.compile(
    rf"(?<![a-z]){_STREET}(?![a-z])\.?(?:[ ,.]{{1,3}}(?:{_WORD_FORM}[ ]){{0,3}}?{_STREET}(?![a-z])\.?){{0,4}}"
    rf"(?:[ ,.]{{0,3}}(?:{_ENTRANCE}[ .:]{{0,2}}\d{{1,4}}(?:[/\-]?[a-z0-9]{{1,4}})?(?![a-z0-9])"
    rf"|\d{{1,4}}(?:[/\-]\w{{1,4}}){{0,2}}(?![\w%]|[.,]\d)|[a-f][ ]blok|(?:zemin|bodrum)[ ]kat))*"
)


def addresses(plain: str, text: str) -> Iterator[tuple[int, int]]:
    """From the names before a word for a street or a quarter to the last number, or a town
    behind it."""
    yield from _all(_ABROAD, text)
    towns = word_lists()["cities"]
    for match in _STREETS.finditer(plain):
        start, end = match.span()
        numbered = (
            any(char.isdigit() for char in match[0])
            or plain[max(0, start - 4) : start].rstrip()[-1:].isdigit()
        )
        low = max(0, start - 80)
        first = start
        for word in reversed(list(_PLACE_WORD.finditer(text, low, start))[-6:]):
            between = text[word.end() : first]
            named = word[0][0].isupper() or word[0][0].isdigit() or plain[word.start() : word.end()] in towns
            if between.strip(" ,./-") or "\n" in between or not (named or first == start):
                break
            if between.strip(" .") and word[0][0].isdigit():
                break  # a number of what went before
            first = word.start()
        last = end
        for word in _PLACE_WORD.finditer(text, end, min(len(text), end + 60)):
            folded = plain[word.start() : word.end()].split("'", maxsplit=1)[0]
            if text[last : word.start()].strip(" ,./-()") or not (
                folded in towns or _TOWN.fullmatch(folded) or re.sub(r"[dt][ae]n?$", "", folded) in towns
            ):
                break
            last = word.start() + len(folded)
        if numbered or last > end or (first < start and text[first].isupper()):
            yield first, last


_ABROAD = re.compile(
    r"(?<!\w)\w{3,30}(?:stra(?:ß|ss)e|str\.|weg|platz|gasse)[ ]\d{1,4}\w?(?:,?[ ]\d{4,5}[ ]\w{3,20})?",
    re.IGNORECASE,
)
_PLACE_WORD = re.compile(r"[\w'’]+")
_TOWN = re.compile(r"(?:ilce|merkez|koy)\w{0,5}")
# The head of a school's or a firm's name; units of a hospital (klinik, servis, merkez) are none.
_HEAD = (
    r"(?:okulu|[iİ]lkokulu|ortaokulu|anaokulu|lisesi|ihl|koleji|kreşi|üniversitesi|fakültesi|yüksekokulu|mektebi|fabrikası|fabrikasi|otel|oteli|hotel|huzurevi|bakımevi|yurdu|holding|ltd"
    r"|şti|a\.ş|san|tic|sanayi|sitesi|döküm|tekstil|konfeksiyon|mobilya|makarna|inşaat|lojistik|nakliyat|kargo|market|kuaför|kuaförü|eczanesi|lokantası|restoran|restaurant|fırını|pastanesi"
    r"|matbaası|madencilik|gıda|makina|makine|metal|plastik|kimya|otomotiv|oto|petrol|belediyesi|karakolu|cezaevi|vakfı|derneği|kooperatifi|şirketi|bankası|sigorta|dershanesi|kulübü|çiftliği"
    r"|tersanesi|atölyesi|haddehanesi|işletmesi|asm|osb|avm|plaza|camii|turizm|yapı|enerji|elektrik|seramik|cam|boya|ambalaj|süt|et|un|yem|tarım|spor|ajansı|gazetesi|akademi|akademisi|kampüsü|kışlası)"
)
_CAPITAL = r"[A-ZÇĞİÖŞÜ][\wçğıöşü.&'’\-]*"
_INSTITUTION = re.compile(
    rf"(?<![\w.])(?:(?:{_CAPITAL}"
    rf"|\d{{1,3}}\.)[ ]){{1,5}}(?=[A-ZÇĞİÖŞÜ])(?i:{_HEAD})(?!\w)\.?(?:[ ](?:{_CAPITAL}\.?)){{0,3}}"
    r"|(?<!\w)[A-ZÇĞİÖŞÜ][a-zçğıöşü]+spor(?!\w)"
)


_LEADING = frozenset(("hastamiz", "hasta", "oglum", "kizim", "ogrenci", "sayin"))


def institutions(_: str, text: str) -> Iterator[tuple[int, int]]:
    """Schools, firms and homes by name: capitals that end in a word for one, in a text that is not all
    capitals."""
    if not text.isupper():
        for match in _INSTITUTION.finditer(text):
            start = match.start()
            first = flat(match[0].split(" ")[0])
            if first in _LEADING or first in word_lists()["kin"]:
                start += len(first) + 1
            yield start, match.end()


_LOGIN = re.compile(r"(?<![\w@./])[a-z]{1,15}[._\-][a-z]{3,20}\d{0,4}(?![\w@/]|\.\w)")
_USER = re.compile(r"(?:user(?:name)?|login|kullanici(?:[ ]adi)?|uid)[ ]?[=:][ ]?([a-z][\w.\-]{3,40})")


def logins(plain: str, text: str) -> Iterator[tuple[int, int]]:
    """Names of accounts: of two parts with a sign between, one of them a name; and names written as one
    word."""
    names = word_lists()["given"] | word_lists()["family"]
    for match in _LOGIN.finditer(plain):
        parts = re.split(r"[._\-]", match[0].rstrip("0123456789"))
        known = [part for part in parts if part in names and part not in word_lists()["common"]]
        if len(known) == 2 or (known and "-" not in match[0]) or (len(parts[0]) == 1 and parts[1] in names):
            yield match.span()
    yield from (match.span(1) for match in _USER.finditer(plain))
    for match in _JOINED.finditer(text):
        if flat(match[1]) in names or flat(match[2]) in word_lists()["family"]:
            yield match.span()
    for match in _LONG_WORD.finditer(plain):
        if "joined" in list_of(match[0]):
            yield match.span()


_JOINED = re.compile(r"(?<!\w)([A-ZÇĞİÖŞÜ][a-zçğıöşü]{2,14})([A-ZÇĞİÖŞÜ][a-zçğıöşü]{2,18})(?!\w)")
_LONG_WORD = re.compile(r"(?<![\w@.])[a-z]{9,30}(?![\w@.])")


_INITIAL = re.compile(r"(?<![\w.])[a-z]\.[ ]?([a-z]{3,20})(?![a-z])")
_PAIR = re.compile(r"(?<![a-z])(?=([a-z]{3,16})[ ]{1,2}([a-z]{3,20})(?![a-z]))")


def listed_names(plain: str, text: str) -> Iterator[tuple[int, int]]:
    """An initial before a family name, and a given name before one, both in the lists, in any letters."""
    lists = word_lists()
    words = tagger.model()[2]
    for match in _INITIAL.finditer(plain):
        word = match[1]
        if (
            word in lists["family"]
            and word not in lists["eponyms"]
            and (text[match.start(1)].isupper() or word not in lists["common"])
        ):
            yield match.span()
    for match in _PAIR.finditer(plain):
        first, second = match[1], match[2]
        given = first in lists["given"] and first not in lists["common"] and known_word(first, words) != "w"
        if given and second in lists["family"] and second not in lists["never"] | lists["kin"]:
            yield match.start(1), match.end(2)


FINDERS: tuple[Callable[[str, str], Iterator[tuple[int, int]]], ...] = (
    dates,
    ages,
    handles,
    hosts,
    plates,
    numbers,
    addresses,
    institutions,
    logins,
    listed_names,
)
"""Each takes the text folded by `flat`, and the text."""


# Personal data replaced by tokens such as `[TCKN]`, `[TELEFON]`, `[AD]` and `[DOKTOR]`, in their place.


class Personal(StrEnum):
    """A kind of personal data, and the word in its token."""

    IBAN = "IBAN"
    EMAIL = "E-POSTA"
    LINK = "BAĞLANTI"
    TCKN = "TCKN"
    BIRTH_DATE = "DOĞUM TARİHİ"
    PHONE = "TELEFON"
    DOCTOR = "DOKTOR"
    NAME = "AD"
    OTHER = "KİMLİK"

    @property
    def token(self) -> str:
        """What stands in the text instead: `[TCKN]`."""
        return f"[{self.value}]"


# In the order of precedence: where two overlap, the first names the token.
_FINDERS: tuple[tuple[Personal, Callable[[str], Iterator[tuple[int, int]]]], ...] = (
    (Personal.IBAN, ibans),
    (Personal.EMAIL, emails),
    (Personal.LINK, links),
    (Personal.TCKN, tckns),
    (Personal.BIRTH_DATE, birth_dates),
    (Personal.PHONE, phones),
    (Personal.DOCTOR, doctors),
    (Personal.NAME, persons),
)


@dataclass(frozen=True, slots=True)
class Found:
    """Personal data at `text[start:end]`."""

    start: int
    end: int
    kind: Personal


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with its personal data replaced, and how many of each kind there were."""

    text: str
    counts: Counter[Personal]


def find_personal(text: str) -> list[Found]:
    """The personal data of a text, in order and apart from each other; overlapping finds are united."""
    finds = [(start, end, rank) for rank, (_, finder) in enumerate(_FINDERS) for start, end in finder(text)]
    united: list[tuple[int, int, int]] = []
    for start, end, rank in sorted(finds):
        if united and start < united[-1][1]:
            first, last, best = united[-1]
            united[-1] = (first, max(last, end), min(best, rank))
        else:
            united.append((start, end, rank))
    return [Found(start, end, _FINDERS[rank][0]) for start, end, rank in united]


def identifying(text: str) -> list[tuple[int, int]]:
    """Where a clinical text identifies anybody: the personal data, every date and number of a file, and
    what the words around it show to be a name, a place or an address."""
    plain = flat(text)
    places = [(found.start, found.end) for found in find_personal(text)]
    places += [place for finder in FINDERS for place in finder(plain, text)]
    places += tagged(text, places)
    return close_gaps(text, places)


def _widest(text: str, start: int, end: int, finds: Sequence[Found]) -> Found:
    """A place with the kind of what is known in it; letters alone are taken for a name."""
    kinds = (found.kind for found in finds if found.start < end and start < found.end)
    other = Personal.OTHER if any(map(str.isdigit, text[start:end])) else Personal.NAME
    return Found(start, end, next(kinds, other))


def mask(text: str, *, thorough: bool = False) -> Masked:
    """Replace personal data by tokens in a text in NFC, spelt as the patient wrote it.

    `thorough` takes everything that `identifying` finds, as what leaves the hospital must; else dates
    and numbers of a complaint stay.
    """
    finds = find_personal(text)
    if thorough:
        finds = [_widest(text, start, end, finds) for start, end in identifying(text)]
    pieces: list[str] = []
    counts: Counter[Personal] = Counter()
    done = 0
    for found in finds:
        pieces += (text[done : found.start], found.kind.token)
        counts[found.kind] += 1
        done = found.end
    return Masked("".join((*pieces, text[done:])), counts)
