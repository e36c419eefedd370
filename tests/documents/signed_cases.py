"""Two hundred signed reports of all kinds, drawn from a seed, each with what its documents have to say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from tests.documents import sample
from tests.documents.judged import ANGLE, BEFORE, FILM, LENGTH
from tetkik.language import Language
from tetkik.values import (
    Basis,
    BasisKind,
    Draft,
    DraftSentence,
    FindingsResult,
    Hospital,
    Identity,
    ImageTags,
    JudgedFinding,
    Judgement,
    KeyImage,
    Passage,
    PassageKind,
    ReportContent,
    ReportDocument,
    ReportState,
    Route,
    Section,
    Sex,
    Signature,
    Withdrawal,
    WithdrawalReason,
)
from tetkik.values.finding_labels import label_name

HOSPITAL = Hospital(
    "Çınarlı Şehir Hastanesi",
    "Radyoloji",
    "İzmir",
    time_zone="Europe/Istanbul",
    authority="CINARLI",
    oid="2.16.792.1.99.7",
)
FAMILIES = ("ŞAHİN", "Çağlayan", "İNCİ", "Işık", "ĞÜRÜŞ", "O'Neill")
GIVEN = ("Gülçin Işıl", "Ömer", "İrem", "Şükrü Çağrı", "ayşe")
CHEST = ("Cardiomegaly", "Effusion", "Nodule", "Pneumonia", "Mass", "Fibrosis")
BRAIN = ("Glioma", "Meningioma", "Pituitary")
PNG = sample.picture(size=(160, 200))
UNJUDGED, UNCITED = "Pneumothorax", "Kimsenin anmadığı kaynak, 2019"
SOURCE = "Anılan kaynak, 2021"


@dataclass(frozen=True)
class SignedCase:
    """A report, and what a reader of any document of it has to find."""

    document: ReportDocument
    kinds: frozenset[str]
    name: str = ""  # as it is spoken
    numbers: dict[str, str] = field(default_factory=dict)  # by identifier type: PI, NNTUR
    age: tuple[int, str] | None = None  # a number of `Y`, `M` or `D`
    examined: datetime | date | None = None
    referrer: str = ""
    present: dict[str, bool] = field(default_factory=dict)  # by judged label of which the text speaks


def signed_cases(count: int = 200, seed: int = 15) -> Iterator[SignedCase]:
    """The cases, always the same ones for a seed."""
    drawn = random.Random(seed)
    for place in range(count):
        yield _case(drawn, place)


def _case(drawn: random.Random, place: int) -> SignedCase:
    language = drawn.choice(list(Language))
    family, given = drawn.choice(FAMILIES), drawn.choice(GIVEN)
    who = ("both", "national", "hospital", "nobody")[place % 4]
    numbers = {}
    if who in ("both", "hospital"):
        numbers["PI"] = f"H-{drawn.randrange(10**6)}"
    if who in ("both", "national"):
        numbers["NNTUR"] = _tckn(drawn)
    day = date(2026, 1, 1) + timedelta(days=drawn.randrange(300))
    at = datetime(day.year, day.month, day.day, drawn.randrange(24), drawn.randrange(60), drawn.randrange(60))
    dated = drawn.choice(("moment", "day", "utc", "none"))
    zone = HOSPITAL.local(datetime(2026, 1, 1, tzinfo=UTC)).tzinfo
    moments = {"moment": at.replace(tzinfo=zone), "utc": at.replace(tzinfo=UTC), "day": day, "none": None}
    examined = moments[dated]
    signed = HOSPITAL.local(datetime(2026, 11, 22, drawn.randrange(24), drawn.randrange(60), tzinfo=UTC))
    seen = day if dated != "none" else signed.date()
    age, born = _age(drawn, seen)
    route = drawn.choice((Route.CHEST, Route.BRAIN_MRI, None))
    labels = drawn.sample(BRAIN if route is Route.BRAIN_MRI else CHEST, 3)
    judged, present = _judged(labels[: drawn.randrange(4)], by_hand=route is None)
    if place % 3 == 0:  # what was rejected is not spoken of: no document may deny it
        present = {label: there for label, there in present.items() if there}
    kind = drawn.choice(("final", "amended", "withdrawn"))
    known = drawn.random() < 0.7
    uid = f"1.2.826.0.1.3680043.8.498.{place + 1}"
    physician = drawn.choice(("", "YILDIZ^Çiğdem^^Uzm. Dr."))
    identity = Identity(
        patient_id=numbers.get("PI"),
        national_id=numbers.get("NNTUR"),
        patient_name=f"{family}^{given}" if who != "nobody" else None,
        birth_date=f"{born:%Y%m%d}" if born is not None else None,
        sex=drawn.choice((Sex.FEMALE, Sex.MALE, Sex.OTHER, None)),
        accession=f"ACC{place}" if drawn.random() < 0.6 else None,
        study_date=None if dated == "none" else f"{day:%Y%m%d}",
        study_time=f"{at:%H%M%S}" if dated in ("moment", "utc") else None,
        study_offset="+0000" if dated == "utc" else None,
        referrer=physician or None,
        study_uid=uid if known else None,
        series_uid=f"{uid}.1" if known else None,
        instance_uid=f"{uid}.2" if known else None,
        other_ids=("ESKİ-7",) if place % 9 == 0 else (),
    )
    measured = (LENGTH, ANGLE, BEFORE) if drawn.random() < 0.3 else ()
    key = KeyImage("01J0000000000000000000002A", FILM, sha256(PNG).hexdigest(), "Nodül")
    keys = (key,) if drawn.random() < 0.2 else ()
    by_hand = route is None
    pictured = drawn.random() < 0.25
    document = ReportDocument(
        id=f"01j{place:023d}",
        content=ReportContent(_draft(language, labels, present, by_hand=by_hand), measured, keys),
        result=None if route is None else _result(route, labels),
        identity=identity,
        tags=ImageTags(modality="DX", body_part="CHEST", sop_class=sample.TAGS.sop_class),
        hospital=HOSPITAL,
        state=ReportState.AMENDED if kind == "amended" else ReportState.FINAL,
        created=signed,
        version=2 if kind == "amended" else 1,
        signature=Signature("Ömer Çağrı Ünsal", "Uzm. Dr.", "123456", signed_at=signed),
        image=PNG if pictured else None,
        heatmap=PNG if pictured and present.get(labels[0]) else None,
        heatmap_label=labels[0] if pictured and present.get(labels[0]) else None,
        judgements=judged,
        withdrawal=Withdrawal(
            WithdrawalReason.WRONG_TEXT,
            "Başka raporun metni",
            Signature("Gül Işık", "Prof. Dr.", signed_at=signed + timedelta(hours=1)),
        )
        if kind == "withdrawn"
        else None,
        key_pictures=(PNG,) * len(keys),
        number=f"2026-{place:06d}-1",
        department=drawn.choice(("", "Göğüs Hastalıkları")),
    )
    if dated == "utc":
        examined = HOSPITAL.local(moments["utc"])  # type: ignore[arg-type]
    return SignedCase(
        document,
        frozenset({kind, who, str(route), dated, language, *(["measured"] if measured else [])}),
        f"{given} {family}" if who != "nobody" else "",
        numbers,
        age,
        examined,
        "Uzm. Dr. Çiğdem YILDIZ" if physician else "",
        present,
    )


def _tckn(drawn: random.Random) -> str:
    digits = [drawn.randrange(1, 10), *(drawn.randrange(10) for _ in range(8))]
    tenth = (sum(digits[0::2]) * 7 - sum(digits[1::2])) % 10
    return "".join(map(str, (*digits, tenth, (sum(digits) + tenth) % 10)))


def _age(drawn: random.Random, seen: date) -> tuple[tuple[int, str] | None, date | None]:
    """An age, and the birth date that gives it on that day; none of either where it is not known."""
    unit = drawn.choice("YYYMD-")
    if unit == "D":
        days = drawn.randrange(28)
        return (days, "D"), seen - timedelta(days=days)
    if unit == "M":
        months = drawn.randrange(1, 24)
        back = seen.year * 12 + seen.month - 1 - months
        born = date(back // 12, back % 12 + 1, min(seen.day, 28))
        return (months, "M") if (seen - born).days >= 28 else ((seen - born).days, "D"), born
    if unit == "Y":
        years = drawn.randrange(2, 99)
        return (years, "Y"), date(seen.year - years, seen.month, min(seen.day, 28))
    return None, None


def _judged(labels: list[str], *, by_hand: bool) -> tuple[tuple[JudgedFinding, ...], dict[str, bool]]:
    words = (Judgement.ACCEPTED, Judgement.REJECTED, Judgement.ADDED)
    words = (Judgement.ADDED,) * 3 if by_hand else words
    judged = tuple(JudgedFinding(*pair) for pair in zip(labels, words, strict=False))
    return judged, {item.label: item.judgement is not Judgement.REJECTED for item in judged}


def _result(route: Route, labels: list[str]) -> FindingsResult:
    """The model found the labels and, unasked, one that nobody judged."""
    found = tuple(sample.finding(label, 0.83) for label in (*labels[:2], UNJUDGED))
    return replace(sample.RESULT, route=route, findings=(*found, sample.finding("Edema", 0.43)))


def _draft(language: Language, labels: list[str], present: dict[str, bool], *, by_hand: bool) -> Draft:
    turkish = language is Language.TR
    kept, loose = (
        Passage(name, language, PassageKind.FOLLOW_UP, None, "İzlem", "Metin.", source)
        for name, source in (("cited", SOURCE), ("loose", UNCITED))
    )
    basis: Any = Basis(BasisKind.FINDING, labels[0], 0.83)
    words = {
        Section.TECHNIQUE: "PA grafi & şablon." if turkish else "PA view & template.",
        Section.FINDINGS: "Kalibrasyon: ğüşıöç ^ | ~ ölçüldü.",
        Section.RECOMMENDATION: "İzlem önerilir." if turkish else "Follow-up is advised.",
    }
    evidence: dict[Section, tuple[str, ...]] = {} if by_hand else {Section.RECOMMENDATION: ("passage:cited",)}
    sentences = tuple(DraftSentence(text, part, evidence.get(part, ())) for part, text in words.items())
    form = {True: "{} izlendi.", False: "{} izlenmedi."} if turkish else {True: "{}.", False: "No {}."}
    said = [form[there].format(label_name(label, language)) for label, there in present.items()]
    stated = tuple(DraftSentence(text, Section.IMPRESSION) for text in said)
    sentences = sentences[:2] + stated + sentences[2:]
    return Draft(language, sentences, () if by_hand else (basis,), (kept, loose))
