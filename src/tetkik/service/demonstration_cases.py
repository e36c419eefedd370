"""The twelve invented patients of a demonstration, and what happened to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tetkik.imaging.examples import drawings
from tetkik.imaging.examples.drawings import DrawnStudy, drawn_file
from tetkik.records.cases.patients import Person
from tetkik.values.radiograph import Sex

_SLICES = 24


class Kind(StrEnum):
    """What is uploaded to a case."""

    NOTHING = "nothing"
    NORMAL = "normal"
    PNEUMOTHORAX = "pneumothorax"
    BEFORE = "before"
    EFFUSION = "effusion"
    PNEUMONIA = "pneumonia"
    """PA and lateral."""
    LATERAL = "lateral"
    CHILD = "child"
    PHOTO = "photo"
    BRAIN = "brain"
    ULTRASOUND = "ultrasound"
    STACK = "stack"


class End(StrEnum):
    """How far a case comes by itself; the visitor does the rest."""

    OPEN = "open"
    SIGNED = "signed"
    AMENDED = "amended"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class DemoCase:
    """One case. `ago` is how long before now it was opened; `key` names it in the demonstration's folder."""

    key: str
    patient: str
    born: str
    sex: Sex
    kind: Kind
    ago: timedelta
    complaint: str = ""
    question: str = ""
    end: End = End.OPEN
    findings: str = ""
    """What the radiologist wrote instead of the draft; empty where the draft was signed as it was."""
    impression: str = ""

    @property
    def person(self) -> Person:
        number = f"DENEME-{PATIENTS.index(self.patient) + 1:02}"
        return Person(name=f"DENEME {self.patient}", number=number, birth_date=self.born, sex=self.sex)


def _hours(hours: float) -> timedelta:
    return timedelta(hours=hours)


_CLEAR = "Akciğer parankiminde infiltrasyon veya kitle izlenmedi. Kostofrenik sinüsler açıktır."
CASES = (
    DemoCase(
        "pneumonia",
        "Ayşe Örnek",
        "19680314",
        Sex.FEMALE,
        Kind.PNEUMONIA,
        _hours(1.2),
        "Beş gündür ateşim çıkıyor, öksürüyorum, sarı balgam geliyor, sırtıma batıyor.",
        "Pnömoni?",
    ),
    DemoCase(
        "pneumothorax",
        "Mehmet Örnek",
        "20010922",
        Sex.MALE,
        Kind.PNEUMOTHORAX,
        _hours(0.3),
        "Yarım saat önce birden göğsüme bıçak saplanır gibi ağrı girdi, nefes alamıyorum.",
        "Pnömotoraks?",
    ),
    DemoCase(
        "waiting",
        "Hasan Örnek",
        "19550701",
        Sex.MALE,
        Kind.NOTHING,
        _hours(0.1),
        "Bir saattir göğsümde baskı var, sol koluma ve çeneme vuruyor, soğuk soğuk terliyorum.",
    ),
    DemoCase(
        "normal",
        "Zeynep Örnek",
        "19931105",
        Sex.FEMALE,
        Kind.NORMAL,
        _hours(2.5),
        "İşe giriş için akciğer filmi istendi, bir şikâyetim yok.",
        "İşe giriş muayenesi.",
    ),
    DemoCase(
        "before",
        "Fatma Örnek",
        "19490218",
        Sex.FEMALE,
        Kind.BEFORE,
        timedelta(days=243),
        "Ameliyat öncesi kontrole geldim, akciğer filmi çekildi.",
        "Ameliyat öncesi.",
        End.SIGNED,
        _CLEAR,
        "Akut patoloji izlenmedi.",
    ),
    DemoCase(
        "effusion",
        "Fatma Örnek",
        "19490218",
        Sex.FEMALE,
        Kind.EFFUSION,
        _hours(3.4),
        "On gündür nefesim daralıyor, bacaklarım şişti, düz yatamıyorum.",
        "Kalp yetmezliği, plevral efüzyon?",
    ),
    DemoCase(
        "brain",
        "Ali Örnek",
        "19760530",
        Sex.MALE,
        Kind.BRAIN,
        _hours(5),
        "İki aydır sabahları başım ağrıyor, son günlerde iki kez kustum.",
        "Yer kaplayan lezyon?",
    ),
    DemoCase(
        "child",
        "Elif Örnek",
        f"{datetime.now().year - 4}0611",
        Sex.FEMALE,
        Kind.CHILD,
        _hours(1.8),
        "4 yaşındaki kızım üç gündür ateşli, hırıltılı öksürüyor.",
        "Pnömoni?",
    ),
    DemoCase(
        "photo",
        "Kemal Örnek",
        "19620825",
        Sex.MALE,
        Kind.PHOTO,
        timedelta(days=1, hours=2),
        "Sevkle geldim, dış merkezde çekilen filmin fotoğrafı var, öksürüğüm geçmiyor.",
        "Dış merkez filmi.",
    ),
    DemoCase(
        "lateral",
        "Sultan Örnek",
        "19710109",
        Sex.FEMALE,
        Kind.LATERAL,
        timedelta(days=1, hours=5),
        "Sırtım ağrıyor, derin nefes alınca artıyor.",
        "Yan grafi.",
    ),
    DemoCase(
        "amended",
        "Mustafa Örnek",
        "19580416",
        Sex.MALE,
        Kind.CHILD,
        timedelta(days=datetime.now().day + 5, hours=4),  # in the month before this one
        "Kilo veriyorum, aylardır öksürüyorum, sigara içiyorum.",
        "Kitle?",
        End.AMENDED,
        _CLEAR,
        "Akut patoloji izlenmedi.",
    ),
    DemoCase(
        "withdrawn",
        "Hatice Örnek",
        "19840203",
        Sex.FEMALE,
        Kind.NORMAL,
        timedelta(days=9, hours=1),
        "Bir haftadır kuru öksürüğüm var, gece terliyorum.",
        "Tüberküloz?",
        End.WITHDRAWN,
        _CLEAR,
        "Akut patoloji izlenmedi.",
    ),
    DemoCase(
        "ultrasound",
        "Ayhan Örnek",
        "19791212",
        Sex.MALE,
        Kind.ULTRASOUND,
        timedelta(days=2, hours=3),
        "Karnımın sağ üst yanı ağrıyor, yemekten sonra artıyor.",
        "Safra kesesi?",
    ),
    DemoCase(
        "stack",
        "Ayhan Örnek",
        "19791212",
        Sex.MALE,
        Kind.STACK,
        _hours(6),
        question="Sağ akciğerde nodül takibi.",
    ),
)
PATIENTS = tuple(dict.fromkeys(case.patient for case in CASES))


def files_of(case: DemoCase, at: datetime) -> Iterator[tuple[str, bytes]]:
    """The files of a case as they are uploaded, with their names; taken at `at`."""
    person = case.person
    given, _, family = case.patient.rpartition(" ")
    identity = (f"DENEME {family}^{given}", person.number, person.birth_date, case.sex.value)
    study = DrawnStudy(case.key, *identity, at, description="AKCIGER GRAFISI")
    film = drawings.shipped
    match case.kind:
        case Kind.NOTHING:
            return
        case Kind.NORMAL | Kind.PNEUMOTHORAX | Kind.BEFORE | Kind.EFFUSION:
            yield "pa.dcm", drawn_file(study, film(case.kind.value), view="PA")
        case Kind.PNEUMONIA:
            yield "pa.dcm", drawn_file(study, film("chest"), view="PA", pitch=0.34)
            yield "yan.dcm", drawn_file(study, drawings.lateral_chest(), view="LL")
        case Kind.LATERAL:
            yield "yan.dcm", drawn_file(study, drawings.lateral_chest(), view="LL")
        case Kind.CHILD:
            share = 0.9 if case.key == "child" else 0.97
            yield "pa.dcm", drawn_file(study, drawings.enlarged(film("normal"), share), view="PA")
        case Kind.PHOTO:
            yield "foto.jpg", drawings.photographed(film("before"))
        case Kind.BRAIN:
            brain = DrawnStudy(case.key, *identity, at, "MR", "BRAIN", "BEYIN MR T1")
            yield "kesit.dcm", drawn_file(brain, film("brain"), pitch=0.57)
        case Kind.ULTRASOUND:
            liver = DrawnStudy(case.key, *identity, at, "US", "ABDOMEN", "KARACIGER US")
            yield "us.dcm", drawn_file(liver, drawings.ultrasound())
        case Kind.STACK:
            scan = DrawnStudy(case.key, *identity, at, "CT", "CHEST", "TORAKS BT")
            for number in range(1, _SLICES + 1):
                pixels = drawings.chest_slice((number - 1) / (_SLICES - 1))
                yield f"{number:02}.dcm", drawn_file(scan, pixels, number=number, pitch=1.5)
