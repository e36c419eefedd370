"""Personal data replaced by tokens such as `[TCKN]`, `[TELEFON]`, `[AD]` and `[DOKTOR]`, in their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tetkik.privacy import identifiers, names, numbers
from tetkik.privacy.tagger import close_gaps, tagged
from tetkik.turkish import flat


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
    (Personal.IBAN, numbers.ibans),
    (Personal.EMAIL, numbers.emails),
    (Personal.LINK, numbers.links),
    (Personal.TCKN, numbers.tckns),
    (Personal.BIRTH_DATE, numbers.birth_dates),
    (Personal.PHONE, numbers.phones),
    (Personal.DOCTOR, names.doctors),
    (Personal.NAME, names.persons),
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
    places += [place for finder in identifiers.FINDERS for place in finder(plain, text)]
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
