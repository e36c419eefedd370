"""What a file says of its patient, compared with what a record says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tetkik.privacy.rules import is_tckn
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person, same_issuer
from tetkik.records.database import Transaction
from tetkik.turkish import fold
from tetkik.values import Difference, Identity, Sex, Trait

_SEXES = (Sex.FEMALE, Sex.MALE)


def person_from_identity(identity: Identity) -> Person:
    """Whom a file is about, as the records write it: `YILMAZ^AYŞE` is `AYŞE YILMAZ`.

    A Patient ID that is a Turkish identity number is kept as one; a date of birth that cannot be is left out.
    """
    family, _, rest = (identity.patient_name or "").split("=")[0].partition("^")
    name = " ".join(f"{rest} {family}".replace("^", " ").split())
    number = (identity.patient_id or "").strip()
    born = identity.birth_date or ""
    national = number.isascii() and is_tckn(number)
    return Person(
        name=name[: patients.LONGEST_NAME],
        tckn=number if national else "",
        number="" if national else number[: patients.LONGEST_NUMBER],
        birth_date=born if patients.day_of(born) is not None else "",
        sex=identity.sex,
    )


def compare_identity(person: Person, identity: Identity) -> tuple[Difference, ...]:
    """Where a file contradicts a record; what either does not say contradicts nothing.

    Names are compared as sets of words without marks on letters: a missing second name is no contradiction.
    """
    filed = person_from_identity(identity)
    found = []
    if not _same_name(filed.name, person.name):
        found.append(Difference(Trait.NAME, filed.name, person.name))
    number = filed.tckn or filed.number
    known = [one for one in (person.tckn, person.number) if one]
    comparable = not filed.tckn or bool(person.tckn)
    if number and known and comparable and fold(number) not in {fold(one) for one in known}:
        found.append(Difference(Trait.NUMBER, number, person.number or person.tckn))
    if filed.birth_date and person.birth_date and filed.birth_date != person.birth_date:
        found.append(Difference(Trait.BIRTH_DATE, filed.birth_date, person.birth_date))
    return tuple(found)


def compare_with_patient(tx: Transaction, patient_id: str, identity: Identity) -> tuple[Difference, ...]:
    """Where a file contradicts everything that is recorded of a patient.

    Of records that are one, a file may name any: it was perhaps made when the patient was known by that one.
    One that says too little to be named (nobody knew who it was) does not make every file the patient's.
    """
    found = compare_identity(patients.load_person(tx, patient_id), identity)
    others = patients.load_people(tx, patient_id)[1:] if found else ()
    return () if any(_names(identity, person) for person in others) else found


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a file says of a patient, trait by trait; what either does not say stands nowhere."""

    agreeing: frozenset[Trait]
    differences: tuple[Difference, ...]
    """That contradict."""
    slips: tuple[Difference, ...]
    """That may be an error of typing or another surname: no contradiction where enough else agrees."""


def weigh_identity(people: Sequence[Person], identity: Identity, issuer: str = "") -> Weighed:
    """Compare a file with every record of one patient (the surviving one first), as orders are matched.

    A trait agrees where one record says the same, and contradicts where some say it and none agrees. This is
    stricter than `compare_identity`, since no person looks: sex counts, a name of one word is no agreement,
    and numbers are compared within one `issuer` alone.
    """
    filed = replace(person_from_identity(identity), issuer=issuer)
    agreeing: set[Trait] = set()
    slips: list[Difference] = []
    differences: list[Difference] = []

    def compare(trait: Trait, stated: str, known: Sequence[str], same: bool, *, slip: bool = False) -> None:
        if stated and known:
            if same:
                agreeing.add(trait)
            else:
                (slips if slip else differences).append(Difference(trait, stated, known[0]))

    tckns = [one.tckn for one in people if one.tckn]
    numbers = [one.number for one in people if one.number and same_issuer(filed, one)]
    is_number = _unspaced(filed.number) in map(_unspaced, numbers)
    if filed.tckn or (_looks_like_tckn(filed.number) and not is_number):
        stated = filed.tckn or filed.number
        mistyped = not filed.tckn and any(_one_slip_apart(stated, one) for one in tckns)
        compare(Trait.TCKN, stated, tckns, stated in tckns, slip=mistyped)
    else:
        compare(Trait.NUMBER, filed.number, numbers, is_number)
    names = [one.name for one in people if _words(one.name)]
    kinds = {_agreement_of_names(filed.name, name) for name in names}
    if kinds and kinds != {_Names.UNKNOWN}:
        married = _Names.SURNAME in kinds and not any(one.sex is Sex.MALE for one in (filed, *people))
        compare(Trait.NAME, filed.name, names, _Names.SAME in kinds, slip=married)
    births = [one.birth_date for one in people if one.birth_date]
    compare(Trait.BIRTH_DATE, filed.birth_date, births, filed.birth_date in births)
    sexes = [str(one.sex) for one in people if one.sex in _SEXES]
    if filed.sex in _SEXES:
        compare(Trait.SEX, str(filed.sex), sexes, str(filed.sex) in sexes)
    return Weighed(frozenset(agreeing), tuple(differences), tuple(slips))


class _Names(StrEnum):
    SAME = "same"
    SURNAME = "surname"
    """The given names agree alone."""
    OTHER = "other"
    UNKNOWN = "unknown"
    """One of the two is a single word, which is in the other."""


def _agreement_of_names(filed: str, name: str) -> _Names:
    """Of a file's name and a record's, `AYŞE NUR YILMAZ`: in whatever order, second names may be missing."""
    stated, known = _words(filed), _words(name)
    shared = set(stated) & set(known)
    if not (set(stated) <= set(known) or set(known) <= set(stated)):
        return _Names.SURNAME if len(known) > 1 and known[0] in shared else _Names.OTHER
    return _Names.SAME if len(shared) > 1 or set(stated) == set(known) else _Names.UNKNOWN


def _unspaced(number: str) -> str:
    return "".join(fold(number).split())


def _words(name: str) -> list[str]:
    return fold(name).split()


def _looks_like_tckn(number: str) -> bool:
    """Whether it was perhaps meant as one, with a digit missing or too many."""
    return number.isascii() and number.isdigit() and 10 <= len(number) <= 12


def _one_slip_apart(stated: str, known: str) -> bool:
    """Whether one digit was mistyped, left out or doubled, or two that stand together changed places."""
    if len(stated) == len(known):
        places = [place for place in range(len(stated)) if stated[place] != known[place]]
        swapped = len(places) == 2 and places[1] == places[0] + 1
        return len(places) == 1 or (swapped and sorted(stated) == sorted(known))
    shorter, longer = sorted((stated, known), key=len)
    return len(longer) == len(shorter) + 1 and any(
        longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer))
    )


def _names(identity: Identity, person: Person) -> bool:
    """Whether a file says name or number of a record, and nothing against it."""
    filed = person_from_identity(identity)
    numbers = {fold(one) for one in (person.tckn, person.number) if one}
    named = bool(filed.name and person.name) or fold(filed.tckn or filed.number) in numbers
    return named and not compare_identity(person, identity)


def _same_name(one: str, other: str) -> bool:
    words, others = set(fold(one).split()), set(fold(other).split())
    return not words or not others or words <= others or others <= words
