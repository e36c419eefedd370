"""Verdicts of 2,000 invented studies against invented orders with planted mismatches.

    python benchmarks/order_matching.py [--studies 2000] [--seed 20261123]

The seed and the shares of `KINDS` were written down before the first run and were not changed after it. A
true study is its order's patient's, and what it says otherwise is what people write otherwise (`TRUE`); a
planted mismatch says something that only a person can decide, or was never ordered. A study is matched
wrongly where its verdict names an order that is not its own. What nothing in the data tells is left out: a
patient under whose name, numbers and order another one lies in the scanner.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import judged, record
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records, Transaction
from tetkik.records.orders.matching import StudyFacts, Verdict, match_study
from tetkik.records.orders.orders import OrderContent, place_order
from tetkik.turkish import fold
from tetkik.values import SYSTEM, Identity, Sex

REACH = 0.95
KINDS = {
    "as ordered": 0.53,
    "no accession number": 0.12,
    "identity number mistyped": 0.06,
    "another surname": 0.04,
    "no date of birth or sex": 0.06,
    "another hospital's number": 0.04,
    "sex swapped": 0.03,
    "order of the twin or neighbour chosen": 0.04,
    "accession number mistyped": 0.02,
    "number of another patient typed": 0.02,
    "another date of birth": 0.01,
    "never ordered": 0.03,
}
TRUE = tuple(KINDS)[:6]
TWINS, SAME_NAME, REUSED = 0.06, 0.06, 0.03
"""Shares of patients who have a twin, of those who have another's name, of accession numbers used before."""
ISSUERS = ("HASTANE", "SEMT")
WOMEN = "Ayşe Fatma Emine Hatice Zeynep Elif Gülşen Şükran Özlem Nur Işıl Çiğdem Deniz"
MEN = "Mehmet Mustafa Ahmet Ali Hüseyin Hasan İbrahim Ömer Can Çağrı Gökhan Işık Deniz"
SURNAMES = (
    "Yılmaz Kaya Demir Şahin Çelik Yıldız Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara Koç Kurt "
    "Özkan Şimşek Güneş Işık Ünal Gürbüz Ağaoğlu Çağlayan"
)
MODALITIES = ("DX", "DX", "DX", "CT", "CT", "MR", "US")
START = datetime(2026, 11, 2, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """An order that was placed."""

    id: str
    person: Person
    content: OrderContent


def given_names(sex: Sex) -> list[str]:
    """Of women or of men."""
    return (WOMEN if sex is Sex.FEMALE else MEN).split()


def tckn(rng: random.Random) -> str:
    """Eleven digits whose check digits fit; of nobody on purpose."""
    d = [rng.randint(1, 9), *(rng.randint(0, 9) for _ in range(8))]
    d.append((7 * sum(d[0:9:2]) - sum(d[1:8:2])) % 10)
    return "".join(map(str, [*d, sum(d) % 10]))


def population(rng: random.Random, count: int) -> list[Person]:
    """Patients, with twins, namesakes, and numbers that two issuers give twice."""
    people: list[Person] = []
    while len(people) < count:
        sex = rng.choice((Sex.FEMALE, Sex.MALE))
        given = " ".join(rng.sample(given_names(sex), rng.choice((1, 1, 1, 2))))
        born = f"{rng.randint(1930, 2024)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
        name = f"{given} {rng.choice(SURNAMES.split())}"
        issuer = rng.choices(ISSUERS, (0.85, 0.15))[0]
        number = str(rng.randint(1, 3 * count))
        person = Person(name, tckn(rng) if rng.random() < 0.93 else "", number, born, sex, issuer=issuer)
        drawn = rng.random()
        if people and drawn < TWINS:
            other = rng.choice(people)
            own = rng.choice(given_names(other.sex or sex))
            first, *_, last = other.name.split()
            name = f"{first} {own} {last}" if rng.random() < 0.3 else f"{own} {last}"
            person = replace(person, name=name, birth_date=other.birth_date, sex=other.sex)
        elif people and drawn < TWINS + SAME_NAME:
            other = rng.choice(people)
            person = replace(person, name=other.name, sex=other.sex)
        if not any((one.issuer, one.number) == (person.issuer, person.number) for one in people):
            people.append(person)
    return people


def placed(tx: Transaction, rng: random.Random, people: list[Person], count: int) -> list[Asked]:
    """An order for most people, several for some; the last `count` are those whose studies come."""
    ids = {person: patients.create(tx, person) for person in people}
    before, orders = round(count * REUSED), []
    for number in range(count + before):
        person = rng.choice(people)
        at = START + timedelta(minutes=rng.randint(0, 14 * 24 * 60))
        # The first ones are a year old; their accession numbers are given again.
        at -= timedelta(days=365) if number < before else timedelta()
        accession = f"{(number - before) % count + 260_000}"
        content = OrderContent(accession, person.issuer, modality=rng.choice(MODALITIES), scheduled_at=at)
        order = Asked(place_order(tx, ids[person], content, "hbys"), person, content)
        orders.append(order)
    return orders[before:]


def written(name: str, rng: random.Random) -> str:
    """A name as a scanner has it: with or without Turkish letters and second names, in either order."""
    *given, surname = name.split()
    if len(given) > 1 and rng.random() < 0.3:
        given = given[:1]
    text = f"{surname}^{' '.join(given)}" if rng.random() < 0.9 else f"{' '.join(given)}^{surname}"
    return fold(text).upper().replace(" ", "^", 1) if rng.random() < 0.5 else text


def mistyped(digits: str, rng: random.Random) -> str:
    """One digit changed, or two that stand together swapped, or one left out."""
    place, way = rng.randrange(1, len(digits) - 1), rng.randrange(3)
    if way == 0:
        return digits[:place] + str((int(digits[place]) + rng.randint(1, 9)) % 10) + digits[place + 1 :]
    if way == 1 and digits[place] != digits[place + 1]:
        return digits[:place] + digits[place + 1] + digits[place] + digits[place + 2 :]
    return digits[:place] + digits[place + 1 :]


def studied(
    order: Asked, kind: str, orders: list[Asked], people: list[Person], rng: random.Random
) -> tuple[StudyFacts, str | None]:
    """The study that comes for an order, with what its kind plants; and the order that it answers."""
    person, content = order.person, order.content
    national = bool(person.tckn) and rng.random() < 0.5
    identity = Identity(
        person.tckn if national else person.number,
        written(person.name, rng),
        person.birth_date,
        person.sex,
        accession=content.accession,
    )
    issuer, at = person.issuer if rng.random() < 0.8 else "", content.scheduled_at
    assert at is not None
    own: str | None = order.id
    match kind:
        case "no accession number":
            identity = replace(identity, accession=None)
        case "identity number mistyped" if person.tckn:
            identity = replace(identity, patient_id=mistyped(person.tckn, rng))
        case "another surname" if person.sex is Sex.FEMALE:
            *given, _ = person.name.split()
            identity = replace(identity, patient_name=f"{rng.choice(SURNAMES.split())}^{' '.join(given)}")
        case "no date of birth or sex":
            missing = rng.choice(("birth_date", "sex"))
            identity = (
                replace(identity, birth_date=None) if missing == "birth_date" else replace(identity, sex=None)
            )
        case "another hospital's number":
            issuer = person.issuer
            identity = replace(identity, patient_id=person.number)
        case "sex swapped":
            identity = replace(identity, sex=Sex.MALE if person.sex is Sex.FEMALE else Sex.FEMALE)
        case "order of the twin or neighbour chosen":
            twins = [one for one in orders if one.person.birth_date == person.birth_date]
            wrong = rng.choice([one for one in twins if one.person != person] or orders)
            identity = replace(identity, accession=wrong.content.accession)
            own = order.id if wrong.person != person else None
        case "accession number mistyped":
            identity = replace(identity, accession=mistyped(content.accession, rng))
        case "number of another patient typed":
            other = rng.choice(people)
            identity = replace(identity, patient_id=rng.choice((other.tckn, other.number)))
        case "another date of birth":
            identity = replace(identity, birth_date=mistyped(person.birth_date, rng)[:8].ljust(8, "1"))
        case "never ordered":
            namesake = rng.choice(people)
            identity = replace(identity, accession=None, patient_id=f"{rng.randint(10**6, 10**7)}")
            identity = replace(identity, patient_name=written(namesake.name, rng), birth_date=None)
            own = None
    modality = "CR" if content.modality == "DX" and rng.random() < 0.3 else content.modality
    late = timedelta(minutes=rng.randint(-60, 20 * 60))
    return StudyFacts(identity, issuer, issuer, modality, None, at + late), own


def verdicts(records: Records, count: int, seed: int) -> Iterator[tuple[str, str, float]]:
    """Of each study its kind, what came of it (`right`, `wrong`, `doubtful`, `none`) and seconds."""
    rng = random.Random(seed)
    people = population(rng, count * 4 // 5)
    with records.write(SYSTEM) as tx:
        orders = placed(tx, rng, people, count)
    kinds = rng.choices(tuple(KINDS), tuple(KINDS.values()), k=count)
    for order, kind in zip(orders, kinds, strict=True):
        facts, own = studied(order, kind, orders, people, rng)
        begun = time.perf_counter()
        with records.read() as tx:
            found = match_study(tx, facts)
        took = time.perf_counter() - begun
        matched = "right" if found.order_id == own else "wrong"
        yield kind, matched if found.kind is Verdict.MATCHED else found.kind.value, took


def main() -> None:
    """Judge every study and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=20261123)
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        records = Records(f"sqlite:///{folder}/tetkik.db", Path(folder))
        results = list(verdicts(records, chosen.studies, chosen.seed))
        records.close()
    tally = Counter((kind, outcome) for kind, outcome, _ in results)
    of_kind = Counter(kind for kind, _, _ in results)
    for kind in KINDS:
        outcomes = ", ".join(f"{one} {tally[kind, one]}" for one in ("right", "wrong", "doubtful", "none"))
        print(f"{kind:<40} n={of_kind[kind]:>5}  {outcomes}")
    wrong = sum(tally[kind, "wrong"] for kind in KINDS)
    true = sum(of_kind[kind] for kind in TRUE)
    right = sum(tally[kind, "right"] for kind in TRUE)
    planted = len(results) - true
    kept = sum(tally[kind, one] for kind in KINDS if kind not in TRUE for one in ("doubtful", "none"))
    print(f"matched wrongly {wrong} of {len(results)}; true ones matched {right} of {true}")
    took = 1000 * statistics.median(seconds for *_, seconds in results)
    print(f"planted mismatches left to a person {kept} of {planted}; a verdict {took:.1f} ms, median")
    share = right / true
    record("order-matching/wrong", {"reached": judged(str(wrong), met=not wrong), "n": f"{len(results):,}"})
    record("order-matching/true", {"reached": judged(f"{share:.1%}", met=share >= REACH), "n": f"{true:,}"})
    record("order-matching/planted", {"reached": f"{kept / planted:.1%}", "n": f"{planted:,}"})


if __name__ == "__main__":
    main()
