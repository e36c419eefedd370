"""Patients: who they are, sealed under their own key, and found by a keyed index."""

from __future__ import annotations

import json
import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Select, delete, func, select

from tetkik.errors import InputError, NotFound
from tetkik.privacy.rules import is_tckn
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.name_index import IDENTITY, SHORTEST_PREFIX
from tetkik.records.schema.cases import Case, Patient, PatientIndex, PatientLink
from tetkik.records.serialization import to_json
from tetkik.records.vault import KEY_BYTES
from tetkik.turkish import fold
from tetkik.values.radiograph import Sex
from tetkik.values.states import CaseState

# Links between records of one person: each record keeps its key and its content, and one represents all.
#
# What HL7 calls a merge (ADT^A40; `replaced-by` in https://hl7.org/fhir/R4B/patient.html#links) is a row
# here: it points from the record that is replaced to the one that survives it. Only a record that no other
# replaces may be replaced, so the rows are trees: no circle can close, and each tree has one record at its
# root.
#
# patients.create(tx, unknown)            # a
# patients.create(tx, gulcin)             # b
# survivor_of(tx, a)                      # a; after a link from a to b it is b
# records_of(tx, a)                       # (b, a)


def survivor_of(tx: Transaction, patient_id: str) -> str:
    """The record that stands for this one: itself where nobody has replaced it."""
    return survivors_of(tx, (patient_id,))[patient_id]


def survivors_of(tx: Transaction, patient_ids: Iterable[str]) -> dict[str, str]:
    """For each of many records the one that stands for it; one query for all, and one more a generation."""
    found = {patient_id: patient_id for patient_id in patient_ids}
    open_ids = set(found)
    while open_ids:
        rows = tx.session.execute(
            select(PatientLink.patient_id, PatientLink.survivor_id).where(
                PatientLink.patient_id.in_(open_ids)
            )
        )
        after = {row.patient_id: row.survivor_id for row in rows}
        found = {patient_id: after.get(last, last) for patient_id, last in found.items()}
        open_ids = set(after.values())
    return found


def records_of(tx: Transaction, patient_id: str) -> tuple[str, ...]:
    """Every record of the person whom this record is about: the surviving one first, the others by age."""
    survivors = _tree(tx, (patient_id,))
    first = patient_id
    while first in survivors:
        first = survivors[first]
    return (first, *sorted(survivors))


def all_records_of(tx: Transaction, patient_ids: Sequence[str]) -> tuple[str, ...]:
    """Every record of everybody whom these records are about."""
    survivors = _tree(tx, patient_ids)
    return tuple(sorted({*patient_ids, *survivors, *survivors.values()}))


def lock_links(tx: Transaction, *patient_ids: str) -> None:
    """Let no link of the people whom these records are about change until the transaction is through.

    Records are joined at the roots of their trees alone, and whoever changes a tree holds its root first:
    that lock is enough. Roots are locked in the order of their ids, so that two who lock the same wait in
    turn. Rows that refer to a patient may be added meanwhile: whoever signs holds the report first, and the
    two would wait for each other.
    """
    while True:
        roots = set(survivors_of(tx, patient_ids).values())
        wanted = select(Patient.id).where(Patient.id.in_(roots)).order_by(Patient.id)
        tx.session.execute(wanted.with_for_update(key_share=True)).all()
        if set(survivors_of(tx, patient_ids).values()) == roots:
            return


def unlink_erased(tx: Transaction, patient_ids: Iterable[str]) -> None:
    """Undo the links between the living and the erased: what is kept for the law stands for nobody else."""
    tx.session.flush()
    ids = set(patient_ids)
    touched = select(PatientLink).where(PatientLink.patient_id.in_(ids) | PatientLink.survivor_id.in_(ids))
    for link in tx.session.scalars(touched).all():
        if not all(_kept_for_the_law(tx, one) for one in (link.patient_id, link.survivor_id)):
            tx.session.delete(link)
    tx.session.flush()


def _kept_for_the_law(tx: Transaction, patient_id: str) -> bool:
    row = tx.session.get_one(Patient, patient_id)
    return row.key is not None and row.erase_after is not None


def _tree(tx: Transaction, patient_ids: Iterable[str]) -> dict[str, str]:
    """Every record that is replaced in the trees of these, with the one that replaces it.

    One query where there is no link, and one more a step away.
    """
    found: dict[str, str] = {}
    open_ids = known = set(patient_ids)
    while open_ids:
        touched = PatientLink.patient_id.in_(open_ids) | PatientLink.survivor_id.in_(open_ids)
        rows = tx.session.execute(select(PatientLink.patient_id, PatientLink.survivor_id).where(touched))
        found |= {row.patient_id: row.survivor_id for row in rows}
        open_ids = (found.keys() | set(found.values())) - known
        known = known | open_ids
    return found


LONGEST_NAME = 120
LONGEST_NUMBER = 64
_PADDED = 256
"""Bytes of which a sealed identity has a multiple."""
MOST_MATCHES = 20
"""Patients that a search gives; whoever finds as many says more of the name."""
SHORTEST_WORDS = SHORTEST_PREFIX
"""Letters of a name from which on a search is worth its while."""
_EIGHT = re.compile(r"[0-9]{8}")
_TURKISH_PHONE = re.compile(r"(?:\+90|0090|90|0)?([2-5][0-9]{9})")
_OTHER_PHONE = re.compile(r"\+(?!90)[1-9][0-9]{6,14}")  # at most fifteen digits: ITU-T E.164, section 6
_NEVER = datetime.min.replace(tzinfo=UTC)
_OLDEST = date(1880, 1, 1)
_UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# Marks that turn the direction of what stands beside them (Unicode Technical Report 36, section 2.1.1).
_TURNING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class Person:
    """Who a patient is. None of it shows in `repr`, so none of it gets into a log."""

    name: str = field(default="", repr=False)
    tckn: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    """`YYYYMMDD`."""
    sex: Sex | None = field(default=None, repr=False)
    phone: str = field(default="", repr=False)
    """With the country, without spaces (E.164): `+905321234567`."""
    issuer: str = field(default="", repr=False)
    """Whose `number` it is (HL7 CX.4, Issuer of Patient ID); empty for the hospital's own, or unknown."""

    @property
    def known(self) -> bool:
        """Whether anything tells who it is."""
        return bool(self.name or self.tckn or self.number)

    @property
    def born(self) -> date | None:
        """The day of birth; None where unknown."""
        return day_of(self.birth_date)

    def months(self, at: datetime) -> int | None:
        return months_of(self.birth_date, at)

    @property
    def phone_shown(self) -> str:
        """A number of Turkey as people there write it, `0532 123 45 67`; any other as it is kept."""
        own = self.phone.removeprefix("+90")
        return self.phone if own == self.phone else f"0{own[:3]} {own[3:6]} {own[6:8]} {own[8:]}"


@dataclass(frozen=True, slots=True)
class Match:
    id: str
    """Of the record; of several that are one, the surviving one."""
    person: Person
    visits: int
    last_visit: datetime | None
    also: tuple[Person, ...] = ()


def validate_person(person: Person) -> Person:
    """What somebody typed, tidied: spaces in one, nothing that hides or turns the direction of writing."""
    name, tckn, number, birth = map(_tidy, (person.name, person.tckn, person.number, person.birth_date))
    phone, issuer = phone_of(person.phone), _tidy(person.issuer)
    tidied = Person(name, "".join(tckn.split()), number, birth, person.sex, phone, issuer)
    if len(tidied.name) > LONGEST_NAME or max(len(number), len(issuer)) > LONGEST_NUMBER:
        raise InputError("The name or the hospital number is too long; shorten it.")
    if tidied.tckn and not (tidied.tckn.isascii() and is_tckn(tidied.tckn)):
        raise InputError("This is no Turkish identity number; check its eleven digits.").at("tckn")
    today = datetime.now(UTC).date() + timedelta(days=1)  # it may be tomorrow already where the hospital is
    if tidied.birth_date and not _OLDEST <= (tidied.born or date.min) <= today:
        raise InputError("This is no date of birth; give day, month and year.").at("birth_date")
    return tidied


def phone_of(typed: str) -> str:
    """A telephone number as people here type it (`0532 123 45 67`) as E.164; empty for none.

    Numbers of Turkey have ten digits, and begin with 5 (mobile) or 2 to 4 (BTK numbering plan); one of
    another country is given with its `+`.
    """
    digits = re.sub(r"[\s()./-]", "", _tidy(typed))
    if not digits:
        return ""
    if found := _TURKISH_PHONE.fullmatch(digits):
        return f"+90{found[1]}"
    if _OTHER_PHONE.fullmatch(digits):
        return digits
    raise InputError(
        "This is no telephone number; give it such as 0532 123 45 67, or with + and the country."
    ).at("phone")


@dataclass(frozen=True, slots=True)
class ReservedPatient:
    """Id and key of a patient who is created later: files can be sealed before the transaction begins."""

    id: str = field(default_factory=new_id)
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)


def create(tx: Transaction, person: Person, reserved: ReservedPatient | None = None) -> str:
    """Keep a patient; gives the id."""
    new = reserved or ReservedPatient()
    key = tx.wrap_key(new.id, new.secret)
    tx.session.add(Patient(id=new.id, key=key, identity=None, created_at=tx.now))
    tx.session.flush()
    _write(tx, new.id, person)
    return new.id


def change(tx: Transaction, patient_id: str, person: Person, *, case_id: str | None = None) -> None:
    """Correct who a patient is; the trail says what was changed, not to what.

    A record that another one stands for keeps what it says: the surviving one is corrected. A number that
    stays keeps its issuer where none is given.
    """
    patient_id = survivor_of(tx, patient_id)
    before, after = load_registered_person(tx, patient_id), validate_person(person)
    if after.number == before.number and not after.issuer:
        after = replace(after, issuer=before.issuer)
    names = [item.name for item in fields(Person) if getattr(before, item.name) != getattr(after, item.name)]
    if names:
        _write(tx, patient_id, after)
        tx.audit(Action.PATIENT_CHANGED, case_id=case_id, patient_id=patient_id, fields=",".join(names))


def told_at(tx: Transaction, patient_id: str) -> datetime | None:
    """When the hospital's system last said who a patient is, by its clock; None where it never did."""
    return tx.session.get_one(Patient, survivor_of(tx, patient_id)).told_at


def note_told(tx: Transaction, patient_id: str, at: datetime) -> None:
    """Remember when the hospital's system said what is known now."""
    tx.session.get_one(Patient, survivor_of(tx, patient_id)).told_at = at


def find_by_number(tx: Transaction, person: Person) -> tuple[str, ...]:
    """Ids of patients who have the same identity number or hospital number already, in whatever record.

    Two issuers may give one number to two people: a number of another issuer is another number.
    """
    found: list[str] = []
    for kind, text in (("tckn", person.tckn), ("number", person.number)):
        if text:
            same = tx.session.scalars(_indexed_as(tx, kind, text)).all()
            if kind == "number" and person.issuer:
                same = [one for one in same if same_issuer(person, load_registered_person(tx, one))]
            found += same
    survivors = survivors_of(tx, found)
    return tuple(dict.fromkeys(survivors[patient_id] for patient_id in found))


def find_namesakes(tx: Transaction, person: Person) -> tuple[Match, ...]:
    """Patients of the same name, in whatever order and letters it is typed, and the same birth date."""
    person = validate_person(person)
    names = sorted(fold(person.name).split())
    if not names or not person.birth_date:
        return ()
    found = load_matches(tx, tuple(find(tx, person.name)))
    return tuple(
        match
        for match in found
        if match.person.birth_date == person.birth_date and sorted(fold(match.person.name).split()) == names
    )


def same_issuer(one: Person, other: Person) -> bool:
    """Whether the numbers of two may be compared: of one issuer, as far as is known."""
    return not (one.issuer and other.issuer) or fold(one.issuer) == fold(other.issuer)


def search(tx: Transaction, words: str) -> tuple[Match, ...]:
    """Patients by name or number, as `find` finds them, the latest visit first; the trail notes the search.

    Of more than `MOST_MATCHES` those with the newest records.
    """
    survivors = set(survivors_of(tx, find(tx, words)).values())
    matches = _matches(tx, sorted(survivors, reverse=True)[:MOST_MATCHES])
    tx.audit(Action.PATIENT_SEARCHED, found=len(matches))
    return tuple(matches)


def _indexed_as(tx: Transaction, kind: str, text: str) -> Select[str]:
    digest = tx.vault.digest(kind, text)
    return select(PatientIndex.patient_id).where(PatientIndex.kind == kind, PatientIndex.digest == digest)


def is_searchable(words: str) -> bool:
    """Whether there is enough of a name, or a digit, to look for."""
    return len(words) >= SHORTEST_WORDS or any(char.isdigit() for char in words)


def load_matches(tx: Transaction, patient_ids: tuple[str, ...]) -> tuple[Match, ...]:
    """These patients as a search shows them; who was erased is left out."""
    return tuple(_matches(tx, tuple(dict.fromkeys(survivors_of(tx, patient_ids).values()))))


def load_person(tx: Transaction, patient_id: str) -> Person:
    """Who a patient is: what the record says that stands for this one."""
    return load_registered_person(tx, survivor_of(tx, patient_id))


def load_people(tx: Transaction, patient_id: str) -> tuple[Person, ...]:
    """What every record of a patient says, the surviving one first; what was erased is left out."""
    there = [tx.session.get(Patient, one) for one in records_of(tx, patient_id)]
    return tuple(
        load_registered_person(tx, row.id) for row in there if row is not None and row.identity is not None
    )


def load_registered_person(tx: Transaction, patient_id: str) -> Person:
    """What this very record says, whether or not another one stands for it."""
    erased = NotFound("The patient of this record was erased; nothing of it can be read any more.")
    row = tx.find(Patient, patient_id, erased)
    if row.identity is None:
        raise erased
    known = json.loads(tx.open(patient_id, IDENTITY, patient_id, row.identity))
    return Person(**known | {"sex": Sex(known["sex"]) if known["sex"] else None})


def require_not_erased(tx: Transaction, patient_id: str) -> None:
    """Let nothing new be begun for an erased patient, even where the law still keeps signed reports."""
    tx.key(patient_id)
    if tx.session.get_one(Patient, patient_id).erase_after is not None:
        raise NotFound("The patient of this record was erased; nothing of it can be read any more.")


def find(tx: Transaction, words: str) -> tuple[str, ...]:
    """Ids of patients whose TCKN, number or telephone is `words`, or whose name has every one of them.

    A word of a name may be its beginning, from three letters on; Turkish letters may be typed without marks.
    Of a patient with several records, one that fits brings all of them.
    """
    sought = [("tckn", words), ("number", words)]
    with suppress(InputError):  # a name, or another number
        sought.append(("phone", phone_of(words)))
    exact = select(PatientIndex.patient_id).where(
        PatientIndex.kind.in_([kind for kind, _ in sought]),
        PatientIndex.digest.in_([tx.vault.digest(kind, text) for kind, text in sought]),
    )
    found = list(tx.session.scalars(exact))
    parts = fold(words).split()
    if parts:
        found += tx.names.find(tx.session, parts)
    return all_records_of(tx, found)


def _matches(tx: Transaction, survivors: Sequence[str]) -> list[Match]:
    """Patients by the ids of their surviving records."""
    records = all_records_of(tx, survivors)
    of_one: dict[str, list[str]] = {}
    for record, survivor in survivors_of(tx, records).items():
        of_one.setdefault(survivor, []).append(record)
    visits = {
        record: (count, last)
        for record, count, last in tx.session.execute(
            select(Case.patient_id, func.count(), func.max(Case.created_at))
            .where(Case.patient_id.in_(records), Case.state != CaseState.MOVED)
            .group_by(Case.patient_id)
        )
    }
    found = []
    for patient_id in survivors:
        try:
            require_not_erased(tx, patient_id)
            person = load_registered_person(tx, patient_id)
        except NotFound:
            continue
        counted = [visits[record] for record in of_one[patient_id] if record in visits]
        last = max((when for _, when in counted), default=None)
        also = tuple(load_registered_person(tx, one) for one in of_one[patient_id] if one != patient_id)
        found.append(Match(patient_id, person, sum(count for count, _ in counted), last, also))
    return sorted(found, key=lambda match: match.last_visit or _NEVER, reverse=True)


def _tidy(text: str) -> str:
    """NFC, white space in one, without what cannot be seen and what turns the direction of writing."""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(
        char for char in text if unicodedata.category(char) not in _UNSEEN and char not in _TURNING
    ).strip()


def day_of(digits: str) -> date | None:
    """The day of `YYYYMMDD`; None where there is none such."""
    try:
        return datetime.strptime(digits, "%Y%m%d").date() if _EIGHT.fullmatch(digits) else None
    except ValueError:
        return None


def age_of(birth_date: str, at: datetime) -> int | None:
    """Whole years from the day of birth (`YYYYMMDD`) to a moment; None where it is unknown, or later."""
    months = months_of(birth_date, at)
    return None if months is None else months // 12


def months_of(birth_date: str, at: datetime) -> int | None:
    """The same in whole months, as ages of small children are said."""
    born, day = day_of(birth_date), at.astimezone().date()
    if born is None or born > day:
        return None
    return 12 * (day.year - born.year) + day.month - born.month - (day.day < born.day)


def _write(tx: Transaction, patient_id: str, person: Person) -> None:
    tx.key(patient_id)
    row = tx.session.get_one(Patient, patient_id)
    content = to_json(asdict(person))
    # Its length shall not tell that of the name.
    content = content.ljust(-(-len(content) // _PADDED) * _PADDED)
    row.identity = tx.seal(patient_id, IDENTITY, patient_id, content)
    tx.renamed.add(patient_id)
    tx.session.execute(delete(PatientIndex).where(PatientIndex.patient_id == patient_id))
    for kind, text in _indexed(person):
        digest = tx.vault.digest(kind, text)
        tx.session.add(PatientIndex(patient_id=patient_id, kind=kind, digest=digest))
    tx.session.flush()


def _indexed(person: Person) -> set[tuple[str, str]]:
    """What a patient is found by in the database; names are found in memory."""
    entries = {("tckn", person.tckn), ("number", person.number), ("phone", person.phone)}
    return {(kind, text) for kind, text in entries if text}
