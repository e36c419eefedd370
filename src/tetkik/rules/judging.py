"""What judging a finding writes: an accepted one becomes definite, a rejected one loses its words.

Only a model's own words, and those that judging wrote itself, follow; what a person wrote or changed stays,
and gets a hint where it goes against the judgement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tetkik.errors import Conflict, InputError
from tetkik.language import Language
from tetkik.report.composer.compose import definite, definite_impression, phrases
from tetkik.report.facts import ChangeKind
from tetkik.report.labeler.read import read_report
from tetkik.report.labeler.rules import Context, Polarity
from tetkik.report.normals import normal_texts
from tetkik.rules.draft_state import BeforeJudging, DraftState, Working
from tetkik.rules.editing import Change
from tetkik.values.finding import Finding, FindingsResult
from tetkik.values.finding_labels import FINDING_LABELS, NORMAL_LABELS, finding_label
from tetkik.values.report import Author, Basis, BasisKind, Certainty, Draft, DraftSentence, Section, Side
from tetkik.values.states import Judgement

_FOLLOW = frozenset({Author.MACHINE, Author.JUDGED})
_CLAIMS = (Section.FINDINGS, Section.IMPRESSION)
_NUMBER = r"\d{1,4}(?:[.,]\d{1,2})?"
_SIZE = re.compile(rf"({_NUMBER}(?:\s?[x×]\s?{_NUMBER}){{0,2}})\s?(mm|cm)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Detail:
    """What a reader says of a finding that they accept or add: its side and its size, where they give one."""

    side: Side | None = None
    size: str = ""

    def __post_init__(self) -> None:
        if self.size and not _SIZE.fullmatch(self.size.strip()):
            raise InputError("A size is a number with mm or cm, such as 12 mm or 3 x 2 cm; correct it.")

    @property
    def words(self) -> str:
        """The size as a sentence says it, in millimetres where no unit was given; empty without one."""
        found = _SIZE.fullmatch(self.size.strip())
        return f"{found[1]} {(found[2] or 'mm').lower()}" if found else ""


def stated_labels(sentence: DraftSentence) -> tuple[str, ...]:
    """The findings that a sentence leans on, as they were found or as they changed."""
    parts = (name.partition(":") for name in sentence.evidence)
    kinds = (BasisKind.FINDING, BasisKind.PRIOR)
    return tuple(dict.fromkeys(key for kind, _, key in parts if kind in kinds and key != "image"))


def read_labels(text: str, language: Language) -> set[str]:
    """The findings that a text says are there, or may be."""
    return {
        item.label
        for reading in read_report(text, language)
        for item in reading.mentions
        if item.context is Context.CURRENT and item.polarity is not Polarity.ABSENT and not item.implied
    }


def judge(
    labels: Sequence[str],
    judgement: Judgement | None,
    state: DraftState,
    *,
    detail: Detail | None = None,
    sentences_follow: bool = True,
) -> Change:
    """Findings are accepted, rejected or added, or with None that is taken back; the draft's words follow.

    Without `sentences_follow` the words stay as they are. `undo` restores what was before.
    """
    draft, result, machine = state.draft, state.material.result, state.material.draft
    before = tuple((label, state.judged.get(label)) for label in labels)
    for label in labels:
        found = finding_of(result, label)
        if judgement is not None:
            found_by_model(found, judgement)
        if sentences_follow:
            draft = _following(draft, machine, found, judgement, detail or Detail())
    step = BeforeJudging(before, state.draft.sentences, state.draft.evidence)
    working = replace(state.working.with_draft(draft), undo=step)
    return _judged(replace(state, working=working), [(label, judgement) for label in labels])


def undo(state: DraftState) -> Change:
    """The last judging is taken back, its words too; `Conflict` where something else was written since."""
    step = state.working.undo
    if step is None:
        raise Conflict("There is no judgement to undo: something else was written since.")
    draft = replace(state.draft, sentences=step.sentences, evidence=step.evidence)
    working = replace(state.working.with_draft(draft), undo=None)
    return _judged(replace(state, working=working), step.judgements)


def _judged(state: DraftState, judgements: Sequence[tuple[str, Judgement | None]]) -> Change:
    return Change(state.with_judgements(judgements), judgements=tuple(judgements))


def finding_of(result: FindingsResult | None, label: str) -> Finding:
    """What the model says of a label; one that it does not know is not assessed."""
    found = next((item for item in result.findings if item.label == label), None) if result else None
    if found is None and label not in FINDING_LABELS:
        raise InputError("The model has no finding of that name; take one of those that the draft lists.")
    return found or Finding(label, False)


def found_by_model(finding: Finding, judgement: Judgement) -> bool | None:
    """What the model found of what is judged so; None where it was not assessed."""
    positive = finding.positive if finding.assessed else None
    if judgement is Judgement.ADDED and positive:
        raise InputError("The model has found this itself; accept it instead of adding it.")
    if judgement is Judgement.REJECTED and not positive:
        raise InputError("The model has not found this, so it cannot be rejected; add it if it is there.")
    if judgement is Judgement.ACCEPTED and positive is None:
        raise InputError("The model did not assess this, so there is nothing to accept; add what is there.")
    return positive


def _following(
    draft: Draft, machine: Draft | None, finding: Finding, judgement: Judgement | None, detail: Detail
) -> Draft:
    """The draft after a judgement: what it says of the finding follows."""
    if judgement is None:
        return restore(draft, machine, finding.label)
    if judgement is Judgement.ADDED:
        return confirm(draft, finding.label, None, detail)
    if not finding.positive:
        return draft  # that it is not there is agreed
    if judgement is Judgement.REJECTED:
        return withdraw(draft, finding.label)
    return confirm(draft, finding.label, finding.probability, detail)


def rewritten(fresh: Draft, state: DraftState) -> Change:
    """A fresh draft of the machine stands in the place of the one at hand, which says what was judged."""
    added = {label for label, judgement in state.judged.items() if judgement is Judgement.ADDED}
    evidence = (replace(basis, probability=None) if basis.key in added else basis for basis in fresh.evidence)
    sentences = tuple(replace(item, author=Author.MACHINE) for item in fresh.sentences)
    fresh = replace(fresh, evidence=tuple(evidence), sentences=sentences)
    result = state.material.result
    positive = {item.label for item in result.findings if item.positive} if result is not None else set()
    sides = {basis.key: basis.side for basis in state.draft.evidence}
    draft = fresh
    for label, judgement in state.judged.items():
        if label in added or (judgement is Judgement.ACCEPTED and label in positive):
            draft = confirm(draft, label, None, Detail(sides.get(label)))
    working = Working(replace(state.working.content, draft=draft))
    return Change(replace(state, working=working, material=replace(state.material, draft=fresh)))


def confirm(draft: Draft, label: str, probability: float | None, detail: Detail) -> Draft:
    """Let a draft say definitely that a finding is there; a sentence about several keeps the others."""
    before = next((item for item in draft.evidence if item.id == f"{BasisKind.FINDING}:{label}"), None)
    basis = before or Basis(BasisKind.FINDING, label, probability)
    basis = replace(basis, side=detail.side or basis.side)
    sections = {section: list(draft.section(section)) for section in Section}
    fresh = True
    for section in _CLAIMS:
        definite_sentence = _definite(section, basis, detail, draft.language)
        kept: list[DraftSentence] = []
        written = False
        for sentence in sections[section]:
            if sentence.author not in _FOLLOW or basis.id not in sentence.evidence:
                kept += _without_denial(sentence, label, draft.language)
                continue
            if not written:
                kept.append(definite_sentence)
            written = True
            kept += _rest(sentence, label, draft)
        if written or _person_says(sections[section], label, draft.language):
            fresh = False
        elif section is Section.FINDINGS or fresh:
            kept.append(definite_sentence)
        sections[section] = kept
    evidence = tuple(basis if item is before else item for item in draft.evidence)
    return _with(draft, sections, evidence if before else (*evidence, basis))


def withdraw(draft: Draft, label: str) -> Draft:
    """Take a finding's words out of findings, impression and recommendation."""
    sections: dict[Section, list[DraftSentence]] = {section: [] for section in Section}
    for sentence in draft.sentences:
        about = label in stated_labels(sentence) or _cites(draft, sentence, label)
        if sentence.author not in _FOLLOW or not about:
            sections[sentence.section].append(sentence)
        elif sentence.section is Section.RECOMMENDATION:
            sections[sentence.section] += _recommendation(sentence, label, draft)
        else:
            sections[sentence.section] += _rest(sentence, label, draft)
    return _with(draft, sections, draft.evidence)


def restore(draft: Draft, machine: Draft | None, label: str) -> Draft:
    """Give a finding the machine's words again, as if nobody had judged it."""
    gone = f"{BasisKind.FINDING}:{label}"
    origin = replace(machine, evidence=draft.evidence) if machine is not None else None
    sections = {section: list(draft.section(section)) for section in Section}
    for section in Section:
        own = []
        for item in origin.section(section) if origin is not None else ():
            if label in stated_labels(item):
                own += _about(item, label, draft)
        places = [
            place
            for place, item in enumerate(sections[section])
            if item.author is Author.JUDGED and gone in item.evidence
        ]
        there = {item.text for item in sections[section]}
        others = [item for item in own if item.text not in there]
        at = places[0] if places else len(sections[section])
        left = [item for place, item in enumerate(sections[section]) if place not in places]
        if section is Section.RECOMMENDATION and others:
            left = [item for item in left if item.author is not Author.MACHINE]
            at = len(left)
        if places or not any(label in stated_labels(item) for item in sections[section]):
            left[at:at] = others
        sections[section] = left
    return _with(draft, sections, draft.evidence)


def _definite(section: Section, basis: Basis, detail: Detail, language: Language) -> DraftSentence:
    say = definite if section is Section.FINDINGS else definite_impression
    text = say(basis.key, basis.side, language)
    if size := detail.words:
        end = "." if text.endswith(".") else ""
        text = f"{text.removesuffix('.')} ({size}){end}"
    return DraftSentence(text, section, (basis.id,), Certainty.CERTAIN, author=Author.JUDGED)


def _without_denial(sentence: DraftSentence, label: str, language: Language) -> list[DraftSentence]:
    """A sentence without words of a model or a key that a finding is not there, or that nothing is."""
    absent = [
        key for kind, _, key in (name.partition(":") for name in sentence.evidence) if kind == "absence"
    ]
    if sentence.author is Author.PERSON and sentence.text in normal_texts(label, language):
        return []  # a key wrote it, and not knowing of the finding
    if sentence.author not in _FOLLOW:
        return [sentence]
    if label in absent:
        words, others = phrases(language), [key for key in absent if key != label]
        if not others:
            return []
        if sentence.text == words.sentence("absent", findings=words.listed(absent, "or")):
            evidence = tuple(f"{BasisKind.ABSENCE}:{key}" for key in others)
            text = words.sentence("absent", findings=words.listed(others, "or"))
            return [replace(sentence, text=text, evidence=evidence, marks=())]
    labels = stated_labels(sentence)
    return [] if labels and set(labels) <= {*NORMAL_LABELS} else [sentence]


def _rest(sentence: DraftSentence, label: str, draft: Draft) -> list[DraftSentence]:
    """What is left of a model's sentence without one of the findings that it is about."""
    others = [name for name in stated_labels(sentence) if name != label]
    if not others:
        return []
    prior = f"{BasisKind.PRIOR}:{label}"
    if prior in sentence.evidence:
        words, labels = phrases(draft.language), [label, *others]
        for kind in ChangeKind:  # the composer's own sentence of a change, said of fewer
            if all(words.name(name) in sentence.text for name in labels) and sentence.text == words.sentence(
                kind, findings=words.listed(list(stated_labels(sentence)), "and")
            ):
                evidence = tuple(name for name in sentence.evidence if name != prior)
                text = words.sentence(kind, findings=words.listed(others, "and"))
                return [replace(sentence, text=text, evidence=evidence, marks=())]
        return [sentence]
    return [item for group in _alike(others) for item in _hedged(sentence, group, draft)]


def _about(sentence: DraftSentence, label: str, draft: Draft) -> list[DraftSentence]:
    """What a sentence of the machine's draft says of one finding alone."""
    sentence = replace(sentence, author=Author.MACHINE, marks=())
    labels = stated_labels(sentence)
    if len(labels) < 2 or sentence.section not in _CLAIMS:
        return [sentence]
    return list(_hedged(sentence, [label], draft))


def _alike(labels: Sequence[str]) -> list[list[str]]:
    """Findings that one sentence of the composer can be about."""
    groups: dict[tuple[str, str], list[str]] = {}
    for label in labels:
        known = finding_label(label)
        groups.setdefault((known.form, known.place), []).append(label)
    return list(groups.values())


def _hedged(sentence: DraftSentence, labels: Sequence[str], draft: Draft) -> Iterator[DraftSentence]:
    words, certainty = phrases(draft.language), sentence.certainty or Certainty.POSSIBLE
    sides = {item.key: item.side for item in draft.evidence if item.kind is BasisKind.FINDING}
    groups = [labels] if sentence.section is Section.FINDINGS else [[label] for label in labels]
    for group in groups:
        side = sides.get(group[0])
        if sentence.section is Section.FINDINGS:
            text = words.stated(group, certainty, side)
        else:
            text = words.line(group[0], certainty, side)
        evidence = tuple(f"{BasisKind.FINDING}:{label}" for label in group)
        yield DraftSentence(text, sentence.section, evidence, certainty, author=Author.MACHINE)


def _recommendation(sentence: DraftSentence, label: str, draft: Draft) -> list[DraftSentence]:
    """The recommendation without a finding; where it was about that one, about the next that it cites."""
    passages = {f"{BasisKind.PASSAGE}:{item.id}": item for item in draft.passages}
    cited = [name for name in sentence.evidence if name in passages and passages[name].label != label]
    own = f"{BasisKind.FINDING}:{label}"
    if own not in sentence.evidence:
        evidence = tuple(
            name for name in sentence.evidence if name not in passages or passages[name].label != label
        )
        return [replace(sentence, evidence=evidence)]
    others = [name for name in stated_labels(sentence) if name != label]
    if others:
        return [replace(sentence, evidence=tuple(name for name in sentence.evidence if name != own))]
    if not cited or sentence.author is not Author.MACHINE:
        return []
    passage = passages[cited[0]]
    evidence = (f"{BasisKind.FINDING}:{passage.label}", *cited)
    return [DraftSentence(passage.text, sentence.section, evidence, author=Author.MACHINE)]


def _cites(draft: Draft, sentence: DraftSentence, label: str) -> bool:
    """Whether a recommendation cites a passage about a finding."""
    names = {f"{BasisKind.PASSAGE}:{item.id}" for item in draft.passages if item.label == label}
    return sentence.section is Section.RECOMMENDATION and not names.isdisjoint(sentence.evidence)


def _person_says(sentences: Sequence[DraftSentence], label: str, language: Language) -> bool:
    """Whether a person wrote that a finding is there, in words or in a model's sentence that they changed."""
    return any(label in read_labels(item.text, language) for item in sentences if item.by_person)


def _with(draft: Draft, sections: dict[Section, list[DraftSentence]], evidence: tuple[Basis, ...]) -> Draft:
    sentences = tuple(item for section in Section for item in sections[section])
    return replace(draft, sentences=sentences, evidence=evidence)
