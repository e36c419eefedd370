"""What the reading view shows of a case: images, findings, the draft with what each sentence leans on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from tetkik.documents.parts import (
    figure_words,
    heading,
    measured_name,
    measured_words,
    measurement_words,
    parts_of,
)
from tetkik.errors import Conflict, NotFound
from tetkik.language import Language, restated
from tetkik.records.cases import cases
from tetkik.records.cases.cases import CaseView
from tetkik.records.database import Transaction
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.images import StoredImage
from tetkik.records.images.jobs import ImageJob
from tetkik.records.images.runs import ModelRun
from tetkik.records.reports import drafts, versions
from tetkik.records.reports.edit_conflicts import WorkingDraft
from tetkik.records.reports.versions import SignedVersion
from tetkik.records.worklist import claims
from tetkik.records.worklist.claims import Reader
from tetkik.rules.judging import read_labels
from tetkik.values import (
    CRITICAL_LABELS,
    FINDING_LABELS,
    NORMAL_LABELS,
    Author,
    Basis,
    BasisKind,
    DraftSentence,
    Finding,
    FindingsResult,
    Judgement,
    Measurement,
    MeasurementUnit,
    Passage,
    RunState,
    Section,
    ThresholdOn,
    finding_label,
    join_results,
    label_name,
)


@dataclass(frozen=True, slots=True)
class MeasurementLine:
    """A measurement as the list beside the draft shows it, counted from 1.

    `put` is how much, as a sentence of the report says it; empty for pixels, which no report says.
    """

    item: Measurement
    number: int
    name: str
    text: str
    about: str
    where: str
    put: str

    @property
    def drawn(self) -> dict[str, object]:
        """What the viewer draws it from."""
        item = self.item
        points = [list(point) for point in item.points]
        return {
            "id": item.id,
            "image": item.image.id,
            "frame": item.image.frame,
            "kind": item.kind,
            "points": points,
            "label": item.label,
            "text": self.text,
        }


def measurement_lines(
    measurements: Sequence[Measurement], language: Language, report_language: Language
) -> tuple[MeasurementLine, ...]:
    """The measurements as a page shows them, in the order in which they were made."""
    return tuple(
        MeasurementLine(
            item=item,
            number=number,
            name=measured_name(item, language),
            text=measurement_words(item, language),
            about=measured_words(item, language),
            where=" → ".join(f"{column:.0f}, {row:.0f}" for column, row in item.points),
            put=_sentence_words(item, report_language),
        )
        for number, item in enumerate(measurements, 1)
    )


def _sentence_words(item: Measurement, language: Language) -> str:
    """The first figure, as a sentence says it."""
    unsaid = (MeasurementUnit.PIXEL, MeasurementUnit.GREY, MeasurementUnit.NONE)
    return "" if item.unit in unsaid else figure_words(item.figures[0], language)


class FindingGroup(StrEnum):
    """How a finding stands, in the order in which they are listed."""

    POSITIVE = "positive"
    ADDED = "added"
    """The radiologist found it; the model did not."""
    UNCERTAIN = "uncertain"
    NEGATIVE = "negative"
    """Below the threshold, without the right to state its absence."""
    RULED_OUT = "ruled_out"
    NOT_ASSESSED = "not_assessed"


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding as the list shows it; a heatmap and a judgement of the radiologist it may have or not."""

    finding: Finding
    standing: FindingGroup
    judgement: Judgement | None
    heat_image: str | None
    """The image over which its heatmap lies; None without one."""
    image_number: int | None
    """Which image of the study says it, counted from 1; None where one alone was read."""
    critical: bool

    @property
    def label(self) -> str:
        return self.finding.label

    @property
    def normal(self) -> bool:
        """Whether it is a verdict on the whole image, not a finding in it."""
        return self.label in NORMAL_LABELS

    @property
    def suggested(self) -> bool:
        """Whether it is above its threshold and no draft states it: nobody has to judge it."""
        return self.finding.positive and not (self.finding.asserted or self.judgement or self.normal)

    @property
    def bar(self) -> float:
        """What its threshold is compared with: the bar and its tick are on one scale."""
        if self.finding.threshold_on is ThresholdOn.PROBABILITY and self.finding.probability is not None:
            return self.finding.probability
        return self.finding.score or 0.0

    @property
    def shown(self) -> float:
        """The probability; the score where the model has no calibration for it."""
        probability = self.finding.probability
        return (self.finding.score or 0.0) if probability is None else probability


@dataclass(frozen=True, slots=True)
class FindingSources:
    """Which image of a study says each finding, and where its heatmap lies."""

    heat: Mapping[str, str] = field(default_factory=dict)
    """The image by label, of findings with a heatmap."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """The place of each image of the study, counted from 1; empty where one image alone was read."""


def load_sources(tx: Transaction, image_id: str | None, result: FindingsResult | None) -> FindingSources:
    """Where the findings of a study come from; `image_id` is of the one that stands for it."""
    if image_id is None or result is None:
        return FindingSources()
    there = [one.id for one in drafts.images_of_report(tx, images.load_image(tx, image_id))]
    owners = {item.label: item.image_id or image_id for item in result.findings if item.assessed}
    drawn = {owner: images.heatmap_labels(tx, owner) for owner in {*owners.values()}}
    heat = {label: owner for label, owner in owners.items() if label in drawn[owner]}
    # A lateral view beside a frontal one is not read: there is no question then which image says it.
    numbers = {one: number for number, one in enumerate(there, 1)} if len({*owners.values()}) > 1 else {}
    return FindingSources(heat, numbers)


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A sentence of the draft as the editor shows it, with its place among all sentences, from 0."""

    place: int
    sentence: DraftSentence
    leans_on: tuple[Basis, ...]
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class ReadingView:
    """Everything that a radiologist has before them of one image.

    Attributes:
        image: that is looked at first; None where the case has none yet.
        images: of the case, in the order in which they came.
        work: what a model still has to do; None where nothing waits.
        run: the model's newest answer; None before any.
        result: what the models say of the images of its study; None where they failed or nothing ran.
        working: the draft; None where there is none, or where it is signed.
        signed: the last signed version, where nobody amends it; None before the first.
        report_id: of the study's report; None without one.
    """

    case: CaseView
    image: StoredImage | None
    images: tuple[StoredImage, ...]
    work: ImageJob | None
    run: ModelRun | None
    result: FindingsResult | None = field(repr=False)
    working: WorkingDraft | None
    signed: SignedVersion | None
    report_id: str | None
    reader: Reader | None
    sources: FindingSources


def reading_view(tx: Transaction, case_id: str, image_id: str | None = None) -> ReadingView:
    """What there is of a case, and of one of its images: the first that still waits for a signature."""
    case = cases.load_case(tx, case_id)
    found = images.list_images(tx, case_id)
    image = _chosen(tx, found, image_id)
    if image is None:
        reader = claims.reader_of_case(tx, case_id)
        return ReadingView(case, None, (), None, None, None, None, None, None, reader, FindingSources())
    run = runs.load_latest_run(tx, image.id)
    results = runs.load_study_results(tx, image.study_id)
    read = run is not None and run.state is not RunState.FAILED
    if image.id in results:
        result: FindingsResult | None = join_results(results)
    else:
        result = runs.load_result(tx, run.id) if run is not None and read else None
    report_id = drafts.report_of_image(tx, image.id)
    working = _working(tx, report_id)
    signed = report_id if working is None and report_id and versions.versions_of(tx, report_id) else None
    return ReadingView(
        case=case,
        image=image,
        images=found,
        work=jobs.open_job(tx, image.study_id) or jobs.newest_job(tx, image.id),
        run=run,
        result=result,
        working=working,
        signed=versions.open_version(tx, signed) if signed else None,
        report_id=report_id,
        reader=claims.reader_of_case(tx, case_id),
        sources=load_sources(
            tx, working.image_id if working else image.id, working.result if working else result
        ),
    )


def _chosen(tx: Transaction, found: tuple[StoredImage, ...], image_id: str | None) -> StoredImage | None:
    if image_id is not None:
        for image in found:
            if image.id == image_id:
                return image
        raise NotFound("There is no such image; look at its case.")
    for image in found:
        report_id = drafts.report_of_image(tx, image.id)
        signed = versions.versions_of(tx, report_id) if report_id is not None else ()
        if not signed or signed[-1].withdrawn is not None:
            return image
    return found[0] if found else None


def _working(tx: Transaction, report_id: str | None) -> WorkingDraft | None:
    if report_id is None:
        return None
    try:
        return drafts.open_draft(tx, report_id)
    except Conflict:
        return None  # signed, and nobody is amending it


def finding_lines(
    result: FindingsResult | None, judged: Mapping[str, Judgement], sources: FindingSources
) -> dict[FindingGroup, list[FindingLine]]:
    """The findings in groups, in each the critical ones first, then the most probable."""
    known = {item.label: item for item in result.findings} if result is not None else {}
    labels = [*known, *(label for label in FINDING_LABELS if label not in known)]
    groups: dict[FindingGroup, list[FindingLine]] = {standing: [] for standing in FindingGroup}
    for label in labels:
        finding = known.get(label) or Finding(label, assessed=False)
        judgement = judged.get(label)
        standing = _standing(finding, judgement)
        place = sources.numbers.get(finding.image_id or "")
        critical = label in CRITICAL_LABELS
        line = FindingLine(finding, standing, judgement, sources.heat.get(label), place, critical)
        groups[standing].append(line)
    for lines in groups.values():
        lines.sort(key=lambda line: (line.normal, not line.critical, -line.shown))
    return groups


def _standing(finding: Finding, judgement: Judgement | None) -> FindingGroup:
    if judgement is Judgement.ADDED:
        return FindingGroup.ADDED
    if not finding.assessed:
        return FindingGroup.NOT_ASSESSED
    if finding.positive:
        return FindingGroup.POSITIVE
    if finding.uncertain:
        return FindingGroup.UNCERTAIN
    return FindingGroup.RULED_OUT if finding.rules_out else FindingGroup.NEGATIVE


def critical_stated(working: WorkingDraft, *, confirmed: bool = False) -> list[str]:
    """The critical labels that a draft stands for: accepted or added by a person, or stated by a sentence.

    With `confirmed` only the former. What a person wrote is read by the labeler: a sentence that denies a
    finding states none.
    """
    judged = working.judged
    positive = {item.label for item in working.result.findings if item.positive} if working.result else set()
    sure = {label for label, judgement in judged.items() if judgement is Judgement.ADDED}
    sure |= {label for label in positive if judged.get(label) is Judgement.ACCEPTED}
    if not confirmed:
        stating = {name for item in working.draft.sentences if item.certainty for name in item.evidence}
        bases = [basis for basis in working.draft.evidence if basis.kind is BasisKind.FINDING]
        sure |= {basis.key for basis in bases if basis.id in stating and basis.key not in judged}
        for item in working.draft.sentences:
            if item.author in (Author.PERSON, Author.EDITED):
                sure |= read_labels(item.text, working.draft.language)
    return [label for label in CRITICAL_LABELS if label in sure]


def draft_lines(working: WorkingDraft) -> dict[Section, list[DraftLine]]:
    """The sentences by section, with what each leans on."""
    draft = working.draft
    bases = {basis.id: basis for basis in draft.evidence}
    passages = {f"passage:{passage.id}": passage for passage in draft.passages}
    sections: dict[Section, list[DraftLine]] = {section: [] for section in Section}
    for place, sentence in enumerate(draft.sentences):
        cited = tuple(passages[name] for name in sentence.evidence if name in passages)
        leans_on = tuple(bases[name] for name in sentence.evidence if name in bases and name not in passages)
        sections[sentence.section].append(DraftLine(place, sentence, leans_on, cited))
    return sections


def shown_findings(view: ReadingView, language: Language) -> dict[str, Any]:
    """What the panels show where there is no draft."""
    verdicts = view.signed.verdicts if view.signed is not None else ()
    document = view.signed.document if view.signed is not None else None
    judged = {verdict.label: verdict.judgement for verdict in verdicts}
    return {
        "working": None,
        "restated": partial(restated, language=language),
        "groups": finding_lines(view.result, judged, view.sources),
        "FindingGroup": FindingGroup,
        "labels": partial(label_name, language=language),
        "Section": Section,
        "measured": measurement_lines(document.content.measurements, language, document.draft.language)
        if document is not None
        else (),
        "key_images": document.content.key_images if document is not None else (),
    }


def shown_working(working: WorkingDraft, sources: FindingSources, language: Language) -> dict[str, Any]:
    """What the two panels show: the findings and the draft."""
    labels = partial(label_name, language=language)
    says = working.draft.section(Section.FINDINGS) or working.draft.section(Section.IMPRESSION)
    blocking = working.blockers
    return {
        "working": working,
        "restated": partial(restated, language=language),
        "groups": finding_lines(working.result, working.judged, sources),
        "FindingGroup": FindingGroup,
        "labels": labels,
        "stated": [labels(label) for label in critical_stated(working)],
        "confirmed": [labels(label) for label in critical_stated(working, confirmed=True)],
        "lines": draft_lines(working),
        "parts": parts_of(working.content),
        "heading": lambda section: heading(section, language),
        "measured": measurement_lines(working.measurements, language, working.draft.language),
        "key_images": working.content.key_images,
        "Section": Section,
        "says": bool(says),
        "blocking": blocking,
        "unjudged": [item.label for item in blocking if item.label is not None],
        "paired": lambda label: finding_label(label).paired,
        "given_sides": {
            item.key: item.side for item in working.draft.evidence if item.kind is BasisKind.FINDING
        },
    }
