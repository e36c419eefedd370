"""Image removal: one image is taken out of a case, or moved to another one, and the act can be undone.

The file stays, sealed, until the retention of its patient ends; lists, viewers, models and drafts leave it
out. The report of its study is checked or drafted again from the images that are left.
"""

from __future__ import annotations

from sqlalchemy import delete, select

from tetkik.errors import Conflict
from tetkik.records.audit_chain import Action
from tetkik.records.cases import filter_index, identity_comparison, transfers
from tetkik.records.cases.locks import lock_jobs, lock_reports_for_image
from tetkik.records.cases.priority import update_worklist
from tetkik.records.database import Transaction
from tetkik.records.images import copying, images, jobs, presentation_states
from tetkik.records.images.images import StoredImage
from tetkik.records.images.jobs import JobKind
from tetkik.records.people.access import load_visible_case
from tetkik.records.reports import drafts, signing, withdrawal_queries
from tetkik.records.reports.report_inputs import keep_working
from tetkik.records.schema import Case, FindingReview, Image, Job, Report
from tetkik.records.worklist import claims
from tetkik.values import JobState, Priority, RemovalReason
from tetkik.values.radiograph import Difference


def remove_image(tx: Transaction, image_id: str, reason: RemovalReason) -> StoredImage:
    """Take an image out of its case.

    With the last image of a study its unsigned draft goes, too; a signed report is withdrawn first.

    Raises:
        Conflict: it is removed already, its case has ended, or the signed report of its study would be left
            without an image.
    """
    row = _held(tx, image_id)
    if row.removed_at is not None:
        raise Conflict("This image was removed already; load the page again.")
    return _remove(tx, row, reason)


def restore_image(tx: Transaction, image_id: str) -> StoredImage:
    """Put an image back that was removed; the copy of one that was moved is removed from where it went.

    Raises:
        Conflict: it was not removed, or its case has ended, or the one that it was moved to.
    """
    row = _held(tx, image_id)
    if row.removed_at is None:
        raise Conflict("This image is in its case; load the page again.")
    if row.moved_to is not None:
        copy = _held(tx, _now_of(tx, row, row.moved_to))
        if copy.removed_at is None:
            _remove(tx, copy, RemovalReason.WRONG_CASE)
    row.removed_at = row.removed_by = row.removal_reason = row.moved_to = None
    tx.session.flush()
    tx.audit_about(Action.IMAGE_RESTORED, row)
    image = images.load_image(tx, image_id)
    _read_again(tx, image)
    return image


def move_image(
    tx: Transaction, image_id: str, case_id: str, reason: RemovalReason, *, sure: bool = False
) -> StoredImage:
    """Move an image to another case, of the same patient or of another; gives the image there.

    Raises:
        Conflict: as in `remove_image`; or the image says that it is of another patient than that case, and
            nobody has said that they are sure.
    """
    row = _held(tx, image_id)
    if row.removed_at is not None:
        raise Conflict("This image was removed already; load the page again.")
    target = load_visible_case(tx, case_id)
    if case_id == row.case_id:
        raise Conflict("The image is in that case already; choose another one.")
    tx.session.refresh(target, with_for_update={"key_share": True})
    transfers.require_open(tx, target)
    image = images.load_image(tx, image_id)
    differs = differences(tx, image, target)
    if differs and not sure:
        raise Conflict(
            "The image says that it is of another patient than that case; compare the two, and move it only "
            "if you are sure."
        )
    copy = _copied(tx, image, target)
    traits = ",".join(one.trait.value for one in differs) or None
    if differs:
        images.confirm_identity(tx, copy.id, [one.trait for one in differs])
    tx.audit_about(
        Action.IMAGE_UPLOADED,
        tx.session.get_one(Image, copy.id),
        moved_from=tx.session.get_one(Case, row.case_id).number,
        confirmed=traits,
    )
    _read_again(tx, copy)
    row.moved_to = copy.id
    _remove(tx, row, reason)
    return copy


def _copied(tx: Transaction, image: StoredImage, target: Case) -> StoredImage:
    """The image in another case: a copy, or the one that was removed there before."""
    known = _same_in(tx, image, target)
    if known is None:
        (copy,) = copying.copy_images(tx, target, [image])
        return copy
    if known.removed_at is None:
        raise Conflict("That case has this image already; remove it here instead.")
    known.removed_at = known.removed_by = known.removal_reason = known.moved_to = None
    tx.session.flush()
    copy = images.load_image(tx, known.id)
    presentation_states.copy_states(tx, image, copy)
    return copy


def _same_in(tx: Transaction, image: StoredImage, case: Case) -> Image | None:
    """The image of a case with the same file, whether it counts there or not."""
    name = tx.vault.file_name(case.patient_id, images.load_sha256(tx, image))
    return tx.session.scalar(select(Image).where(Image.case_id == case.id, Image.file == name))


def _now_of(tx: Transaction, row: Image, copy_id: str) -> str:
    """The copy of an image that was moved; where the case of the copy was moved itself, the one there."""
    case_id = tx.session.get_one(Image, copy_id).case_id
    while (to := transfers.load_moves(tx, case_id).to) is not None:
        case_id = to.id
    there = _same_in(tx, images.load_image(tx, row.id), tx.session.get_one(Case, case_id))
    return copy_id if there is None else there.id


def differences(tx: Transaction, image: StoredImage, target: Case) -> tuple[Difference, ...]:
    """Where an image names another patient than the one of a case."""
    identity = images.load_metadata(tx, image).identity
    return identity_comparison.compare_with_patient(tx, target.patient_id, identity)


def _held(tx: Transaction, image_id: str) -> Image:
    """The row of an image in an open case that the actor may see; nobody else changes the case meanwhile."""
    image = images.load_visible_image(tx, image_id)
    lock_jobs(tx, image.case_id)
    lock_reports_for_image(tx, image_id)
    case = load_visible_case(tx, image.case_id)
    tx.session.refresh(case, with_for_update={"key_share": True})
    transfers.require_open(tx, case)
    row = tx.session.get_one(Image, image_id)
    tx.session.refresh(row, with_for_update={"key_share": True})
    return row


def _remove(tx: Transaction, row: Image, reason: RemovalReason) -> StoredImage:
    image = images.load_image(tx, row.id)
    left = [one for one in drafts.images_of_report(tx, image) if one.id != row.id]
    report_id = drafts.report_of_image(tx, row.id)
    if report_id is not None and not left:
        _drop_draft(tx, tx.session.get_one(Report, report_id))
    row.removed_at, row.removed_by, row.removal_reason = tx.now, tx.actor.user_id, reason
    waiting = (Job.image_id == row.id, Job.state == JobState.QUEUED)
    tx.session.execute(delete(Job).where(*waiting))
    tx.session.flush()
    tx.audit_about(Action.IMAGE_REMOVED, row, reason=reason, moved_to=row.moved_to)
    update_worklist(tx, row.case_id)
    if left:
        _read_again(tx, left[0])
    else:
        signing.settle_case(tx, row.case_id)
    tx.announce("case", row.case_id)
    return images.load_image(tx, row.id)


def _drop_draft(tx: Transaction, report: Report) -> None:
    if report.version:
        if withdrawal_queries.now_of_reports(tx, [report.id]):
            keep_working(tx, report, None)  # what is withdrawn stays; the draft begun anew is about nothing
            return
        raise Conflict(
            "This is the only image of a signed report; withdraw the report first, then remove the image."
        )
    reader = claims.reader_of_case(tx, report.case_id)
    if report.updated_by is not None and reader is not None and reader.user_id != tx.actor.user_id:
        raise Conflict(
            "{name} is writing the report of this image; ask them first, for its text goes with it.",
            name=reader.name,
        )
    tx.audit_about(Action.DRAFT_CHANGED, report, given_up=True, revision=report.revision)
    tx.session.execute(delete(FindingReview).where(FindingReview.report_id == report.id))
    tx.session.delete(report)
    tx.session.flush()


def _read_again(tx: Transaction, image: StoredImage) -> None:
    """Let a model read an image: whoever reads the last of a study drafts its report from those there are."""
    case = tx.session.get_one(Case, image.case_id)
    jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority(case.priority))
    filter_index.refresh_filter_index(tx, image.case_id)
    signing.settle_case(tx, image.case_id)
    tx.announce("case", image.case_id)
