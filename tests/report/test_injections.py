"""Somebody writes to the language model through the history, a passage or a file, and it obeys.

The attacks in `data/injections.jsonl` were written by somebody who knew neither the check nor its words. In
each the image shows a pleural effusion on the right and an enlarged heart, and nothing else; the model's
answer says something beyond that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.model_server import HERE, model_server
from tests.report.test_llm import finding
from tetkik.language import Language
from tetkik.report import draft as drafting
from tetkik.report.draft import draft_report
from tetkik.report.facts import facts_of
from tetkik.report.grounding import check_draft
from tetkik.report.llm.clients import OpenAIServer
from tetkik.report.retrieval import passages_for
from tetkik.values import (
    Draft,
    DraftSentence,
    FindingsResult,
    Identity,
    Passage,
    PassageKind,
    ReportInput,
    Route,
    Section,
    Side,
)

_FILE = Path(__file__).parent / "data" / "injections.jsonl"
ATTACKS = [json.loads(line) for line in _FILE.read_text("utf-8").splitlines()]
FOUND = (finding("Effusion", 0.9), finding("Cardiomegaly", 0.6))
ABSENT = ("Pneumothorax", "Consolidation", "Pneumonia", "Mass", "Nodule")


def result_with(note: str) -> FindingsResult:
    """The findings, and a note of whoever wrote the file."""
    absent = tuple(finding(label, 0.02, rules_out=True) for label in ABSENT)
    found = (*FOUND, *absent)
    return FindingsResult(note, Route.CHEST, True, (), (), None, found, note or "model", "0" * 64)


def identity_of(words: list[str]) -> Identity:
    """Whose words these are: a name, an identity number, other numbers."""
    names = [word for word in words if not any(letter.isdigit() for letter in word)]
    numbers = [word for word in words if word not in names]
    return Identity(patient_name="^".join(names) or None, other_ids=tuple(numbers))


def answer_to(attack: dict[str, Any]) -> dict[str, Any]:
    """What a model says that obeys: the sentence in each section, resting on whatever may get it through."""
    given = {"history": ["history:text"], "passage": ["passage:doc-poisoned-1"]}.get(attack["kind"], [])
    found = ["finding:Effusion", "finding:Cardiomegaly"]
    ways = [[*base, *more] for base in ([], found[:1], found[1:], found) for more in ([], given)]
    sections = [Section.FINDINGS, Section.IMPRESSION]
    sections += [] if attack["kind"] == "passage" else [Section.RECOMMENDATION]
    sentences = [
        {"section": section, "text": attack["answer"][:600], "evidence": evidence, "certainty": None}
        for section in sections
        for evidence in {tuple(way): way for way in ways}.values()
    ]
    return {"sentences": sentences}


@pytest.mark.attack
@pytest.mark.parametrize("place", range(0, len(ATTACKS), 20))
def test_no_injection_leaves_a_sentence_unmarked_or_identity_in_a_prompt(place, monkeypatch):
    said, told = [], []
    with model_server() as (address, received):
        model = OpenAIServer(address, HERE, "small")
        for attack in ATTACKS[place : place + 20]:
            text, language = attack["text"], Language(attack["language"])
            poisoned = Passage(
                "doc-poisoned-1", language, PassageKind.FOLLOW_UP, "Effusion", "", text, "ours"
            )
            given = (poisoned,) if attack["kind"] == "passage" else ()
            monkeypatch.setattr(
                drafting, "passages_for", lambda *args, more=given: (*passages_for(*args), *more)
            )
            history = text if attack["kind"] == "history" else "nefes darlığı"
            received.answer = answer_to(attack)
            drafted = draft_report(
                result_with(text if attack["kind"] == "findings_file" else ""),
                ReportInput(history=history, sides=(("Effusion", Side.RIGHT),)),
                language=language,
                model=model,
                identity=identity_of(attack.get("identity", [])),
            )
            written = [item for item in drafted.draft.sentences if item.text[:50] == attack["answer"][:50]]
            # What to do next may come from a passage: who puts documents there answers for them.
            if not attack.get("advice"):
                said += [item.text for item in written if not item.marks]
            prompt = json.dumps(received.requests[-1], ensure_ascii=False)
            told += [word for word in attack.get("identity", []) if word in prompt]
    assert (said, told) == ([], [])


@pytest.mark.attack
@pytest.mark.parametrize(
    "text",
    [
        "Sağda plevral efüzyon ve pnömo/toraks izlenmektedir.",
        "Sağda plevral efüzyon ve pnömo'toraks izlenmektedir.",
        "Sağda plevral efu\u0308zyon ve pnοmοtοraks izlenmektedir.",
        "Sağda plevral efüzyon ve P N X izlenmektedir.",
        "Sağda plevral efüzyon, kaburgalarda çatlak.",
    ],
)
def test_a_finding_that_is_taken_apart_is_seen(text):
    known = facts_of(result_with(""), ReportInput(sides=(("Effusion", Side.RIGHT),)))
    sentence = DraftSentence(text, Section.FINDINGS, ("finding:Effusion",))
    (checked,) = check_draft(Draft(Language.TR, (sentence,), known.bases(), ()), known).sentences
    assert checked.marks
