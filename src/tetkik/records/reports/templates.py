"""A hospital's own texts: standing sentences around those of a draft, for every study of a kind.

A template is a text with slots, as `tetkik report draft --template` takes it. Taken into a draft, its own
sentences stand where they stand around the slots: what comes before the first slot belongs to that slot's
part, everything else to the part of the last slot before it. Headings and lines about the patient are left
out: the documents have their own. What the draft says is never lost.

The normal reports that ship (`report/normals.toml`) stand beside the hospital's; one that the hospital keeps
under the same name takes its place. Of those, a sentence about a part that the draft speaks of is left out.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import select

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.images import images
from tetkik.records.reports.edit_conflicts import WorkingDraft, row_of
from tetkik.records.reports.report_inputs import material_of
from tetkik.records.schema import ReportTemplate
from tetkik.report.draft import check_slots
from tetkik.report.labeler import read_report
from tetkik.report.normals import Examination, ImagedStudy, normal_report
from tetkik.rules.draft_state import DraftState
from tetkik.rules.editing import Change, DraftEdit, save
from tetkik.rules.marks import as_judged
from tetkik.turkish import flat
from tetkik.values import NORMAL_LABELS, Author, Draft, DraftSentence, Judgement, Route, Section
from tetkik.values.common import one_line

LONGEST = 20_000
"""Characters of a template."""
_SECTIONS = {section.value: section for section in Section}


@dataclass(frozen=True, slots=True)
class HospitalTemplate:
    id: str
    name: str
    language: Language
    text: str
    created_at: datetime | None  # None of one that ships
    examination: Examination | None = None  # of a normal report that ships


def all_templates(tx: Transaction) -> tuple[HospitalTemplate, ...]:
    """The hospital's by name, then those that ship."""
    rows = tx.session.scalars(select(ReportTemplate).order_by(ReportTemplate.name))
    own = tuple(_value(row) for row in rows)
    taken = {item.name for item in own}
    return own + tuple(item for item in _BUILT_IN.values() if item.name not in taken)


def fitting_templates(tx: Transaction, working: WorkingDraft) -> tuple[HospitalTemplate, ...]:
    """All that a draft may be written with: of those that ship, the ones for its kind of image."""
    found = all_templates(tx)
    if working.result is None:
        return found
    known = imaged_study(tx, working.report_id).examination
    # Whoever reads a film of which nothing states the projection may know it.
    of_chest = (one for one in Examination if one.startswith(Examination.CHEST))
    wanted = tuple(of_chest) if known is Examination.CHEST else (known,)
    return tuple(item for item in found if item.examination is None or item.examination in wanted)


def imaged_study(tx: Transaction, report_id: str) -> ImagedStudy:
    """What the images of a draft show: projections, slices, series."""
    row = row_of(tx, report_id)
    result = material_of(tx, row).result
    route = result.route if result is not None else None
    there = images.list_study_images(tx, row.study_id)
    series = ""
    if route is Route.BRAIN_MRI:
        tags = (images.load_metadata(tx, image).tags for image in there)
        series = " ".join(dict.fromkeys(flat(f"{tag.series or ''} {tag.description or ''}") for tag in tags))
    views = frozenset(image.view for image in there if image.view is not None)
    return ImagedStudy(route, views, sum(image.frames for image in there), series)


def template_of(tx: Transaction, template_id: str) -> HospitalTemplate:
    """One of them."""
    return _BUILT_IN.get(template_id) or _value(_row(tx, template_id))


def add(tx: Transaction, name: str, language: Language, text: str) -> HospitalTemplate:
    """Keep a new template."""
    row = ReportTemplate(id=new_id(), created_by=tx.actor.user_id)
    return _write(tx, row, name, language, text)


def change(tx: Transaction, template_id: str, name: str, language: Language, text: str) -> HospitalTemplate:
    """Put a new text in the place of a template's."""
    return _write(tx, _row(tx, template_id), name, language, text)


def remove(tx: Transaction, template_id: str) -> None:
    """Take a template away; drafts that took it stay as they are."""
    tx.session.delete(_row(tx, template_id))
    tx.audit(Action.TEMPLATE_CHANGED, object_id=template_id, removed=True)


def take(template: HospitalTemplate, study: ImagedStudy, state: DraftState) -> Change:
    """The rule by which a template's sentences stand around those of a draft, checked like a person's own."""
    draft = state.draft
    if template.language is not draft.language:
        raise Conflict("The template is in another language than the draft; choose one in the draft's.")
    if template.examination is None:
        sentences = sentences_of(template, draft)
    else:
        given = ((item, item.by_person) for item in draft.sentences)
        normal = normal_report(template.examination, template.language).shown_by(study)
        sentences = normal.completed(given, stated_labels(state))
    return save(DraftEdit(sentences), state)


def stated_labels(state: DraftState) -> set[str]:
    """The findings that are there: stated by the model, accepted or added by a person."""
    added = {label for label, judgement in state.judged.items() if judgement is Judgement.ADDED}
    if state.material.result is None:
        return added
    findings = as_judged(state.material.result, state.judged).findings
    return added | {item.label for item in findings if item.label not in NORMAL_LABELS and item.asserted}


def sentences_of(template: HospitalTemplate, draft: Draft) -> tuple[DraftSentence, ...]:
    """The sentences of a draft with those of a template around them; what stands there already comes once."""
    placed: dict[Section, list[DraftSentence]] = {section: [] for section in Section}
    slots = set()
    for section, text in _parts(template.text):
        if text is None:
            slots.add(section)
            placed[section] += draft.section(section)
        else:
            known = {item.text for item in draft.section(section)}
            placed[section] += [
                DraftSentence(one, section, author=Author.PERSON)
                for reading in read_report(text, template.language)
                if (one := one_line(reading.text)) and not _is_heading(one) and one not in known
            ]
    for section in set(Section) - slots:
        placed[section][:0] = draft.section(section)
    return tuple(item for section in Section for item in placed[section])


def _parts(text: str) -> Iterator[tuple[Section, str | None]]:
    """Text and slots of a template in order, each with its part; None is the slot of the part itself."""
    lines = [
        [(literal, slot) for literal, slot, *_ in string.Formatter().parse(line)]
        for line in text.splitlines()
    ]
    slots = [slot for line in lines for _, slot in line if slot in _SECTIONS]
    section = _SECTIONS[slots[0]] if slots else Section.FINDINGS
    for line in lines:
        # A line with the patient's name or the like is none of the report's sentences.
        if any(slot is not None and slot not in _SECTIONS for _, slot in line):
            continue
        written = ""
        for literal, slot in line:
            written += literal  # a doubled brace ends a piece, and no sentence
            if slot is None:
                continue
            if written.strip():
                yield section, written
            written, section = "", _SECTIONS[slot]
            yield section, None
        if written.strip():
            yield section, written


def _is_heading(text: str) -> bool:
    return text.endswith(":") or (text.isupper() and not text.endswith("."))


def _write(
    tx: Transaction, row: ReportTemplate, name: str, language: Language, text: str
) -> HospitalTemplate:
    name, text = one_line(name), text.replace("\r\n", "\n").strip()
    if not name or len(name) > 80 or not text or len(text) > LONGEST:
        raise InputError(
            "A template needs a name of at most 80 characters and a text of at most {longest}; shorten it.",
            longest=LONGEST,
        )
    check_slots(text)
    same = select(ReportTemplate.id).where(ReportTemplate.name == name, ReportTemplate.id != row.id)
    if tx.session.scalar(same) is not None:
        raise Conflict("Another template has this name; choose another one.")
    row.name, row.language, row.text, row.created_at = name, language, text, tx.now
    tx.session.add(row)
    tx.session.flush()
    tx.audit(Action.TEMPLATE_CHANGED, object_id=row.id)
    return _value(row)


def _row(tx: Transaction, template_id: str) -> ReportTemplate:
    if template_id in _BUILT_IN:
        raise Conflict(
            "This template ships with Tetkik; save a changed text under the same name in its place."
        )
    missing = NotFound("There is no such template; look at the list of templates.")
    return tx.find(ReportTemplate, template_id, missing)


def _value(row: ReportTemplate) -> HospitalTemplate:
    return row.to_value(HospitalTemplate, language=Language(row.language), examination=None)


def _built_in(examination: Examination, language: Language) -> HospitalTemplate:
    normal = normal_report(examination, language)
    template_id = f"{examination.replace('_', '-')}-{language}"
    return HospitalTemplate(template_id, normal.name, language, normal.template, None, examination)


_BUILT_IN = MappingProxyType(
    {item.id: item for language in Language for one in Examination for item in [_built_in(one, language)]}
)
