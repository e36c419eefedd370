"""The signature: one transaction in which a draft becomes a version that never changes.

Everything happens or nothing does: the sealed document, the signature, the state of report and case, the end
of the claim, the audit entry, the event. The signer proves who they are once more, with the password or a
passkey. It is not a qualified electronic signature (Law 5070, eIDAS): it binds a person of this hospital to a
text and lets any change be seen, and no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from tetkik.errors import Conflict, Forbidden, InputError
from tetkik.records import serialization
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.locks import lock_row
from tetkik.records.cases.transfers import require_not_moved
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.images import images
from tetkik.records.images.images import StoredImage, load_image
from tetkik.records.people import access
from tetkik.records.reports import reviews, withdrawal_queries
from tetkik.records.reports.deliveries import tell_recipients
from tetkik.records.reports.edit_conflicts import (
    WorkingDraft,
    bump_revision,
    for_change,
    number_of,
    reason_of,
    record_change,
    row_of,
    state_of,
    unconfirmed,
    view_of,
)
from tetkik.records.reports.identity import identity_for
from tetkik.records.reports.report_inputs import (
    Picture,
    heatmap_of,
    judged_frame,
    keep_pictures,
    keep_signed_pictures,
    keep_working,
    key_pictures,
    pictures_kept,
)
from tetkik.records.reports.versions import Sealed, signed_rows, version_of
from tetkik.records.schema import (
    Assignment,
    Case,
    Claim,
    Image,
    Job,
    Report,
    ReportVersion,
    SignatureRow,
    User,
)
from tetkik.records.serialization import digest_of
from tetkik.rules.draft_state import DraftState, Material, Working
from tetkik.rules.judging import stated_labels
from tetkik.rules.readiness import NotReady, Readiness, blockers_of
from tetkik.values import (
    AccountChange,
    CaseState,
    Draft,
    Hospital,
    JobState,
    JudgedFinding,
    Judgement,
    Method,
    Permission,
    ReportDocument,
    ReportedImage,
    ReportState,
    Section,
    Signature,
)
from tetkik.values.common import one_line
from tetkik.values.document import ReplacedVersion

_FRESH = timedelta(minutes=2)
"""How old a proof may be."""
_METHODS = frozenset({Method.PASSWORD, Method.PASSKEY})
PictureOf = Callable[[StoredImage, int], bytes | None]
"""Gives the picture of one frame of an image as PNG; None where it cannot be read."""
LONGEST_REASON = 1000
"""Characters of the reason of an amendment."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That the person at the screen is still the one who is signed in: the password or a passkey, again."""

    user_id: str
    method: Method
    at: datetime
    small_display: bool = False
    """Whether the screen is a phone's, which is no diagnostic display."""


@dataclass(frozen=True, slots=True)
class Signed:
    version_id: str
    number: int
    verification: str
    corrected: bool


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A draft as it will be signed or printed: to read it and to draw its image before the transaction."""

    state: DraftState
    image: StoredImage
    frame: int | None
    """Of several frames that of the findings; None where nobody knows which was looked at."""

    def drawn(self, picture: PictureOf) -> PictureOf:
        """A `picture` that has this one ready; another one is drawn when it is asked for."""
        if self.frame is None:
            return picture
        png, about = picture(self.image, self.frame), (self.image, self.frame)
        return lambda image, frame: png if (image, frame) == about else picture(image, frame)


def foresee(tx: Transaction, report_id: str) -> Foreseen:
    """What signing or printing a draft will need."""
    row = row_of(tx, report_id)
    image = load_image(tx, row.image_id)
    return Foreseen(state_of(tx, row), image, judged_frame(tx, row, image))


def sign(
    tx: Transaction,
    report_id: str,
    revision: int,
    proof: Proof,
    hospital: Hospital,
    picture: PictureOf,
    known: Readiness | None = None,
) -> Signed:
    """Sign a draft: it becomes a version that never changes, with the `picture` of its image.

    `Forbidden` where the actor may not sign, or the proof is another person's or too old; `Conflict` where it
    is signed already, is an exercise, or says nothing; `NotReady` where something is still to be decided.
    """
    prove(tx, proof, Permission.REPORT_SIGN)
    row, state = for_change(tx, report_id, revision)
    _refuse_unready(tx, row, state, known)
    _refuse_removed(tx, state)
    state = state.with_draft(_without_hints(state.draft))
    working, material = state.working, state.material
    version_id = new_id()
    last = _last_version(tx, row)
    sealed = _sealed(tx, row, version_id, last, state, hospital, picture)
    content = serialization.to_bytes(sealed)
    corrected = material.draft is None or _was_corrected(working.draft, material.draft)
    document = sealed.document
    version = ReportVersion(
        id=version_id,
        report_id=row.id,
        case_id=row.case_id,
        patient_id=row.patient_id,
        number=document.version,
        replaces=last,
        verification=document.verification,
        corrected=corrected,
        created_at=tx.now,
    )
    tx.seal_column(version, "reason", tx.open_column(row, "amending"))
    tx.seal_column(version, "document", content)
    lock_row(tx, row.case_id)
    tx.session.add(version)
    tx.session.flush()
    _add_signature(tx, version_id, proof, document, content)
    row.state, row.version = document.state, document.version
    row.amending = None
    bump_revision(tx, row)
    keep_working(tx, row, None)
    settle_case(tx, row.case_id)
    record_change(
        tx,
        row,
        Action.REPORT_SIGNED if last is None else Action.REPORT_AMENDED,
        event="report",
        version=document.version,
        verification=document.verification,
        method=proof.method,
        corrected=corrected,
        **({"small_display": True} if proof.small_display else {}),
    )
    if last is not None:
        tell_recipients(tx, row, AccountChange.REPORT_AMENDED, document.version - 1)
    return Signed(version_id, document.version, document.verification, corrected)


def begin_amendment(tx: Transaction, report_id: str, reason: str) -> WorkingDraft:
    """Begin to amend a signed report: a draft with its text; the signed version stays what is read."""
    access.require(tx, Permission.REPORT_SIGN, person=True)
    row = row_of(tx, report_id, lock=True)
    reason = one_line(reason)
    if not reason or len(reason) > LONGEST_REASON:
        raise InputError(
            "An amendment needs a reason of at most {longest} characters; say what changes and why.",
            longest=LONGEST_REASON,
        )
    require_not_moved(tx, row.case_id)
    patients.require_not_erased(tx, row.patient_id)
    if not row.version or row.draft is not None:
        raise Conflict("This report is being written already; go on with the draft at hand.")
    signed = version_of(tx, report_id, pictures=False)
    working = Working(signed.document.content, signed.decisions)
    keep_working(tx, row, working)
    tx.seal_column(row, "amending", reason.encode())
    bump_revision(tx, row)
    record_change(tx, row, Action.REPORT_AMENDMENT_BEGUN, event="report", version=row.version)
    return view_of(tx, row, state_of(tx, row))


def drop_amendment(tx: Transaction, report_id: str, revision: int) -> None:
    """Give an amendment up: the signed version stays as it is."""
    access.require(tx, Permission.REPORT_SIGN, person=True)
    row, _ = for_change(tx, report_id, revision)
    if not row.version:
        raise Conflict("This report was never signed, so there is no amendment to give up.")
    if row.state is ReportState.WITHDRAWN:
        raise Conflict("This report was withdrawn, so its draft is no amendment; sign it, or change it.")
    keep_working(tx, row, None)
    row.amending = None
    bump_revision(tx, row)
    record_change(tx, row, Action.DRAFT_CHANGED, event="report", version=row.version, given_up=True)
    settle_case(tx, row.case_id)  # late images had perhaps reopened it


@dataclass(frozen=True, slots=True)
class Amendment:
    reason: str
    revision: int
    since: datetime
    by: str | None


def amendment_of(tx: Transaction, report_id: str) -> Amendment | None:
    """The amendment of a signed report that is under way; None where there is none."""
    row = row_of(tx, report_id)
    reason = reason_of(tx, row)
    if reason is None:
        return None
    user = tx.session.get(User, row.updated_by) if row.updated_by is not None else None
    return Amendment(reason, row.revision, row.updated_at, user.name if user is not None else None)


def document_of(tx: Transaction, report_id: str, hospital: Hospital, picture: PictureOf) -> ReportDocument:
    """A draft as documents are made of it: unsigned, and every page says so."""
    row = row_of(tx, report_id)
    document = _document(tx, row, state_of(tx, row), hospital)
    shown = key_pictures(tx, row.patient_id, document.content)
    found = _pictures(tx, row, document, picture)
    return replace(document, image=found.get("image"), heatmap=found.get("heatmap"), key_pictures=shown)


def _pictures(tx: Transaction, row: Report, document: ReportDocument, picture: PictureOf) -> dict[str, bytes]:
    """The image of a draft as `Foreseen` has it, and the heatmap that was kept with it."""
    image = load_image(tx, row.image_id)
    frame = judged_frame(tx, row, image)
    found = {"image": None if frame is None else picture(image, frame)}
    if document.heatmap_label is not None:
        found["heatmap"] = heatmap_of(tx, row)
    return {what: content for what, content in found.items() if content is not None}


def prove(tx: Transaction, proof: Proof, permission: Permission) -> None:
    """Hold that the actor may do this, and has just proved to be themselves."""
    access.require(tx, permission, person=True)
    if proof.user_id != tx.actor.user_id or proof.method not in _METHODS:
        raise Forbidden("The proof is not of the person who is signed in; sign in as the one who signs.")
    if not -_FRESH <= tx.now - proof.at <= _FRESH:
        raise Forbidden("The proof is too old; give the password or the passkey again.")


def _refuse_unready(tx: Transaction, row: Report, state: DraftState, known: Readiness | None) -> None:
    draft = state.draft
    if draft.exercise:
        raise Conflict("This is an exercise and about no patient; it cannot be signed.")
    if blockers := blockers_of(Readiness.of(state, known), unconfirmed(tx, row)):
        raise NotReady(blockers)
    if not draft.section(Section.FINDINGS) and not draft.section(Section.IMPRESSION):
        raise Conflict("The draft says nothing of what the image shows; write findings or an impression.")


def _refuse_removed(tx: Transaction, state: DraftState) -> None:
    """Let nothing be signed about an image that was taken out of the case a moment ago."""
    content = state.working.content
    shown = {*state.material.images}
    shown |= {item.image.id for item in content.measurements} | {item.image.id for item in content.key_images}
    if tx.count(Image, Image.id.in_(shown), Image.removed_at.is_not(None)):
        raise Conflict(
            "An image of this report was removed; take out what points into it, or wait until the draft "
            "follows."
        )


def _sealed(
    tx: Transaction,
    row: Report,
    version_id: str,
    last: str | None,
    state: DraftState,
    hospital: Hospital,
    picture: PictureOf,
) -> Sealed:
    """The signed document with everything that was decided, and its pictures under the version's name."""
    user = tx.session.get_one(User, tx.actor.user_id)
    draft = _document(tx, row, state, hospital)
    document = replace(
        draft,
        replaces=_replaced(tx, row, hospital) if row.version else None,
        state=ReportState.AMENDED if row.version else ReportState.FINAL,
        signature=Signature(user.name, user.title, user.registration, signed_at=hospital.local(tx.now)),
    )
    judged = {item.label: item.judgement for item in document.judgements}
    if judged.get(document.heatmap_label or "") is not Judgement.ACCEPTED:
        document = replace(document, heatmap_label=None)
    contents = _pictures(tx, row, document, picture)
    keep_pictures(tx, row, version_id, contents)
    pictures = tuple(
        Picture(what, file, len(contents[what]), hashlib.sha256(contents[what]).hexdigest())
        for what, file in pictures_kept(tx, row, version_id).items()
    )
    pictures += keep_signed_pictures(tx, row, version_id, state.working.content)
    follows = withdrawal_queries.digest_after(tx, last) if last is not None else None
    return Sealed(document, pictures, state.working.decisions, reviews.reviews_of(tx, row.id), follows)


def _replaced(tx: Transaction, row: Report, hospital: Hospital) -> ReplacedVersion:
    _, signature = signed_rows(tx, row.id, row.version)
    return ReplacedVersion(row.version, hospital.local(signature.signed_at), tx.open_text(row, "amending"))


def _document(tx: Transaction, row: Report, state: DraftState, hospital: Hospital) -> ReportDocument:
    material, judged = state.material, state.judged
    label = material.heatmap_label
    return ReportDocument(
        id=row.id,
        content=state.working.content,
        result=material.result,
        identity=identity_for(tx, row.patient_id, material.identity),
        tags=material.tags,
        hospital=hospital,
        state=ReportState.DRAFT,
        created=hospital.local(tx.now),
        version=row.version + 1,
        heatmap_label=None if label is None or judged.get(label) is Judgement.REJECTED else label,
        judgements=tuple(JudgedFinding(name, judgement) for name, judgement in judged.items()),
        images=_reported_images(tx, row, material),
        number=number_of(tx, row),
        department=tx.session.get_one(Case, row.case_id).department or "",
    )


def _reported_images(tx: Transaction, row: Report, material: Material) -> tuple[ReportedImage, ...]:
    """The images of the study, where it has several: the one that stands for it, then the others."""
    if len(material.images) < 2:
        return ()
    found = []
    for image_id in sorted(material.images, key=lambda one: (one != row.image_id, one)):
        image = images.load_image(tx, image_id)
        described = images.load_metadata(tx, image)
        uids = described.identity.series_uid, described.identity.instance_uid
        found.append(ReportedImage(image_id, image.view, *uids, described.tags.sop_class))
    return tuple(found)


def _add_signature(
    tx: Transaction, version_id: str, proof: Proof, document: ReportDocument, content: bytes
) -> None:
    assert document.signature is not None
    row = SignatureRow(version_id=version_id, **asdict(document.signature))
    row.user_id, row.method, row.digest = proof.user_id, proof.method, digest_of(content)
    tx.session.add(row)


def _last_version(tx: Transaction, row: Report) -> str | None:
    wanted = select(ReportVersion.id).where(
        ReportVersion.report_id == row.id, ReportVersion.number == row.version
    )
    return tx.session.scalar(wanted)


def settle_case(tx: Transaction, case_id: str) -> None:
    """Let the state of an open case follow its images, its work and its reports.

    It is to be read while a report of it is being written, and signed when none is, a signed one stands, and
    no image still waits for a model. Images that were removed count nowhere.
    """
    tx.session.flush()
    case = tx.session.get_one(Case, case_id, with_for_update=True)
    if case.state.ended:
        return
    there = (Image.case_id == case_id, Image.removed_at.is_(None))
    open_jobs = select(Job.id).join(Image, Image.id == Job.image_id)
    open_jobs = open_jobs.where(*there, Job.state.in_((JobState.QUEUED, JobState.RUNNING)))
    if tx.count(Report, Report.case_id == case_id, Report.draft.is_not(None)):
        state = CaseState.TO_READ
    elif tx.session.scalar(open_jobs.limit(1)) is not None:
        state = CaseState.PROCESSING
    elif tx.count(Report, Report.case_id == case_id, withdrawal_queries.standing()):
        state = CaseState.SIGNED
    else:
        state = CaseState.TO_READ if tx.count(Image, *there) else CaseState.WAITING
    if state is case.state:
        return
    case.state, case.updated_at = state, tx.now
    tx.announce("case", case_id)
    if state is not CaseState.SIGNED:
        return
    if not case.restricted:  # there the claim lets the signer read it; it ends by itself
        tx.session.execute(delete(Claim).where(Claim.case_id == case_id))
    tx.session.execute(delete(Assignment).where(Assignment.case_id == case_id))


def _without_hints(draft: Draft) -> Draft:
    return replace(draft, sentences=tuple(replace(item, hints=()) for item in draft.sentences))


def _was_corrected(draft: Draft, machine: Draft) -> bool:
    """Whether a person wrote in a draft or took something out; an accepted finding corrects nothing."""
    by_hand = any(item.by_person for item in draft.sentences)
    return by_hand or _statements(draft) != _statements(machine)


def _statements(draft: Draft) -> set[tuple[Section, str]]:
    """What a draft says in which part: of each finding that, whatever the words, and every other sentence."""
    return {
        (item.section, what)
        for item in draft.sentences
        for what in (stated_labels(item) if item.certainty else (item.text,))
    }
