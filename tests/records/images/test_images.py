"""Images and what models said of them: kept sealed, read back exactly, opened by those who may."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import pytest
from sqlalchemy import func, select

from tests.records.kit import made_case, made_user
from tests.records.pictured import film, put, radiograph, result
from tetkik.errors import Forbidden, NotFound, RecordsError
from tetkik.imaging.read import read_image
from tetkik.records.cases import cases
from tetkik.records.cases.patients import Person
from tetkik.records.images import images, runs
from tetkik.records.images.images import DerivedImageKind, ImageMetadata
from tetkik.records.images.runs import ModelAnswer
from tetkik.records.people.access import load_visible_case as see_case
from tetkik.records.schema import AuditRow, Blob, Image, Run, Score, Study
from tetkik.values import Measured, Role, RunState


@pytest.fixture
def technician(both_records):
    return made_user(both_records, Role.TECHNICIAN)


@pytest.fixture
def case(both_records, technician):
    return made_case(both_records, technician, department="Dahiliye")


def test_an_image_comes_back_byte_for_byte_with_what_it_says_of_itself(both_records, technician, case):
    added = put(both_records, technician, case, 3, "ŞAHİN gülçin.dcm")
    assert added.fresh
    with both_records.read() as tx:
        image = images.load_image(tx, added.image.id)
        assert image == added.image
        assert images.read_content(tx, image) == film(3) == b"".join(images.read_chunks(tx, image))
        assert images.load_metadata(tx, image) == ImageMetadata.of(radiograph(3), "ŞAHİN gülçin.dcm")
        assert images.load_sha256(tx, image) == radiograph(3).sha256
        assert (image.rows, image.columns, image.spacing) == (256, 256, radiograph(3).spacing)
        assert images.list_images(tx, case) == (image,)


def test_nothing_of_the_patient_lies_in_the_clear(both_records, technician, case):
    added = put(both_records, technician, case, 3, "SAHIN GULCIN.dcm")
    with both_records.read() as tx:
        row = tx.session.get_one(Image, added.image.id)
        study = tx.session.get_one(Study, row.study_id)
        stored = both_records.files.storage.path(row.file).read_bytes()
        # Words so long that no sealed file holds them by chance.
        words = (b"SENTETIK", b"SAHIN GULCIN", b"SYN000003", b"SYNTHETIC")
        for what, kept in (("image", row.tags), ("study", study.tags), ("file", stored)):
            assert [word for word in words if word in kept] == [], what
        assert radiograph(3).sha256 not in row.file


def test_what_a_decoder_reads_by_its_path_has_no_name_that_outlives_the_process(
    both_records, technician, case
):
    image = put(both_records, technician, case, 3).image
    with both_records.read() as tx:
        key = tx.key(image.patient_id)
    with both_records.files.plain(key, image.file) as path:
        assert path.read_bytes() == film(3) and read_image(path).rows == 256
        assert path.is_symlink() and path.stat().st_nlink == 0, "memory, and no file of a folder"
    assert not path.parent.exists()


@pytest.mark.both_databases
def test_the_same_file_twice_in_a_case_is_one_image(both_records, technician, case):
    first, again = (put(both_records, technician, case, 3) for _ in range(2))
    assert again.image == first.image and not again.fresh
    other = made_case(both_records, technician, Person("Başkası", "", "H-2"))
    assert put(both_records, technician, other, 3).fresh
    with both_records.read() as tx:
        assert tx.session.scalar(select(func.count()).select_from(Image)) == 2
        reported = select(func.count()).select_from(AuditRow).where(AuditRow.action == "image.uploaded")
        assert tx.session.scalar(reported) == 2
        # Each patient has a file of their own, under a name that does not tell that they are the same.
        assert len(set(tx.session.scalars(select(Image.file)))) == 2


def test_images_of_one_study_stand_together(both_records, technician, case):
    first, same, other = (put(both_records, technician, case, seed).image.study_id for seed in (3, 3, 4))
    assert first == same != other


def test_a_study_without_a_uid_is_one_for_the_case(both_records, technician, case):
    studies = set()
    for content in (b"one", b"two"):
        with both_records.write(technician) as tx:
            file = images.store_file(tx, see_case(tx, case).patient_id, BytesIO(content))
            described = ImageMetadata(radiograph().file_format, 8, 8)
            studies.add(images.add_image(tx, case, file, described).image.study_id)
    assert len(studies) == 1


def test_an_image_opens_for_those_who_may_open_its_case(both_records, technician, case):
    image_id = put(both_records, technician, case).image.id
    for departments, opens in ((("Dahiliye",), True), (("Üroloji",), False), ((), False), (("*",), True)):
        actor = made_user(both_records, Role.CLINICIAN, departments=departments)
        with both_records.read(actor) as tx:
            if opens:
                assert images.load_visible_image(tx, image_id).id == image_id
            else:
                with pytest.raises(Forbidden):
                    images.load_visible_image(tx, image_id)
    with both_records.read() as tx:
        for wrong in ("", "x" * 26, "../../etc/passwd", "0" * 26):
            with pytest.raises(NotFound):
                images.load_image(tx, wrong)


def test_a_file_that_was_altered_or_taken_away_is_told(both_records, technician, case):
    image = put(both_records, technician, case).image
    path = both_records.files.storage.path(image.file)
    whole = path.read_bytes()
    for spoilt in (whole[:-1], whole[:-20] + bytes(20), b""):
        path.write_bytes(spoilt)
        with both_records.read() as tx, pytest.raises(RecordsError):
            images.read_content(tx, image)
    path.unlink()
    with both_records.read() as tx, pytest.raises(RecordsError, match="missing"):
        images.read_content(tx, image)


def test_pictures_are_replaced_as_a_whole(both_records, technician, case):
    image = put(both_records, technician, case).image
    for names in (("Mass", "Effusion"), ("Effusion",)):
        with both_records.write(technician) as tx:
            kept = {name: images.store_derived_image(tx, image, name.encode()) for name in names}
            images.replace_derived_images(tx, image, DerivedImageKind.HEAT, kept)
            images.replace_derived_images(
                tx,
                image,
                DerivedImageKind.PREVIEW,
                {"": images.store_derived_image(tx, image, b"small")},
            )
        with both_records.read() as tx:
            assert images.heatmap_labels(tx, image.id) == tuple(sorted(names))
            for name in names:
                assert images.read_derived_image(tx, image, DerivedImageKind.HEAT, name) == name.encode()
            assert images.read_derived_image(tx, image, DerivedImageKind.PREVIEW) == b"small"
            assert tx.session.scalar(select(func.count()).select_from(Blob)) == len(names) + 1
            with pytest.raises(NotFound):
                images.read_derived_image(tx, image, DerivedImageKind.HEAT, "Hernia")


def test_an_answer_comes_back_exactly_and_every_score_stands_in_a_row(both_records, technician, case):
    image = put(both_records, technician, case).image
    said = result(measured=Measured(0.5, 0.25, 300, spacing=True, modality="DX"))
    with both_records.write(technician) as tx:
        run_id = runs.add_run(tx, image, ModelAnswer("m 1.0", "cd" * 32, datetime.now(UTC), said))
    with both_records.read() as tx:
        assert runs.load_result(tx, run_id) == said
        run = runs.load_run(tx, run_id)
        assert (run.state, run.route, run.flaws, run.screen) == (
            RunState.DONE,
            said.route,
            said.flaws,
            said.screen,
        )
        assert run.bundle_sha256 == "cd" * 32 and runs.load_latest_run(tx, image.id) == run
        scores = {row.label: row for row in tx.session.scalars(select(Score))}
        assert set(scores) == {"Effusion", "Mass"}
        assert scores["Effusion"].score == 2 / 3 and scores["Effusion"].probability == 1 / 7
        assert scores["Mass"].probability is None and not scores["Mass"].positive
        row = tx.session.get_one(Run, run_id)
        assert (row.brightness, row.contrast) == (0.5, 0.25)  # what drift is told by
        sealed = row.answer
        assert sealed is not None and b"Effusion" not in sealed


def test_a_refusal_is_an_answer_and_a_failure_is_none(both_records, technician, case):
    image = put(both_records, technician, case).image
    refused = result(suitable=False, findings=(), route=None)
    with both_records.write(technician) as tx:
        no = runs.add_run(tx, image, ModelAnswer("m 1.0", "", datetime.now(UTC), refused))
        failed = runs.add_run(tx, image, ModelAnswer("m 1.0", "", datetime.now(UTC), None))
    with both_records.read() as tx:
        assert [run.state for run in runs.list_runs(tx, image.id)] == [RunState.FAILED, RunState.REFUSED]
        assert runs.load_result(tx, no) == refused
        with pytest.raises(NotFound):
            runs.load_result(tx, failed)


def test_earlier_answers_are_those_of_the_same_patients_other_cases(both_records, technician):
    patient = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101")
    first = made_case(both_records, technician, patient)
    with both_records.read() as tx:
        patient_id = see_case(tx, first).patient_id
    with both_records.write(technician) as tx:
        second = cases.open_case(tx, patient_id)
    stranger = made_case(both_records, technician, Person("Başkası", "", "H-9"))
    last = {
        case_id: put(both_records, technician, case_id, seed).image
        for seed, case_id in enumerate((first, stranger, second))
    }
    for case_id in (first, stranger):
        for model in ("old 1.0", "new 1.0"):
            with both_records.write(technician) as tx:
                runs.add_run(
                    tx, last[case_id], ModelAnswer(model, "", datetime.now(UTC), result(model=model))
                )
    with both_records.read() as tx:
        (only,) = runs.list_earlier_runs(tx, last[second])
        assert (only.case_id, only.bundle) == (first, "new 1.0")
        assert runs.list_earlier_runs(tx, last[first]) == ()
