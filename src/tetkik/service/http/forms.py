"""What people type into a form, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tetkik.errors import InputError
from tetkik.records.cases.patients import Person
from tetkik.values import Sex

_DAY_FIRST = re.compile(r"(\d{1,2})[./\- ]+(\d{1,2})[./\- ]+(\d{4})", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_DIGITS = re.compile(r"(\d{2})(\d{2})(\d{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TypedPerson:
    """Who a patient is, as it was typed, so that a fault loses nothing of it.

    Attributes:
        name: of the patient.
        tckn: Turkish identity number.
        number: of the hospital.
        birth_date: as people type it: `1.2.1970`.
        sex: F, M, O or empty.
    """

    name: str = field(default="", repr=False)
    tckn: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)

    @classmethod
    def of(cls, person: Person) -> TypedPerson:
        """A person as the form shows one."""
        born = person.birth_date
        shown = f"{born[6:]}.{born[4:6]}.{born[:4]}" if born else ""
        return cls(person.name, person.tckn, person.number, shown, person.sex or "")

    def value(self) -> Person:
        """The person.

        Raises:
            InputError: not a date, or no such sex.
        """
        return Person(self.name, self.tckn, self.number, date_of(self.birth_date), sex_of(self.sex))


def date_of(typed: str) -> str:
    """A date as people here type it (`1.2.1970`, `01021970`, `1970-02-01`) as `YYYYMMDD`; empty for none.

    Whether there is such a day is asked where it is kept.

    Raises:
        InputError: not a date.
    """
    typed = typed.strip()
    if not typed:
        return ""
    if found := _YEAR_FIRST.fullmatch(typed):
        year, month, day = found.groups()
    elif found := _DAY_FIRST.fullmatch(typed) or _DIGITS.fullmatch(typed):
        day, month, year = found.groups()
    else:
        raise InputError("This is no date of birth; give day, month and year.")
    return f"{year}{month:0>2}{day:0>2}"


def sex_of(code: str) -> Sex | None:
    """The sex that a form names; None for none.

    Raises:
        InputError: no such code.
    """
    if code and code not in list(Sex):
        raise InputError("There is no such sex; choose one of the list.")
    return Sex(code) if code else None
