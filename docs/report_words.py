"""The words of a report for its reference page: what each means, checked against the code.

`generate.py` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Any

from tetkik.language import Language, Sentence
from tetkik.report.draft import SLOTS, draft_report
from tetkik.report.facts import CERTAIN, PROBABLE
from tetkik.values import (
    BasisKind,
    Certainty,
    Decision,
    Draft,
    Fault,
    Finding,
    FindingsResult,
    Mark,
    PassageKind,
    ReportInput,
    Route,
    Section,
    Side,
    ThresholdOn,
)

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Titles and rows."""

MEANINGS: dict[type[StrEnum], dict[str, str]] = {
    Section: {
        "technique": "what the image is, and the clinical question where it names a finding and nothing else",
        "findings": "what is seen, what is not, and what has changed since an earlier image",
        "impression": "at most three of the findings again, the most urgent first",
        "recommendation": "one: what is usually recommended for the most urgent, from its passage",
    },
    BasisKind: {
        "finding": "a label whose `asserts` is true, with its probability: the only right to state it",
        "absence": "a label whose `rules_out` is true: the only right to deny",
        "not_assessed": "labels that the model was never taught, or may neither assert nor deny",
        "passage": "a passage of the library or of a hospital's own document, with its reference",
        "quality": "a warning of the quality gate, or what was done to the image",
        "technique": "what kind of image it is, and what its file says of how it was made",
        "history": "the clinical question; data, never an instruction",
        "prior": "the findings of an earlier image",
        "caption": "the words of a captioner, quoted as such",
    },
    Fault: {
        "not_found": "asserts what was not found",
        "denies_found": "denies what was found",
        "denies_unproven": "denies what the model has no measured right to deny",
        "side": "names another side than the finding's, or one that nobody measured",
        "measurement": "states a number or a size that nobody measured",
        "citation": "cites what does not exist, or what does not hold it",
        "comparison": "compares with an earlier image that was not given, or wrongly",
        "foreign": "is no sentence of a report: an instruction, an address, a name, code",
    },
    Decision: {
        "kept": "a person lets the sentence stand",
        "removed": "a person takes it out",
    },
    PassageKind: {
        "definition": "what it is",
        "signs": "how it looks",
        "differential": "what else looks so",
        "follow_up": "what is usually recommended",
        "limits": "what an image or a model of this kind cannot show",
        "hospital": "from a hospital's own document",
    },
}
KEYS = {
    "language": "of the sentences: `tr` or `en`",
    "writer": "`composer`, or the name of the language model",
    "model": "the model of findings; null for an exercise",
    "exercise": "true for an example about no patient, which can never be signed",
    "notices": "what its reader must know: of the image, why nothing is stated, a language model down",
    "not_assessed": "labels that the model was never taught, for one line under the report",
    "sentences": "in reading order",
    "sentences[].section": "where it stands",
    "sentences[].text": "as it is read",
    "sentences[].evidence": "ids of its evidence, of `evidence` and of `passages`",
    "sentences[].certainty": "how sure it sounds; null where it asserts no finding",
    "sentences[].marks": "what the grounding check says against it",
    "sentences[].marks[].fault": "the code of the fault",
    "sentences[].marks[].reason": "the same in words, in the draft's language",
    "sentences[].marks[].start": "first character of the words in `text`",
    "sentences[].marks[].end": "after the last one",
    "sentences[].marks[].decision": "of a person; null as long as nobody decided",
    "evidence": "everything that a sentence may cite but passages",
    "evidence[].id": "`kind:key`, as a sentence cites it",
    "evidence[].kind": "what it is",
    "evidence[].key": "the label, or the name of the input",
    "evidence[].probability": "of a finding, calibrated; else null",
    "evidence[].side": "of a finding whose localisation was measured and passes; else null",
    "passages": "those that were cited",
    "passages[].id": "a sentence cites it as `passage:` and this",
    "passages[].title": "a few words",
    "passages[].text": "what it says",
    "passages[].source": "the literature reference, or the hospital's document",
}


def parts() -> list[str | Table]:
    """The page, part by part: texts, and tables as (titles, rows)."""
    return [
        "# The words of a report",
        "What stands in a draft, in `draft.json`, and in what `tetkik report check` says; "
        "[drafting](../how-to/report.md) says how to get one.",
        "## Sections",
        _words(Section),
        "## The evidence of a sentence",
        "Every sentence of the composer cites at least one of these; a sentence of a language model that "
        "cites nothing that holds it is marked.",
        _words(BasisKind),
        "## How sure a sentence sounds",
        "A finding is stated only from the operating point on that its model's bundle gives for drafts "
        "(`asserts`), chosen for precision; what is positive below it is suggested beside the draft. Where "
        "the bundle shows that a surer word is the more often right on images that the model had not learned "
        "(`graded`), the word follows the calibrated probability; where not, as with the model that ships, "
        "`possible` stands for all three:",
        (("word", "probability", "in Turkish", "in English"), _scale()),
        "Few words, each tied to a range, is what D. Panicek and H. Hricak propose for radiology reports "
        "(\"How sure are you, doctor? A standardized lexicon to describe the radiologist's level of "
        'certainty", *AJR* 207 (2016) 2). Their five words are cut down to three: the two for what is '
        "unlikely have no place where only what reaches its operating point is stated. A score that nobody "
        "has calibrated, and one in the band in which an imported model is not to be trusted, is "
        "`possible` whatever its value.",
        "## Faults",
        "What the grounding check can say against a sentence; its mark stands over the words it means.",
        _words(Fault),
        "A draft with a mark that has no decision cannot be signed. Decisions:",
        _words(Decision),
        "## Kinds of passages",
        _words(PassageKind),
        "## Sides",
        "`left`, `right`, `both`: of the patient, not of the picture. No model that ships localises well "
        "enough to state one; a hospital's own may.",
        "## draft.json",
        "The object that `tetkik report draft --json` prints, and `draft.json` holds. It names nobody. "
        "Keys may be added in later versions, never renamed.",
        (("key", "meaning"), _keys()),
        "## Slots of a template",
        "For `tetkik report draft --template`; a single brace is written twice.",
        (("slot", "what fills it"), [(f"`{{{name}}}`", what) for name, what in SLOTS.items()]),
    ]


def _words(kind: type[StrEnum]) -> Table:
    """Every member of a kind; one that is not described here, or one that is no more, is a KeyError."""
    described = dict(MEANINGS[kind])
    rows: list[tuple[str, ...]] = [(f"`{member.value}`", described.pop(member.value)) for member in kind]
    if described:
        raise KeyError(f"{kind.__name__} has no {', '.join(described)}")
    return ("code", "meaning"), rows


def _scale() -> list[tuple[str, ...]]:
    """Each word with its range and the sentence about an effusion that is so sure."""
    ranges = {
        Certainty.CERTAIN: (f"{CERTAIN:.2f} and more", 0.95),
        Certainty.PROBABLE: (f"{PROBABLE:.2f} to {CERTAIN:.2f}", 0.75),
        Certainty.POSSIBLE: (f"below {PROBABLE:.2f}", 0.45),
    }
    return [
        (f"`{word.value}`", ranges[word][0], *(_said(ranges[word][1], item) for item in Language))
        for word in Certainty
    ]


def _example(probability: float, language: Language) -> Draft:
    found = Finding("Effusion", True, 0.9, probability, 0.4, ThresholdOn.PROBABILITY, True)
    result = FindingsResult("", Route.CHEST, True, (), (), None, (found,), "", "")
    inputs = ReportInput(sides=(("Effusion", Side.LEFT),))
    return draft_report(result, inputs, language=language).draft


def _said(probability: float, language: Language) -> str:
    draft = _example(probability, language)
    return next(item.text for item in draft.section(Section.FINDINGS) if "finding:Effusion" in item.evidence)


def _keys() -> list[tuple[str, ...]]:
    """The keys of a draft, which must be those that are described here."""
    draft = _example(0.95, Language.EN)
    mark = Mark(Fault.SIDE, Sentence("No side was measured."), 0, 1)
    marked = replace(draft.sentences[0], marks=(mark,))
    found = set(_paths(replace(draft, sentences=(marked, *draft.sentences[1:])).as_json(), ""))
    if found != set(KEYS):
        raise ValueError(f"keys of a draft that are not documented, or are no more: {found ^ set(KEYS)}")
    return [(f"`{key}`", meaning) for key, meaning in KEYS.items()]


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            place = f"{path}.{key}".removeprefix(".")
            yield place
            yield from _paths(inner, place)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, f"{path}[]")
