"""An earlier image is judged while a draft that compares with it is being written."""

from __future__ import annotations

from tests.records import changes
from tests.records.kit import take_job
from tests.service.reading_room import drawn, made_room
from tetkik.imaging.read import read_image
from tetkik.records.cases import cases
from tetkik.records.images import images, jobs
from tetkik.records.images.images import ImageMetadata
from tetkik.records.images.jobs import JobKind
from tetkik.records.reports import drafts
from tetkik.records.reports.report_inputs import material_of
from tetkik.records.schema import Report
from tetkik.values import Judgement, Priority
from tetkik.workflow.image_processing import ProcessingStage, read_case_image


def test_a_draft_compares_with_what_was_judged_while_it_was_written(tmp_path):
    room = made_room(tmp_path)
    records, file = room.app_context.records, drawn(tmp_path, 3, ())
    with records.write(room.reader) as tx:
        patient_id = images.load_image(tx, room.image_id).patient_id
        case_id = cases.open_case(tx, patient_id)
        earlier = drafts.draft_of(tx, drafts.report_of_image(tx, room.image_id) or "")
    with records.write(room.reader) as tx, file.open("rb") as content:
        stored = images.store_file(tx, patient_id, content)
        image = images.add_image(tx, case_id, stored, ImageMetadata.of(read_image(file), "chest.dcm")).image
        jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority.ROUTINE)
    with records.write(room.reader) as tx:
        work = take_job(tx, "test")
    assert work is not None

    def judge(stage: ProcessingStage, _text: str) -> None:
        if stage is ProcessingStage.KEEPING:
            with records.write(room.reader) as tx:
                changes.judge(tx, earlier.report_id, earlier.revision, "Effusion", Judgement.ADDED)

    read_case_image(records, room.app_context.settings, work, lambda *_: read_image(file), judge)
    with records.read() as tx:
        row = tx.session.get_one(Report, drafts.report_of_image(tx, image.id))
        prior = material_of(tx, row).prior
    assert prior is not None
    assert next(one for one in prior.findings if one.label == "Effusion").positive
    records.close()
