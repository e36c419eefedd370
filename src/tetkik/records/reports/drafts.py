"""Drafts: written by the machine, changed by people, each change naming the revision that it was made on.

Two people may have one draft open. Whoever saves second learns who saved first, and nothing is overwritten.
What a person writes is checked again, so that the marks follow the words; what they decide about a mark is
kept with their name and the time.

Reading a text takes its time, so it is done before the transaction that writes (`foresee`, `marks.assess`),
which compares what was read with what it finds locked, and reads again where that is another draft by now.
What moves a case, parts two records, withdraws a report or brings late images reads within its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import select

from tetkik.errors import Conflict
from tetkik.language import Language, Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases.locks import lock_reports_with
from tetkik.records.cases.transfers import require_not_moved
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.images import images, runs
from tetkik.records.images.images import StoredImage, load_image
from tetkik.records.people import access
from tetkik.records.reports import reviews, signing
from tetkik.records.reports.edit_conflicts import (
    WorkingDraft,
    bump_revision,
    for_change,
    record_change,
    row_of,
    state_of,
    unconfirmed,
    view_of,
)
from tetkik.records.reports.identity import identity_for
from tetkik.records.reports.report_inputs import (
    DRAFT,
    judged_frame,
    keep_material,
    keep_pictures,
    keep_working,
    material_of,
    working_of,
)
from tetkik.records.reports.versions import version_of
from tetkik.records.schema import Image, Report
from tetkik.rules.draft_state import DraftState, Material, Working
from tetkik.rules.editing import Change, Rule, after_decisions
from tetkik.rules.judging import rewritten
from tetkik.rules.marks import Assessment, Grounds, as_judged, checked
from tetkik.values import (
    Author,
    Draft,
    FindingsResult,
    Identity,
    ImageTags,
    Permission,
    ReportContent,
    ReportDocument,
    ReportInput,
    ReportState,
)

_SINCE_SIGNED = Sentence("The images of the study have changed since the signature.")


@dataclass(frozen=True, slots=True)
class MachineDraft:
    """What the machine wrote about a study, and what it was made of beside the findings."""

    document: ReportDocument
    run_id: str | None
    """Of the image that stands for the study."""
    images: tuple[str, ...]
    """The images of the study that it is about."""
    inputs: ReportInput = field(default_factory=ReportInput)
    prior: FindingsResult | None = None


def write_machine_draft(tx: Transaction, image_id: str, made: MachineDraft) -> str:
    """Keep what the machine wrote about a study, which this image stands for; gives the report's id.

    A draft of the same study that nobody has touched gives way. One that a person changed keeps its words,
    and one that is signed is opened as its next version, where images came or were removed since: either says
    so. What they lean on, and so their marks, are of the images as they are now.
    """
    document = made.document
    image = tx.session.get_one(Image, image_id)
    row = tx.session.scalar(select(Report).where(Report.study_id == image.study_id).with_for_update())
    if row is None:
        row = _new_row(tx, image, document.draft)
    elif row.version or row.updated_by is not None:
        _take_up_changes(tx, row, image, made)
        return row.id
    elif (row.run_id, material_of(tx, row).images) == (made.run_id, made.images):
        return row.id
    else:
        row.revision += 1
    _retarget(tx, row, image, made.run_id)
    row.language, row.writer = document.draft.language, document.draft.writer
    row.updated_at = tx.now
    keep_material(tx, row, _material(made))
    keep_working(tx, row, _by_machine(document))
    _keep_heatmap(tx, row, document)
    record_change(tx, row, Action.DRAFT_WRITTEN, writer=document.draft.writer)
    return row.id


def _material(made: MachineDraft) -> Material:
    document = made.document
    shown = (document.identity, document.tags, document.heatmap_label, made.images)
    return Material(document.draft, document.result, made.inputs, made.prior, *shown)


def _by_machine(document: ReportDocument) -> Working:
    draft = document.draft
    sentences = tuple(replace(item, author=Author.MACHINE) for item in draft.sentences)
    return Working(document.content).with_draft(replace(draft, sentences=sentences))


def _keep_heatmap(tx: Transaction, row: Report, document: ReportDocument) -> None:
    keep_pictures(tx, row, DRAFT, {"heatmap": document.heatmap} if document.heatmap else {})


def _retarget(tx: Transaction, row: Report, image: Image, run_id: str | None) -> None:
    """Let another image stand for the study; the pictures of signed versions stay where they are."""
    if row.image_id != image.id:
        keep_pictures(tx, row, DRAFT, {})
        row.image_id = image.id
    row.run_id = run_id


def _take_up_changes(tx: Transaction, row: Report, image: Image, made: MachineDraft) -> None:
    """Let a report that a person wrote in know that its study has other images now."""
    before = material_of(tx, row)
    known = {*(before.images or (row.image_id,))}
    came, gone = set(made.images) - known, known - set(made.images)
    if not came and not gone:
        return
    working = working_of(tx, row)
    if working is None:
        signed = version_of(tx, row.id, pictures=False)
        working = Working(signed.document.content, signed.decisions)
        tx.seal_column(row, "amending", _SINCE_SIGNED.in_language(Language(row.language)).encode())
        record_change(tx, row, Action.REPORT_AMENDMENT_BEGUN, event="report", version=row.version)
    _retarget(tx, row, image, made.run_id)
    _keep_heatmap(tx, row, made.document)
    material = replace(_material(made), draft=before.draft)
    earlier = {notice.template for notice in _change_notices(1, 1)}
    notices = [notice for notice in working.draft.notices if notice.template not in earlier]
    notices += _change_notices(len(came), len(gone))
    working = working.with_draft(replace(working.draft, notices=tuple(notices)))
    if gone:  # whoever has the page open sees first what was taken out
        row.revision += 1
        content = working.content
        content = replace(
            content,
            measurements=tuple(item for item in content.measurements if item.image.id not in gone),
            key_images=tuple(item for item in content.key_images if item.image.id not in gone),
        )
        working = replace(working, content=content)
    content = checked(DraftState(working, material, reviews.judged(tx, row.id)))
    keep_material(tx, row, material)
    keep_working(tx, row, replace(working, content=content))
    # Where images came alone the revision stays, as in `reviews.recheck`: whoever writes here is not refused.
    record_change(tx, row, Action.DRAFT_CHANGED, event=reviews.COMPARED, images=len(came), removed=len(gone))
    signing.settle_case(tx, row.case_id)


def _change_notices(came: int, gone: int) -> list[Sentence]:
    notices = []
    if came:
        notices.append(
            Sentence(
                "{count} images came after this report was begun: look at them and at what was found in "
                "them.",
                {"count": came},
            )
        )
    if gone:
        notices.append(
            Sentence(
                "{count} images that this report is about were removed: see what still holds.",
                {"count": gone},
            )
        )
    return notices


def write_by_hand(
    tx: Transaction,
    image_id: str,
    language: Language,
    *,
    identity: Identity | None = None,
    tags: ImageTags | None = None,
) -> WorkingDraft:
    """Begin a report without a model: an empty draft for a person to write."""
    found = tx.session.get(Image, image_id)
    if found is not None and found.removed_at is not None:
        raise Conflict("This image was removed already; load the page again.")
    case = access.load_visible_case(tx, found.case_id if found is not None else "")
    assert found is not None
    tx.session.flush()
    tx.session.refresh(case, with_for_update={"key_share": True})  # nobody moves it meanwhile
    require_not_moved(tx, found.case_id)
    if report_of_image(tx, image_id) is not None:
        raise Conflict("The study of this image has a report already; go on with that one.")
    draft = Draft(language, (), writer="person")
    row = _new_row(tx, found, draft)
    row.updated_by = tx.actor.user_id
    there = tuple(one.id for one in images.list_study_images(tx, found.study_id))
    material = Material(identity=identity or Identity(), tags=tags or ImageTags(), images=there)
    state = DraftState(Working(ReportContent(draft)), material)
    keep_material(tx, row, material)
    keep_working(tx, row, state.working)
    record_change(tx, row, Action.DRAFT_WRITTEN, writer="person")
    return view_of(tx, row, state)


def images_of_report(tx: Transaction, image: StoredImage) -> tuple[StoredImage, ...]:
    """The images that the report about an image is about: those of its study."""
    return images.list_study_images(tx, image.study_id)


def report_of_image(tx: Transaction, image_id: str) -> str | None:
    """The report about an image, that of its study; None where there is none yet."""
    image = tx.session.get(Image, image_id)
    if image is None:
        return None
    return tx.session.scalar(select(Report.id).where(Report.study_id == image.study_id))


def draft_of(tx: Transaction, report_id: str) -> WorkingDraft:
    """The draft of a report as it stands; `Forbidden` for whoever may read no draft, whatever route asks."""
    access.require(tx, Permission.DRAFT_READ)
    row = row_of(tx, report_id)
    return view_of(tx, row, state_of(tx, row))


def open_draft(tx: Transaction, report_id: str) -> WorkingDraft:
    """`draft_of`, with an entry in the audit trail that the actor looked at it."""
    found = draft_of(tx, report_id)
    tx.audit(Action.DRAFT_OPENED, case_id=found.case_id, patient_id=found.patient_id, object_id=report_id)
    return found


Known = Sequence[Assessment]
"""What came of reading drafts before the transaction; of another draft than it finds, it reads again."""


def foresee(tx: Transaction, report_id: str, rule: Rule) -> tuple[Grounds, ...]:
    """What `change` or `judge` will have to read, so that it is read before they hold up other writers."""
    row = row_of(tx, report_id)
    made = rule(state_of(tx, row))
    later = reviews.compared_anew(tx, row, made.state.judged) if made.judgements else ()
    return tuple(map(Grounds.of, (made.state, *(state for _, state in later))))


def change(tx: Transaction, report_id: str, revision: int, rule: Rule, known: Known = ()) -> WorkingDraft:
    """Do to a draft what a rule says; every sentence is checked again.

    `EditConflict` where the draft has another revision by now.
    """
    row, state = for_change(tx, report_id, revision)
    return keep(tx, row, rule(state), known)


def judge(tx: Transaction, report_id: str, revision: int, rule: Rule, known: Known = ()) -> WorkingDraft:
    """`change` by a rule that judges findings, or takes that back.

    The marks of later drafts of the patient that compare with this image follow.
    """
    lock_reports_with(tx, report_id)  # later drafts are checked again once the case is locked
    row, state = for_change(tx, report_id, revision)
    made = rule(state)
    for label, judgement in made.judgements:
        reviews.keep(tx, row, state.material, label, judgement)
    after = keep(tx, row, made, known)
    reviews.recheck(tx, row.id, known)
    return after


def confirm_identity(tx: Transaction, report_id: str, revision: int, known: Known = ()) -> WorkingDraft:
    """Say that the image is of the patient of the record, though its file names another person."""
    row, state = for_change(tx, report_id, revision)
    differs = unconfirmed(tx, row)
    if differs:
        images.confirm_identity(tx, row.image_id, [item.trait for item in differs])
    return keep(tx, row, Change(state), known)


def keep(tx: Transaction, row: Report, change: Change, known: Known = ()) -> WorkingDraft:
    """Check a changed draft; seal it, bump its revision, audit and announce it."""
    content = checked(change.state, known)
    after = after_decisions(change, content, tx.actor.user_id or "", tx.now)
    keep_working(tx, row, after)
    bump_revision(tx, row)
    record_change(
        tx,
        row,
        Action.DRAFT_CHANGED,
        revision=row.revision,
        sentences=len(after.draft.sentences),
        open_marks=after.draft.open_marks,
        decisions=len(change.choices),
        measurements=len(after.content.measurements),
    )
    return view_of(tx, row, replace(change.state, working=after))


def drop_foreign_priors(tx: Transaction, patient_ids: Sequence[str]) -> None:
    """Check the drafts of these records again, without an earlier image that is not to be compared with.

    Their sentences stay, and those that say how it was before are marked: nobody signs them unseen.
    """
    wanted = select(Report).where(Report.patient_id.in_(patient_ids), Report.machine.is_not(None))
    for row in tx.session.scalars(wanted.order_by(Report.image_id).with_for_update()).all():
        material, working = material_of(tx, row), working_of(tx, row)
        if material.prior is None:
            continue
        earlier = runs.list_earlier_runs(tx, images.load_image(tx, row.image_id))
        if material.prior.sha256 not in {runs.load_result(tx, run.id).sha256 for run in earlier}:
            material = replace(material, prior=None)
            keep_material(tx, row, material)
            if working is not None:  # what is signed stands as it was signed
                keep(tx, row, Change(DraftState(working, material, reviews.judged(tx, row.id))))


def _new_row(tx: Transaction, image: Image, draft: Draft) -> Report:
    row = Report(
        id=new_id(),
        case_id=image.case_id,
        study_id=image.study_id,
        image_id=image.id,
        patient_id=image.patient_id,
        state=ReportState.DRAFT,
        language=draft.language,
        writer=draft.writer,
        revision=1,
        version=0,
        created_at=tx.now,
        updated_at=tx.now,
    )
    tx.session.add(row)
    return row


# A fresh draft on request: in another language, by a language model, or after findings were judged.


@dataclass(frozen=True, slots=True)
class RedraftInput:
    """What a fresh draft is made from, apart from any transaction: a language model takes its time."""

    result: FindingsResult
    """What there is to say of the image, as the radiologist has judged it."""
    inputs: ReportInput
    prior: FindingsResult | None
    identity: Identity = field(repr=False)
    image: StoredImage
    """The one that stands for the study."""
    frame: int | None
    """The one of its frames that the findings are of; None where that is not known."""


def redraft_input(tx: Transaction, report_id: str, revision: int) -> RedraftInput:
    """What to write a fresh draft from; `Conflict` where no model has looked at the image."""
    row, state = for_change(tx, report_id, revision)
    material = state.material
    if material.result is None:
        raise Conflict("No model has read this image, so there is nothing to write a draft from.")
    result = as_judged(material.result, state.judged)
    identity = identity_for(tx, row.patient_id, material.identity)
    image = load_image(tx, row.image_id)
    frame = judged_frame(tx, row, image)
    return RedraftInput(result, material.inputs, material.prior, identity, image, frame)


def rewrite(
    tx: Transaction, report_id: str, revision: int, draft: Draft, known: Sequence[Assessment] = ()
) -> WorkingDraft:
    """Put a fresh draft of the machine in the place of the one at hand, as a person requested."""
    row, before = for_change(tx, report_id, revision)
    state = rewritten(draft, before).state
    # The earlier image may have been judged anew while the draft was written.
    state = state.with_content(checked(state, known))
    keep_material(tx, row, state.material)
    row.language, row.writer = draft.language, draft.writer
    keep_working(tx, row, state.working)
    bump_revision(tx, row)
    record_change(tx, row, Action.DRAFT_WRITTEN, writer=draft.writer, asked=True)
    return view_of(tx, row, state)
