"""One report for all images of a study: joined findings, late images, removed and moved ones."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from tests.records import changes
from tests.records.kit import made_case, made_user, take_job
from tests.records.pictured import film
from tests.records.reports_kit import drawn, made_image, reports_of_case, sign
from tests.service.kit import make_context
from tetkik.errors import Conflict, InputError
from tetkik.imaging.read import read_bytes
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.images import ImageMetadata
from tetkik.records.images.jobs import JobKind
from tetkik.records.reports import drafts, signing, versions
from tetkik.records.schema import AuditRow, Blob, Report
from tetkik.records.worklist.worklist_items import load_items
from tetkik.rules.editing import DraftEdit
from tetkik.values import (
    SYSTEM,
    CaseState,
    DraftSentence,
    Priority,
    RemovalReason,
    ReportState,
    Role,
    Section,
    View,
)
from tetkik.workflow import image_removal
from tetkik.workflow.image_processing import _let_draft, read_case_image, record_failure
from tetkik.workflow.pixel_reader import PixelReader
from tetkik.workflow.reports import key_image

pytestmark = pytest.mark.both_databases
UID = "1.2.826.0.1.3680043.8.498.77"


class Study:
    """A hospital with one case, whose images are put in and read one by one."""

    def __init__(self, app_context):
        self.context, self.records = app_context, app_context.records
        self.technician = made_user(self.records, Role.TECHNICIAN)
        self.reader = made_user(self.records, Role.RADIOLOGIST)
        self.case_id = made_case(self.records, made_user(self.records, Role.RECEPTION))
        self.read: list[tuple[str, int | None]] = []

    def add(
        self,
        seed: int,
        *signs: str,
        view: View | None = None,
        case_id: str | None = None,
        frame: int | None = None,
    ) -> str:
        """An image of the study, waiting for a model; one of seven frames where one of them is to be read."""
        content = film(seed, signs, side=512)
        read = read_bytes(content, "film")
        identity = replace(read.identity, study_uid=UID, patient_name="", patient_id="", birth_date=None)
        described = replace(ImageMetadata.of(read, "film.dcm"), identity=identity, view=view or read.view)
        if frame is not None:
            described = replace(described, tags=replace(described.tags, frames=7))
        with self.records.write(self.technician) as tx:
            case = cases.load_case(tx, case_id or self.case_id, audit=False)
            stored = images.store_file(tx, case.patient_id, io.BytesIO(content))
            image = images.add_image(tx, case.id, stored, described).image
            jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority.ROUTINE, frame=frame)
        return image.id

    def read_all(self) -> int:
        """Do the work that waits; gives how many pieces."""
        done = 0
        while True:
            with self.records.write(SYSTEM) as tx:
                work = take_job(tx, "w")
            if work is None:
                return done
            read_case_image(self.records, self.context.settings, work, self.pixels)
            done += 1

    def pixels(self, image, frame):
        self.read.append((image.id, frame))
        with self.records.read() as tx:
            return read_bytes(images.read_content(tx, image), "film")

    def report(self) -> str:
        with self.records.read() as tx:
            (found,) = reports_of_case(tx, self.case_id)
        return found

    def draft(self):
        with self.records.read() as tx:
            return drafts.draft_of(tx, self.report())

    def sign(self, picture: signing.PictureOf = drawn) -> None:
        report_id = self.report()
        with self.records.write(self.reader) as tx:
            sign(tx, report_id, self.reader, picture)


@pytest.fixture
def study(both_records, tmp_path):
    return Study(make_context(tmp_path, both_records))


def test_two_images_of_a_study_have_one_report_with_the_findings_of_both(study):
    first, second = study.add(1), study.add(2, "Effusion")
    assert study.read_all() == 2
    draft = study.draft()
    with study.records.read() as tx:
        results = runs.load_study_results(tx, images.load_image(tx, first).study_id)
        assert list(results) == [first, second]
    found = {item.label: item for item in draft.result.findings if item.assessed}
    assert {item.image_id for item in found.values()} <= {first, second}
    for label, item in found.items():
        answers = {
            image_id: next(one for one in result.findings if one.label == label)
            for image_id, result in results.items()
        }
        assert item == replace(answers[item.image_id], image_id=item.image_id)
        weakest = min if label == "Normal" else max
        assert item.strength == weakest(one.strength for one in answers.values())
    study.sign()
    with study.records.read() as tx:
        assert cases.load_case(tx, study.case_id, audit=False).state is CaseState.SIGNED
        document = versions.version_of(tx, study.report()).document
        assert {item.id for item in document.images} == {first, second}


def test_the_image_that_stands_for_a_study_is_shown_at_the_frame_that_was_judged(study):
    lead = study.add(1, "Effusion", frame=2)
    study.read_all()
    other = study.add(2, frame=6)
    study.read_all()
    assert study.draft().image_id == lead
    assert study.read == [(lead, 2), (other, 6), (lead, 2)]
    shown = []
    study.sign(lambda image, frame: shown.append((image.id, frame)))
    assert shown == [(lead, 2)]


def test_a_frame_that_was_asked_for_in_vain_is_not_the_one_in_the_report(study):
    lead = study.add(1, "Effusion", frame=2)
    study.read_all()
    study.add(2, frame=6)
    study.read_all()
    with study.records.write(study.technician) as tx:
        jobs.add_job(tx, JobKind.READ_IMAGE, images.load_image(tx, lead), Priority.ROUTINE, frame=5)
    with study.records.write(SYSTEM) as tx:
        work = take_job(tx, "w")
    assert work is not None
    record_failure(study.records, study.context.settings, work, InputError("There is no such frame."))
    assert study.read_all() == 1  # the other image drafts
    shown = []
    study.sign(lambda image, frame: shown.append((image.id, frame)))
    assert shown == [(lead, 2)]


def test_nobody_guesses_the_frame_of_a_report_that_was_begun_by_hand(study):
    image_id = made_image(study.records, study.case_id, frames=7)
    with study.records.write(study.reader) as tx:
        report = drafts.write_by_hand(tx, image_id, Language.TR)
    shown = []
    study.sign(lambda image, frame: shown.append(frame))
    with study.records.read() as tx:
        assert not shown and versions.version_of(tx, report.report_id).document.image is None


def test_the_picture_of_the_image_is_drawn_for_the_signature_and_for_no_draft(study):
    study.add(1, "Effusion")
    study.read_all()
    with study.records.read() as tx:
        assert not tx.count(Blob, Blob.kind == "report-image")
    pixels = PixelReader(study.records, 1)
    try:
        study.sign(pixels.report_picture)
    finally:
        pixels.close()
    with study.records.read() as tx:
        document = versions.version_of(tx, study.report()).document
    assert document.image == key_image(read_bytes(film(1, ("Effusion",), side=512), "film"))


def test_a_file_that_cannot_be_read_has_no_picture(study):
    image_id = made_image(study.records, study.case_id, b"no image")
    with study.records.read() as tx:
        image = images.load_image(tx, image_id)
    pixels = PixelReader(study.records, 1)
    try:
        assert pixels.report_picture(image, 1) is None
    finally:
        pixels.close()


def test_only_the_last_image_drafts_and_two_at_once_leave_no_study_without_a_draft(study):
    study.add(1)
    study.add(2)
    with study.records.write(SYSTEM) as tx:
        works = [work for work in (take_job(tx, "w"), take_job(tx, "v")) if work is not None]
    read_case_image(study.records, study.context.settings, works[0], study.pixels)
    with study.records.read() as tx:
        assert reports_of_case(tx, study.case_id) == ()
    # The second began while the first had not ended, and so leaves the draft to it: one of them drafts later.
    with study.records.write(SYSTEM) as tx:
        jobs.finish_job(tx, works[1])
        image = images.load_image(tx, works[1].image_id)
        _let_draft(tx, image)
    assert study.read_all() == 1
    assert study.draft().draft.sentences


def test_a_late_image_opens_a_signed_report_as_its_next_version(study):
    study.add(1)
    study.read_all()
    study.sign()
    with study.records.read() as tx:
        before = versions.version_of(tx, study.report())
    late = study.add(2, "Effusion")
    study.read_all()
    draft = study.draft()
    assert draft.amending and draft.version == 1 and draft.state is ReportState.FINAL
    texts = [item.text for item in before.document.draft.sentences]
    assert [item.text for item in draft.draft.sentences] == texts
    assert [notice.values for notice in draft.draft.notices if "came" in notice.template] == [{"count": 1}]
    assert late in {item.image_id for item in draft.result.findings}
    with study.records.read() as tx:
        assert versions.version_of(tx, study.report()).document == before.document
        assert cases.load_case(tx, study.case_id, audit=False).state is CaseState.TO_READ
    study.sign()
    with study.records.read() as tx:
        assert [one.number for one in versions.versions_of(tx, study.report())] == [1, 2]


def test_a_late_image_leaves_the_words_of_a_person(study):
    study.add(1)
    study.read_all()
    draft = study.draft()
    own = DraftSentence("Kalp boyutu normaldir.", Section.FINDINGS)
    with study.records.write(study.reader) as tx:
        changes.save(tx, draft.report_id, draft.revision, DraftEdit([own]))
    study.add(2, "Effusion")
    study.read_all()
    after = study.draft()
    assert [item.text for item in after.draft.sentences] == [own.text]
    assert after.revision == draft.revision + 1 and after.updated_by is not None
    assert any("came" in notice.template for notice in after.draft.notices)


def test_an_image_is_removed_and_put_back(study):
    first, second = study.add(1), study.add(2, "Effusion")
    study.read_all()
    with study.records.write(study.technician) as tx:
        image_removal.remove_image(tx, second, RemovalReason.WRONG_PATIENT)
    study.read_all()
    with study.records.read() as tx:
        assert [image.id for image in images.list_images(tx, study.case_id)] == [first]
        (gone,) = images.list_images(tx, study.case_id, removed=True)
        assert (gone.id, gone.removal_reason) == (second, RemovalReason.WRONG_PATIENT)
    assert {item.image_id for item in study.draft().result.findings} == {None}
    with pytest.raises(Conflict, match="removed already"), study.records.write(study.technician) as tx:
        image_removal.remove_image(tx, second, RemovalReason.TEST)
    with study.records.write(study.technician) as tx:
        image_removal.restore_image(tx, second)
    study.read_all()
    assert second in {item.image_id for item in study.draft().result.findings}
    with study.records.read() as tx:
        actions = tx.session.scalars(AuditRow.__table__.select().with_only_columns(AuditRow.action)).all()
    assert {Action.IMAGE_REMOVED, Action.IMAGE_RESTORED} <= set(actions)


def test_with_its_last_image_an_unsigned_draft_goes_and_a_signed_report_holds_it(study):
    only = study.add(1)
    study.read_all()
    with study.records.read() as tx:
        (shown,) = load_items(tx, [study.case_id])
    with study.records.write(study.technician) as tx:
        image_removal.remove_image(tx, only, RemovalReason.TEST)
    with study.records.read() as tx:
        (row,) = load_items(tx, [study.case_id])
        assert shown.modalities and shown.body_parts and shown.study and shown.job
        assert (row.modalities, row.body_parts, row.study, row.job) == ((), (), None, None)
        assert tx.count(Report, Report.case_id == study.case_id) == 0
        assert cases.load_case(tx, study.case_id, audit=False).state is CaseState.WAITING
    with study.records.write(study.technician) as tx:
        image_removal.restore_image(tx, only)
        (row,) = load_items(tx, [study.case_id])
        assert (row.modalities, row.study) == (shown.modalities, shown.study)
    study.read_all()
    study.sign()
    with pytest.raises(Conflict, match="withdraw the report first"), study.records.write(study.reader) as tx:
        image_removal.remove_image(tx, only, RemovalReason.TEST)


def test_an_image_is_moved_to_another_case_and_back(study):
    first, second = study.add(1), study.add(2)
    study.read_all()
    with study.records.read() as tx:
        patient = cases.load_case(tx, study.case_id, audit=False).patient_id
    desk = made_user(study.records, Role.RECEPTION)
    with study.records.write(desk) as tx:
        other = cases.open_case(tx, patient)
    with study.records.write(study.technician) as tx:
        copy = image_removal.move_image(tx, second, other, RemovalReason.WRONG_CASE)
    study.read_all()
    with study.records.read() as tx:
        assert [image.id for image in images.list_images(tx, other)] == [copy.id]
        assert [image.id for image in images.list_images(tx, study.case_id)] == [first]
        assert len(reports_of_case(tx, other)) == 1
    with study.records.write(study.technician) as tx:
        image_removal.restore_image(tx, second)
    study.read_all()
    with study.records.read() as tx:
        assert images.list_images(tx, other) == () and reports_of_case(tx, other) == ()
        assert cases.load_case(tx, other, audit=False).state is CaseState.WAITING
        assert [image.id for image in images.list_images(tx, study.case_id)] == [first, second]


def test_a_signed_report_says_that_an_image_of_it_was_removed(study):
    study.add(1)
    second = study.add(2, "Effusion")
    study.read_all()
    study.sign()
    with study.records.write(study.technician) as tx:
        image_removal.remove_image(tx, second, RemovalReason.POOR_QUALITY)
    study.read_all()
    draft = study.draft()
    assert draft.amending and any("removed" in notice.template for notice in draft.draft.notices)
    with study.records.write(study.reader) as tx:
        signing.drop_amendment(tx, draft.report_id, draft.revision)
        assert cases.load_case(tx, study.case_id, audit=False).state is CaseState.SIGNED


def test_nothing_is_signed_about_an_image_that_was_removed_a_moment_ago(study):
    study.add(1)
    second = study.add(2, "Effusion")
    study.read_all()
    with study.records.write(study.technician) as tx:
        image_removal.remove_image(tx, second, RemovalReason.WRONG_PATIENT)
    with pytest.raises(Conflict, match="was removed"):
        study.sign()
    with study.records.write(study.technician) as tx:
        image_removal.restore_image(tx, second)
    study.read_all()
    study.sign()
    with study.records.read() as tx:
        assert cases.load_case(tx, study.case_id, audit=False).state is CaseState.SIGNED


def test_an_image_that_is_removed_while_a_model_reads_it_gets_no_draft(study):
    image_id = study.add(1)
    with study.records.write(SYSTEM) as tx:
        work = take_job(tx, "w")
    assert work is not None

    def removed_meanwhile(image, frame):
        with study.records.write(study.technician) as tx:
            image_removal.remove_image(tx, image_id, RemovalReason.WRONG_PATIENT)
        return study.pixels(image, frame)

    read_case_image(study.records, study.context.settings, work, removed_meanwhile)
    with study.records.read() as tx:
        assert reports_of_case(tx, study.case_id) == ()
        assert cases.load_case(tx, study.case_id, audit=False).state is CaseState.WAITING
