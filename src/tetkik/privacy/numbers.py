"""Personal data that is known by its digits: identity numbers, bank accounts, telephones.

Each function gives the places in the text, as (start, end), in order and apart from each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

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
