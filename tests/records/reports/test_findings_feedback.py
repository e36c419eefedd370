"""What radiologists said of findings, as a table to train from: no identity, and nothing that nobody said."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from io import BytesIO

import pydicom
import pytest
from PIL import Image
from sqlalchemy import select, text
from typer.testing import CliRunner

from tests.documents import sample
from tests.phantom import write_phantom
from tests.records import changes
from tests.records.kit import made_records, made_user
from tests.records.reports_kit import made_report
from tetkik.cli.app import app
from tetkik.lab.findings.data import read_labels
from tetkik.records.images import images
from tetkik.records.reports import drafts
from tetkik.records.reports.findings_feedback import judged_images, write_feedback
from tetkik.records.schema import AuditRow
from tetkik.records.schema import Image as ImageRow
from tetkik.settings import settings
from tetkik.values import SYSTEM, Judgement, Role


@pytest.fixture
def records(tmp_path):
    opened = made_records(tmp_path / "hospital")
    yield opened
    opened.close()


def judge(records, made, **verdicts):
    actor = made_user(records, Role.RADIOLOGIST)
    with records.write(actor) as tx:
        revision = drafts.draft_of(tx, made.id).revision
        for label, judgement in verdicts.items():
            revision = changes.judge(tx, made.id, revision, label, Judgement(judgement)).revision


def with_image(records, content, file_format, **made):
    """A report whose image has a real file."""
    report = made_report(records, **made)
    with records.write(SYSTEM) as tx:
        image = images.load_image(tx, report.image_id)
        stored = images.store_file(tx, image.patient_id, BytesIO(content))
        row = tx.session.get_one(ImageRow, image.id)
        row.file, row.file_format = stored.name, file_format
    return report


def export(records, folder, *, pictures=False, since=None, until=None):
    with records.write(SYSTEM) as tx:
        judged = judged_images(tx, since, until)
        return judged, write_feedback(tx, judged, folder, pictures=pictures)


def table(folder):
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_verdict_is_a_label_and_what_nobody_judged_is_blank(records, tmp_path):
    first, second = made_report(records), made_report(records)
    made_report(records)  # nobody judged it
    judge(records, first, Effusion="accepted", Cardiomegaly="rejected", Nodule="added", Mass="accepted")
    judge(records, second, Effusion="rejected")
    judged, written = export(records, tmp_path / "out")
    rows = table(tmp_path / "out")
    assert [list(row)[2:] for row in rows] == [["Cardiomegaly", "Effusion", "Mass", "Nodule"]] * 2
    assert [[row[label] for label in ("Effusion", "Cardiomegaly", "Nodule", "Mass")] for row in rows] == [
        ["1", "0", "1", "0"],
        ["0", "", "", ""],
    ]
    assert judged.verdicts == {Judgement.ACCEPTED: 2, Judgement.REJECTED: 2, Judgement.ADDED: 1}
    assert (written.rows, written.pictures, written.refused) == (2, 0, {})


def test_the_table_names_nobody_and_is_the_same_every_time(records, tmp_path):
    made = made_report(records)
    judge(records, made, Effusion="accepted")
    export(records, tmp_path / "a")
    export(records, tmp_path / "b")
    content = (tmp_path / "a" / "labels.csv").read_text("utf-8")
    assert content == (tmp_path / "b" / "labels.csv").read_text("utf-8")
    for secret in (made.id, made.image_id, made.case_id, "ŞAHİN", "H-1", "2026-"):
        assert secret not in content


def test_images_of_one_patient_have_one_pseudonym(records, tmp_path):
    first = made_report(records)
    second = made_report(records, case_id=first.case_id)
    other = made_report(records)
    for made in (first, second, other):
        judge(records, made, Effusion="accepted")
    export(records, tmp_path / "out")
    patients = [row["patient_id"] for row in table(tmp_path / "out")]
    assert len(patients) == 3 and len(set(patients)) == 2
    assert len({row["file"] for row in table(tmp_path / "out")}) == 3


def test_training_reads_what_was_written(records, tmp_path):
    file = tmp_path / "phantom.dcm"
    write_phantom(file, 1, rows=128, columns=120, marker=False)
    made = with_image(records, file.read_bytes(), "dicom")
    judge(records, made, Effusion="accepted", Nodule="added", Cardiomegaly="rejected")
    _, written = export(records, tmp_path / "out", pictures=True)
    assert (written.rows, written.pictures, dict(written.refused)) == (1, 1, {})
    read = read_labels(tmp_path / "out" / "labels.csv", tmp_path / "out" / "images")
    (path,) = (tmp_path / "out" / "images").iterdir()
    assert [file.name for file in read.files] == [path.name]
    known = dict(zip(read.labels, read.truth[0].tolist(), strict=True))
    assert (known["Effusion"], known["Nodule"], known["Cardiomegaly"], known["Mass"]) == (1, 1, 0, -1)
    dataset = pydicom.dcmread(path)
    assert dataset.PatientIdentityRemoved == "YES" and not dataset.get("PatientName")
    original = pydicom.dcmread(file)
    assert (dataset.pixel_array == original.pixel_array).all()
    assert dataset.SOPInstanceUID != original.SOPInstanceUID


def test_a_pictures_metadata_stay_behind(records, tmp_path):
    annotated = Image.new("L", (64, 60), 90)
    packed = BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "Gulcin SAHIN"
    annotated.save(packed, "PNG", exif=exif)
    made = with_image(records, packed.getvalue(), "png")
    judge(records, made, Effusion="accepted")
    export(records, tmp_path / "out", pictures=True)
    (path,) = (tmp_path / "out" / "images").iterdir()
    assert path.suffix == ".png" and b"SAHIN" not in path.read_bytes() and b"SAHIN" in packed.getvalue()
    assert Image.open(path).getpixel((5, 5)) == 90


def test_what_cannot_be_cleaned_is_refused_and_has_no_row(records, tmp_path):
    broken = with_image(records, b"no image at all", "dicom")
    other = with_image(records, sample.picture(), "png")
    for made in (broken, other):
        judge(records, made, Effusion="accepted")
    judged, written = export(records, tmp_path / "out", pictures=True)
    assert (len(judged.images), written.rows, len(written.refused)) == (2, 1, 1)
    assert len(table(tmp_path / "out")) == 1


def test_restricted_and_erased_are_left_out_and_counted(records, tmp_path):
    open_case = made_report(records)
    erased = made_report(records)
    restricted = made_report(records)
    for made in (open_case, erased, restricted):
        judge(records, made, Effusion="accepted")
    with records.engine.begin() as connection:
        connection.execute(text("UPDATE cases SET restricted = 1 WHERE id = :id"), {"id": restricted.case_id})
        connection.execute(
            text("UPDATE patients SET key = NULL WHERE id = (SELECT patient_id FROM cases WHERE id = :id)"),
            {"id": erased.case_id},
        )
    judged, written = export(records, tmp_path / "out")
    assert (written.rows, judged.restricted, judged.erased) == (1, 1, 1)


def test_the_days_bound_it_and_the_trail_tells(records, tmp_path):
    made = made_report(records)
    judge(records, made, Effusion="accepted")
    with records.read() as tx:
        now = tx.now
    assert export(records, tmp_path / "a", since=now + timedelta(days=1))[1].rows == 0
    assert export(records, tmp_path / "b", until=now - timedelta(days=1))[1].rows == 0
    assert export(records, tmp_path / "c", since=now - timedelta(days=1))[1].rows == 1
    with records.read() as tx:
        entries = select(AuditRow).where(AuditRow.action == "feedback.exported")
        contents = [row.content for row in tx.session.scalars(entries)]
    assert len(contents) == 3 and '"rows":1' in contents[2]


def test_the_command_says_what_it_wrote(records, tmp_path, monkeypatch):
    made = made_report(records)
    judge(records, made, Effusion="accepted", Nodule="added")
    monkeypatch.setenv("TETKIK_DATA_DIR", str(records.folder))
    settings.cache_clear()
    try:
        result = CliRunner().invoke(
            app,
            ["findings", "export-feedback", "--out", str(tmp_path / "out"), "--json", "--from", "2020-01-01"],
        )
        wrong = CliRunner().invoke(
            app, ["findings", "export-feedback", "--out", str(tmp_path), "--to", "soon"]
        )
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "images": 1,
        "rows": 1,
        "pictures": 0,
        "refused": 0,
        "verdicts": {"accepted": 1, "rejected": 0, "added": 1},
        "restricted": 0,
        "erased": 0,
    }
    assert len(table(tmp_path / "out")) == 1
    assert wrong.exit_code != 0
