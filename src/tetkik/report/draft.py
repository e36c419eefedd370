"""A draft from the findings: written by the composer or a language model, checked sentence by sentence."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from tetkik.choices import Marked
from tetkik.errors import DataError, UsageError
from tetkik.language import Language, Sentence, translate
from tetkik.report.composer.compose import cited, compose
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding.check import check_draft, without_marked
from tetkik.report.labeler.read import UNPAIRED
from tetkik.report.llm.interface import LanguageModel, ModelFault, Usage
from tetkik.report.retrieval.search import passages_for
from tetkik.settings import settings
from tetkik.turkish import flat
from tetkik.values.finding import Finding, FindingsResult, ThresholdOn
from tetkik.values.finding_labels import BRAIN_LABELS, FINDING_LABELS, NORMAL_LABELS, label_name, route_of
from tetkik.values.radiograph import Identity, Route
from tetkik.values.report import Certainty, Draft, DraftSentence, ReportInput, Section, Side

_NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft with what it came from."""

    draft: Draft
    facts: Facts
    usage: Usage = _NO_USAGE


def draft_report(
    result: FindingsResult,
    inputs: ReportInput | None = None,
    *,
    prior: FindingsResult | None = None,
    language: Language = Language.TR,
    model: LanguageModel | None = None,
    identity: Identity | None = None,
    image: bytes | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Drafted:
    """Draft a report.

    A language model writes findings, impression and recommendation; the technique with its warnings is always
    the composer's, and how sure a sentence is said to be follows from what it cites. What was found and is
    left out is listed in a notice. Where the model is down, slow or not to be understood, the composer's
    draft comes in time, with a notice.

    Args:
        prior: the findings of an earlier image of the same patient.
        model: the language model that writes it; None is the composer.
        identity: of the patient, taken out of every free text that a language model gets.
        image: a PNG that names nobody; dropped where the model may get none. What it adds to the findings is
            marked, and a finding that the labeler knows stays where marked sentences are else removed.
    """
    if model is None or model.image_host is None:
        image = None
    facts = facts_of(result, inputs, prior=prior)
    labels = [item.label for item in facts.abnormal]
    passages = passages_for(labels, language)
    composed = compose(facts, passages, language)
    if model is None or not (facts.present or facts.absent or image):
        return Drafted(check_draft(composed, facts), facts)
    from tetkik.report.llm.writing import write

    try:
        written = write(
            model,
            facts,
            passages,
            language,
            seconds=settings().llm_seconds,
            identity=identity,
            image=image,
            on_text=on_text,
        )
    except ModelFault as fault:
        reason = Sentence(fault.template, fault.values)
        notice = Sentence(
            "The composer wrote this draft instead of the language model: {reason}", {"reason": reason}
        )
        draft = replace(composed, notices=(*composed.notices, notice))
        return Drafted(check_draft(draft, facts), facts)
    notice = Sentence("A language model wrote this draft: {name}.", {"name": model.name})
    if image is not None:
        notice = Sentence(
            "A language model that was given the image wrote this draft: {name}. The check marks what it "
            "adds to the findings, as far as it sees it.",
            {"name": model.name},
        )
    # How the image was made and what was asked is no matter of wording: those sentences are the composer's.
    own = tuple(item for item in written.sentences if item.section is not Section.TECHNIQUE)
    draft = Draft(
        language,
        (*composed.section(Section.TECHNIQUE), *(_with_certainty(item, facts) for item in own)),
        facts.bases(),
        cited(passages, own),
        writer=model.name,
        model=result.model,
        notices=(*composed.notices, notice),
        not_assessed=facts.not_assessed,
    )
    checked = check_draft(draft, facts)
    if settings().report_marked is Marked.REMOVED:
        checked = without_marked(checked, keep_added=image is not None)
        checked = replace(checked, passages=cited(checked.passages, checked.sentences))
    if not checked.section(Section.FINDINGS) and not checked.section(Section.IMPRESSION):
        notice = Sentence("Nothing of the language model's draft held; the composer wrote this one.")
        composed = replace(composed, notices=(*composed.notices, notice))
        return Drafted(check_draft(composed, facts), facts, written.usage)
    if left_out := _left_out(checked, facts):
        names = ", ".join(label_name(label, language) for label in left_out)
        notice = Sentence(
            "The language model's draft leaves out what was found: {findings}.", {"findings": names}
        )
        checked = replace(checked, notices=(*checked.notices, notice))
    return Drafted(checked, facts, written.usage)


def _left_out(draft: Draft, facts: Facts) -> tuple[str, ...]:
    """What was found and no sentence of findings or impression cites."""
    stated = {
        name
        for sentence in draft.sentences
        if sentence.section in (Section.FINDINGS, Section.IMPRESSION)
        for name in sentence.evidence
    }
    return tuple(item.label for item in facts.abnormal if item.basis.id not in stated)


def _with_certainty(sentence: DraftSentence, facts: Facts) -> DraftSentence:
    """The sentence with the certainty of what it cites, the least of several: a model's word is not taken."""
    cited = [item.certainty for item in facts.present if item.basis.id in sentence.evidence]
    scale = list(Certainty)
    return replace(sentence, certainty=max(cited, key=scale.index) if cited else None)


# Teaching mode: the report of an image that does not exist, for chosen findings, marked as an exercise.


_HERE, _GONE, _THRESHOLD = 0.95, 0.02, 0.5


def parse_example(text: str) -> tuple[str, Side | None]:
    """`Effusion` or `Effusion:left` as a label and a side; a label also by its clinical name.

    Raises UsageError where there is no such label or side, and for a side of what has none.
    """
    name, _, side = (flat(part.strip()) for part in text.partition(":"))
    label = _labels().get(name.replace("_", " "))
    if label is None:
        raise UsageError(
            "{name} is no finding; choose from {known}.",
            name=text.partition(":")[0].strip(),
            known=", ".join(FINDING_LABELS),
        )
    if side and side not in list(Side):
        raise UsageError(
            "{side} is no side; write left, right or both, as in {label}:left.", side=side, label=label
        )
    if side and label in UNPAIRED:
        raise UsageError("{label} has no side; name it alone.", label=label)
    return label, Side(side) if side else None


def _labels() -> dict[str, str]:
    """Every label by its own name and by its names in both languages."""
    spoken = {flat(label_name(label, one)): label for one in Language for label in FINDING_LABELS}
    return spoken | {flat(label.replace("_", " ")): label for label in FINDING_LABELS}


def example_report(findings: Sequence[tuple[str, Side | None]], language: Language) -> Draft:
    """The composer's report of an invented image with just these findings, and all others ruled out.

    None give a normal image; UsageError where they are of chest and brain, or a normal image has a finding.
    """
    chosen = dict(findings)
    if len(chosen) > 1 and set(chosen) & set(NORMAL_LABELS):
        raise UsageError(
            "A normal image has no findings; choose {label} alone or leave it out.",
            label=next(iter(set(chosen) & set(NORMAL_LABELS))),
        )
    routes = {route_of(label) for label in chosen}
    if len(routes) > 1:
        raise UsageError("An example is a chest film or a brain MRI slice; choose findings of one of them.")
    route = routes.pop() if routes else Route.CHEST
    if not chosen:
        chosen = {"Normal": None}
    result = FindingsResult(
        path="",
        route=route,
        suitable=True,
        reasons=(),
        flaws=(),
        screen=None,
        findings=tuple(_invented(label, route, label in chosen) for label in FINDING_LABELS),
        model="",
        sha256="",
        graded=True,
    )
    sides = tuple((label, side) for label, side in chosen.items() if side is not None)
    drafted = draft_report(result, ReportInput(technique="PA", sides=sides), language=language)
    return replace(drafted.draft, exercise=True, model=None)


def _invented(label: str, route: Route, here: bool) -> Finding:
    if (label in BRAIN_LABELS) is not (route is Route.BRAIN_MRI):
        return Finding(label, assessed=False)
    probability = _HERE if here else _GONE
    rules_out = not here and label not in NORMAL_LABELS
    return Finding(
        label, True, probability, probability, _THRESHOLD, ThresholdOn.PROBABILITY, here, rules_out
    )


# A hospital's own report: a text with named slots, filled from a draft.


_LARGEST = 200_000
"""Bytes of a file."""
SLOTS = MappingProxyType(
    {
        "technique": "the sentences of that part",
        "findings": "the sentences of that part",
        "impression": "the sentences of that part",
        "recommendation": "the sentences of that part",
        "sources": "the references that were cited, one a line",
        "patient": "the patient's name",
        "patient_id": "the hospital number",
        "birth_date": "the date of birth",
        "study_date": "the date of the study",
        "accession": "the accession number",
        "model": "the model that found the findings",
        "state": "that nobody has signed it",
    }
)
"""Every slot and what fills it."""


def read_template(path: Path) -> str:
    """A template from a file, checked: every slot is one of `SLOTS`, or a DataError says what is wrong."""
    with path.open("rb") as file:
        read = file.read(_LARGEST + 1)  # a pipe or a device does not say how long it is
    if len(read) > _LARGEST:
        raise DataError("The template {file} is too large; give a text of one report.", file=path)
    try:
        text = read.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        wrong = _wrong(text)
    except (UnicodeDecodeError, ValueError):
        raise DataError(
            "The template {file} is no text with slots such as {{findings}}; save it as UTF-8, and write a "
            "single brace twice.",
            file=path,
        ) from None
    if wrong is not None:
        raise DataError(
            "The template {file} has the unknown slot {slot}; known are {known}.",
            file=path,
            slot=wrong,
            known=", ".join(SLOTS),
        )
    return text


def check_slots(text: str) -> None:
    """Raise a DataError unless a template's every slot is one of `SLOTS`."""
    try:
        wrong = _wrong(text)
    except ValueError:
        raise DataError(
            "The template is no text with slots such as {{findings}}; write a single brace twice."
        ) from None
    if wrong is not None:
        raise DataError(
            "The template has the unknown slot {slot}; known are {known}.", slot=wrong, known=", ".join(SLOTS)
        )


def _wrong(text: str) -> str | None:
    """The first slot that does not exist, as it was written.

    Raises:
        ValueError: a brace opens or closes nothing.
    """
    # A slot with a format could ask for a text of any length, one with a dot for what lies inside a value.
    for _, name, form, turned in list(string.Formatter().parse(text)):
        if name is not None and (name not in SLOTS or form or turned):
            return f"{{{name}{'!' + turned if turned else ''}{':' + form if form else ''}}}"
    return None


def fill(template: str, draft: Draft, identity: Identity | None = None) -> str:
    """The template with its slots filled; a part without sentences leaves its slot empty.

    A sentence with a mark that nobody has decided stands behind a sign, and a template without the slot
    `state` gets a last line with it: nobody may take the text for a signed report. Of the identity only what
    the template has a slot for is written.
    """
    who = identity or Identity()
    state = "Exercise: about no patient" if draft.exercise else "Draft: not signed by a radiologist"
    values = {section.value: " ".join(map(_marked, draft.section(section))) for section in Section}
    sources = dict.fromkeys(passage.source for passage in draft.passages)
    values |= {
        "sources": "\n".join(sources),
        "patient": _name(who.patient_name or ""),
        "patient_id": who.patient_id or who.national_id or "",
        "birth_date": _date(who.birth_date or ""),
        "study_date": _date(who.study_date or ""),
        "accession": who.accession or "",
        "model": draft.model or "",
        "state": translate(state, draft.language),
    }
    # Only bare names were allowed, so nothing of an object can be reached.
    filled = template.format_map(values)
    stated = any(slot[1] == "state" for slot in string.Formatter().parse(template))
    return filled if stated else f"{filled.rstrip()}\n\n{values['state']}\n"


def _name(text: str) -> str:
    """`ŞAHİN^Gülçin` as it is spoken: Gülçin ŞAHİN; only the first of its spellings (PS3.5, 6.2.1)."""
    family, _, rest = text.partition("=")[0].partition("^")
    given = " ".join(part for part in rest.split("^")[:2] if part)
    return f"{given} {family}".strip()


def _date(text: str) -> str:
    """DICOM's `YYYYMMDD` as `DD.MM.YYYY`, as in the documents; anything else as it is."""
    if len(text) != len("YYYYMMDD") or not text.isdecimal():
        return text
    return f"{text[6:]}.{text[4:6]}.{text[:4]}"


def _marked(sentence: DraftSentence) -> str:
    return ("[!] " if any(mark.decision is None for mark in sentence.marks) else "") + sentence.text
