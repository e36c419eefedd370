"""What reads free text, and sentences to begin with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests.report.checking import FACTS
from tetkik.integrations.dicom.worklist import matches_wildcards
from tetkik.language import Language
from tetkik.privacy import mask
from tetkik.report.deidentify import without_identifiers
from tetkik.report.grounding import check_text
from tetkik.report.labeler import read_report
from tetkik.report.spelling import Speller
from tetkik.report.spelling.dictionary import Dictionary
from tetkik.service.drafts.dictation import punctuated
from tetkik.triage.age_and_duration import read_durations, read_person
from tetkik.triage.text_quality import unreadable_reason
from tetkik.triage.urgency import assess
from tetkik.turkish import fold
from tetkik.values import Identity

_ROOT = Path(__file__).parents[1]

_NAMES = Identity(patient_name="AAAA^AAAAA^AAAAAAAAA")
TEXT_READERS: dict[str, Callable[[str], object]] = {
    "urgency": assess,
    "labeler": read_report,
    "grounding": lambda text: check_text(text, FACTS),
    "identifiers": without_identifiers,
    "names made of others": lambda text: without_identifiers(f"{text}q", _NAMES),
    "masking": mask,
    "quality": lambda text: unreadable_reason(text, most_characters=10**9),
    "wildcards": lambda text: matches_wildcards(text[:100].replace(" ", "*"), text),
    "spoken signs": lambda text: [punctuated(text, language) for language in Language],
    "spelling": lambda text: Speller(Dictionary({}, {})).check([text]),
    "age": lambda text: (read_person(fold(text)), read_durations(fold(text))),
}
"""What reads free text: it refuses nothing, and its work grows with the length alone (`operations.py`)."""


@cache
def sentences() -> list[str]:
    """Complaints and reports, one sentence each."""
    complaints = (_ROOT / "triage" / "urgency_sentences.tsv").read_text("utf-8").splitlines()
    reports = [
        "Sağda plevral efüzyon vardır.",
        "Solda pnömotoraks izlenmedi, kardiyomegali yoktur.",
        "A 3 cm nodule in the right upper lobe, unchanged since 2019.",
        "No focal consolidation, effusion or pneumothorax.",
        "Öykü: Dr. Ayşe Yılmaz 10000000146 numaralı hastayı 0532 123 45 67 ile aradı.",
        "Baş ağrısı yok, ama annemde göğüs ağrısı vardı; 3 yaşındaki çocuğum 2 gündür ateşli.",
    ]
    return [*(line.split("\t")[-1] for line in complaints if line.strip()), *reports * 20]
