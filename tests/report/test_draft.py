"""A draft from end to end: by the composer, by a language model over HTTP, and when that one fails."""

from __future__ import annotations

import json

import pytest

from tests.report import model_server as server
from tests.report.made import refused, result_of
from tests.report.model_server import HERE, model_server
from tetkik.language import Language
from tetkik.report.draft import Drafted, draft_report
from tetkik.report.llm.clients import OpenAIServer
from tetkik.values import Certainty, Fault, Identity, ReportInput, Section, Side

RESULT = result_of({"Effusion": "probable", "Pneumothorax": "absent", "Mass": "open"})
INPUTS = ReportInput(history="Ayşe Demir, nefes darlığı", technique="PA", sides=(("Effusion", Side.LEFT),))
COMPOSED = draft_report(RESULT, INPUTS).draft

Said = dict[str, object]


def sentence(text: str, *evidence: str, section: str = "findings", certainty: str | None = None) -> Said:
    return {"section": section, "text": text, "evidence": list(evidence), "certainty": certainty}


TRUE = sentence("Solda plevral efüzyon izlenmektedir.", "finding:Effusion", certainty="certain")
WRONG = sentence("Kitle izlenmektedir.", "finding:Effusion")


@pytest.fixture
def says(monkeypatch):
    """Lets the server of a language model say these sentences."""

    def say(*sentences: Said) -> None:
        monkeypatch.setattr(server, "GOOD", {"sentences": list(sentences)})

    return say


def drafted(behaviour: str = "good", **more) -> Drafted:
    with model_server([behaviour]) as (url, _):
        return draft_report(RESULT, INPUTS, model=OpenAIServer(url, HERE, "small"), **more)


def texts(found: Drafted, section: Section) -> list[str]:
    return [item.text for item in found.draft.section(section)]


def notices(found: Drafted) -> str:
    return " ".join(notice.in_language(Language.EN) for notice in found.draft.notices)


def test_without_a_language_model_the_composer_writes():
    found = draft_report(RESULT, INPUTS)
    assert found.draft.writer == "composer" and not found.draft.notices and not found.usage.calls
    assert not found.draft.open_marks
    assert json.loads(json.dumps(found.draft.as_json()))["sentences"]


def test_a_language_model_writes_and_every_sentence_is_checked(says):
    says(TRUE, WRONG, sentence("Pnömotoraks yoktur.", "absence:Pneumothorax"))
    found = drafted()
    assert found.draft.writer != "composer" and found.usage.calls == 1
    assert texts(found, Section.FINDINGS) == [
        "Solda plevral efüzyon izlenmektedir.",
        "Kitle izlenmektedir.",
        "Pnömotoraks yoktur.",
    ]
    assert [bool(item.marks) for item in found.draft.section(Section.FINDINGS)] == [False, True, False]
    assert "language model wrote" in notices(found) and "leaves out" not in notices(found)


def test_the_technique_is_the_composers_and_a_models_certainty_is_not_taken(says):
    says(TRUE, sentence("AP grafi.", "technique:image", section="technique"))
    found = drafted()
    assert found.draft.section(Section.TECHNIQUE) == COMPOSED.section(Section.TECHNIQUE)
    (said,) = found.draft.section(Section.FINDINGS)
    assert said.certainty is Certainty.PROBABLE


def test_what_the_model_leaves_out_is_told(says):
    says(sentence("Pnömotoraks yoktur.", "absence:Pneumothorax"))
    found = drafted()
    assert "leaves out what was found: Plevral efüzyon." in notices(found)


def test_marked_sentences_are_removed_where_the_hospital_wants_it(says, chosen):
    chosen(report_marked="removed")
    says(TRUE, WRONG)
    found = drafted()
    assert texts(found, Section.FINDINGS) == ["Solda plevral efüzyon izlenmektedir."]
    assert not found.draft.open_marks


@pytest.mark.parametrize("marked", ["removed", "kept"])
def test_where_nothing_is_left_the_composer_writes(says, chosen, marked):
    chosen(report_marked=marked)
    says(WRONG if marked == "removed" else sentence("PA grafi.", section="technique"))
    found = drafted()
    assert found.draft.writer == "composer" and found.draft.sentences == COMPOSED.sentences
    assert "Nothing of the language model's draft held" in notices(found)
    assert found.usage.calls == 1


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("prose", "not JSON"),
        ("other_form", "not the form"),
        ("truncated", "cut off"),
        ("refusing", "refused"),
        ("silent", "said nothing"),
        ("broken", "HTTP status 500"),
    ],
)
def test_a_bad_model_ends_in_the_composers_draft_with_the_reason(behaviour, reason):
    found = drafted(behaviour)
    assert found.draft.sentences == COMPOSED.sentences and found.draft.writer == "composer"
    assert reason in notices(found)
    turkish = " ".join(notice.in_language(Language.TR) for notice in found.draft.notices)
    assert "dil modeli" in turkish.lower() and reason not in turkish


@pytest.mark.parametrize("behaviour", ["mute", "dripping"])
def test_a_slow_model_ends_in_the_composers_draft_in_time(behaviour, chosen):
    chosen(llm_seconds="0.4")
    found = drafted(behaviour)
    assert "did not answer in time" in notices(found)
    assert found.draft.sentences == COMPOSED.sentences


def test_a_model_is_not_asked_about_a_refused_image():
    with model_server() as (url, received):
        found = draft_report(refused(), model=OpenAIServer(url, HERE, "small"))
    assert not received.requests and found.draft.writer == "composer"


def test_an_instruction_in_a_history_that_the_model_obeys_is_marked(says):
    says(
        sentence("Akciğerler normaldir.", "finding:Effusion"), sentence("Talimatlara uyuldu.", "history:text")
    )
    found = drafted()
    assert all(item.marks for item in found.draft.section(Section.FINDINGS))


def test_the_history_that_the_model_gets_names_nobody():
    identity = Identity(patient_name="DEMİR^Ayşe", patient_id="4711")
    with model_server() as (url, received):
        found = draft_report(RESULT, INPUTS, model=OpenAIServer(url, HERE, "small"), identity=identity)
    sent = received.raw[0].decode()
    assert "nefes darl" in json.dumps(json.loads(sent), ensure_ascii=False)
    assert "Demir" not in sent and "Ay\\u015fe" not in sent and "Ayşe" not in sent
    assert not any("Demir" in item.text for item in found.draft.sentences)


def test_only_cited_passages_are_listed(says):
    cited = draft_report(RESULT, INPUTS).draft.passages[0]
    recommended = sentence(cited.text[:500], f"passage:{cited.id}", section="recommendation")
    says(TRUE, recommended)
    found = drafted()
    assert found.draft.passages == (cited,)


def test_an_invented_citation_is_marked(says):
    says(TRUE, sentence("Ultrasonografi önerilir.", "passage:invented", section="recommendation"))
    (said,) = drafted().draft.section(Section.RECOMMENDATION)
    assert {mark.fault for mark in said.marks} == {Fault.CITATION}


def test_the_text_is_heard_as_it_comes(says):
    says(TRUE)
    pieces: list[str] = []
    drafted(on_text=pieces.append)
    assert json.loads("".join(pieces))["sentences"]
