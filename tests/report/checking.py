"""One sentence before the grounding check."""

from __future__ import annotations

from tests.report.made import facts
from tetkik.language import Language
from tetkik.report.facts import Facts
from tetkik.report.grounding import check_draft
from tetkik.values import Draft, DraftSentence, Fault, Passage, PassageKind, Section, Side

TR, EN = Language.TR, Language.EN
STATES = {
    "Effusion": "certain",
    "Cardiomegaly": "probable",
    "Nodule": "certain",
    "Pneumothorax": "absent",
    "Consolidation": "absent",
    "Mass": "open",
}
FACTS = facts(STATES, sides={"Effusion": Side.LEFT})
COMPARED = facts(
    {**STATES, "Edema": "absent"}, prior={"Effusion": "absent", "Cardiomegaly": "certain", "Edema": "certain"}
)
HERE = "finding:Effusion"


def passage(label: str | None = "Effusion", text: str = "Kontrol grafisi önerilir.") -> Passage:
    return Passage("p-1", TR, PassageKind.FOLLOW_UP, label, "Öneri", text, "Kaynak 2020")


def checked(
    text: str,
    language: Language = TR,
    *,
    evidence: tuple[str, ...] = (HERE,),
    section: Section = Section.FINDINGS,
    known: Facts = FACTS,
    passages: tuple[Passage, ...] = (),
) -> DraftSentence:
    sentence = DraftSentence(text, section, evidence)
    (only,) = check_draft(Draft(language, (sentence,), known.bases(), passages), known).sentences
    return only


def faults(*args, **more) -> set[Fault]:
    return {mark.fault for mark in checked(*args, **more).marks}
