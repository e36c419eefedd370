"""A report for tests of documents: Turkish letters, awkward characters, every kind of statement."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from PIL import Image

from tetkik.language import Language, Sentence
from tetkik.values import (
    Basis,
    BasisKind,
    Certainty,
    Draft,
    DraftSentence,
    Finding,
    FindingsResult,
    Hospital,
    Identity,
    ImageTags,
    Passage,
    PassageKind,
    ReportContent,
    ReportDocument,
    ReportState,
    Route,
    Section,
    Sex,
    Side,
    Signature,
    ThresholdOn,
    Withdrawal,
    WithdrawalReason,
)

TAGS = ImageTags(modality="DX", body_part="CHEST", sop_class="1.2.840.10008.5.1.4.1.1.1.1")
CREATED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WITHDRAWAL = Withdrawal(
    WithdrawalReason.WRONG_PATIENT,
    "Başka bir hastanın grafisi için dikte edildi & imzalandı.",
    Signature("Gül Işık", "Prof. Dr.", "654321", signed_at=CREATED + timedelta(hours=2)),
)
IDENTITY = Identity(
    patient_id="4711|A^B",
    patient_name="ŞAHİN^Gülçin Işıl^^Uzm.",
    birth_date="19610423",
    sex=Sex.FEMALE,
    age_years=64.0,
    accession="ACC~42",
    study_date="20260304",
    study_uid="1.2.826.0.1.3680043.8.498.1",
    series_uid="1.2.826.0.1.3680043.8.498.2",
    instance_uid="1.2.826.0.1.3680043.8.498.3",
)


def finding(label: str, probability: float, *, rules_out: bool = False) -> Finding:
    """An assessed finding with its threshold at one half."""
    return Finding(
        label,
        True,
        probability,
        probability,
        0.5,
        ThresholdOn.PROBABILITY,
        probability >= 0.5,
        rules_out=rules_out,
    )


RESULT = FindingsResult(
    path="film.dcm",
    route=Route.CHEST,
    suitable=True,
    reasons=(),
    flaws=(),
    screen=0.93,
    findings=(
        finding("Effusion", 0.83),
        finding("Cardiomegaly", 0.95),
        finding("Pneumothorax", 0.01, rules_out=True),
        finding("Mass", 0.2),
        Finding("Tuberculosis", False),
    ),
    model="findings-test 1.0",
    sha256="ab" * 32,
)
PASSAGE = Passage(
    "effusion-followup-tr",
    Language.TR,
    PassageKind.FOLLOW_UP,
    "Effusion",
    "İzlem",
    "Klinik bulgularla birlikte değerlendirilmesi önerilir.",
    "Örnek E. Göğüs radyolojisi, 2020 & sonrası",
)


def draft(language: Language = Language.TR, *, exercise: bool = False) -> Draft:
    """A draft with a sentence in each part."""
    turkish = language is Language.TR
    effusion = Basis(BasisKind.FINDING, "Effusion", 0.83, Side.LEFT)
    heart = Basis(BasisKind.FINDING, "Cardiomegaly", 0.95)
    no_air = Basis(BasisKind.ABSENCE, "Pneumothorax")
    image = Basis(BasisKind.TECHNIQUE, "image")
    passage = f"passage:{PASSAGE.id}"
    sentences = (
        DraftSentence(
            "PA akciğer grafisi." if turkish else "PA chest radiograph.", Section.TECHNIQUE, (image.id,)
        ),
        DraftSentence(
            "Solda plevral efüzyon büyük olasılıkla mevcuttur."
            if turkish
            else "There is probably a left pleural effusion.",
            Section.FINDINGS,
            (effusion.id,),
            Certainty.PROBABLE,
        ),
        DraftSentence(
            "Kalp gölgesi büyümüştür." if turkish else "The heart is enlarged.",
            Section.FINDINGS,
            (heart.id,),
            Certainty.CERTAIN,
        ),
        DraftSentence(
            "Pnömotoraks izlenmemiştir." if turkish else "There is no pneumothorax.",
            Section.FINDINGS,
            (no_air.id,),
        ),
        DraftSentence(
            "Sol plevral efüzyon ve kardiyomegali." if turkish else "Left pleural effusion and cardiomegaly.",
            Section.IMPRESSION,
            (effusion.id, heart.id),
            Certainty.PROBABLE,
        ),
        DraftSentence(
            "Klinik bulgularla birlikte değerlendirilmesi önerilir."
            if turkish
            else "Correlation with clinical findings is advised.",
            Section.RECOMMENDATION,
            (effusion.id, passage),
        ),
    )
    return Draft(
        language,
        sentences,
        (effusion, heart, no_air, image),
        (PASSAGE,),
        model=RESULT.model,
        notices=(Sentence("The language model did not answer in time."),),
        exercise=exercise,
    )


def document(
    state: ReportState = ReportState.DRAFT, language: Language = Language.TR, **changes: object
) -> ReportDocument:
    """The report as a document of some state; a withdrawn one was signed as final."""
    signature = Signature("Ömer Çağrı Ünsal", "Uzm. Dr.", "123456", signed_at=CREATED)
    withdrawal = WITHDRAWAL if state is ReportState.WITHDRAWN else None
    state = ReportState.FINAL if withdrawal is not None else state
    values = {
        "id": "7f3a2c10-0000-4000-8000-000000000001",
        "result": RESULT,
        "identity": IDENTITY,
        "tags": TAGS,
        "hospital": Hospital("Örnek Üniversitesi Hastanesi", "Radyoloji", "Çınar Sok. 1, İzmir"),
        "state": state,
        "created": CREATED,
        "withdrawal": withdrawal,
        "signature": None if state is ReportState.DRAFT else signature,
    }
    content = {name: changes.pop(name) for name in ("draft", "measurements") if name in changes}
    values["content"] = ReportContent(**({"draft": draft(language)} | content))  # type: ignore[arg-type]
    return ReportDocument(**(values | changes))  # type: ignore[arg-type]


def picture(mode: str = "L", shade: int | tuple[int, ...] = 90, size: tuple[int, int] = (120, 101)) -> bytes:
    """A picture of one shade as a PNG."""
    buffer = io.BytesIO()
    Image.new(mode, size, shade).save(buffer, "PNG")
    return buffer.getvalue()
