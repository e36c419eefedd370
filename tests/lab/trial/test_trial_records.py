"""A silent trial on the records: signed reports, an entry in the trail for each, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO

import pytest
from sqlalchemy import func, select

from tests.documents import sample
from tests.lab.trial.archives import write_study
from tests.records.kit import made_records
from tests.records.reports_kit import made_report, signed_report
from tetkik.lab.engine.charts import write_evaluation
from tetkik.lab.trial.evaluate import evaluate_trial
from tetkik.lab.trial.journal import Journal
from tetkik.lab.trial.recorded import RecordedStudies
from tetkik.lab.trial.run import begin, run_trial
from tetkik.lab.trial.trial_page import view
from tetkik.language import Language
from tetkik.records.images import images
from tetkik.records.schema import AuditRow, Base
from tetkik.values import SYSTEM


@pytest.fixture
def hospital(tmp_path, monkeypatch):
    """Three signed reports, one of a restricted case and one from the trial's own model; and a draft."""
    numbers = iter(range(9))

    def picture(*_, **__):
        path = tmp_path / "film.dcm"
        write_study(path, next(numbers), blob=True, patient="P-0001")
        return path.read_bytes()

    records = made_records(tmp_path / "hospital")
    with monkeypatch.context() as patched:
        patched.setattr(
            "tests.records.reports_kit.made_image", lambda records, case: _image(records, case, picture())
        )
        kept = signed_report(records)
        signed_report(records, restricted=True)
        signed_report(records, result=replace(sample.RESULT, model="findings-blobs 1.0"))
        made_report(records)
    yield records, kept
    records.close()


def _image(records, case_id, content):
    from tetkik.imaging.read import read_bytes
    from tetkik.records.people import access

    described = images.ImageMetadata.of(read_bytes(content, "film"))
    with records.write(SYSTEM) as tx:
        patient = access.load_visible_case(tx, case_id).patient_id
        return images.add_image(
            tx, case_id, images.store_file(tx, patient, BytesIO(content)), described
        ).image.id


def rows(records):
    with records.read() as tx:
        return {
            table.name: tx.session.scalar(select(func.count()).select_from(table))
            for table in Base.metadata.sorted_tables
        }


def test_signed_reports_are_compared_and_only_the_access_is_written(hospital, blobs, limits, tmp_path):
    records, kept = hospital
    before = rows(records)
    out = tmp_path / "out"
    journal = begin(out, blobs, limits, RecordedStudies.kind)
    source = RecordedStudies(records, limits, blobs.name)
    run_trial(blobs, source, journal, workers=0)
    result = evaluate_trial(journal)
    assert len(result.judged) == result.counts.reports == 1
    assert result.counts.left_out == {"restricted": 1, "same_model": 1}
    after = rows(records)
    with records.read() as tx:
        read = tx.session.scalars(select(AuditRow).where(AuditRow.action == "trial.read")).all()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {AuditRow.__tablename__}
    assert {row.case_id for row in read} >= {kept.case_id} and all(row.patient_id for row in read)
    assert limits.sha256 in (read[0].content or "")
    line = json.loads((out / "images.jsonl").read_text())
    assert line["truth"]["Nodule"] == 0 and "Effusion" not in line["truth"]  # the composer hedges
    assert line["parts"]["reader"] == "assisted" and line["parts"]["site"] == "Merkez"
    write_evaluation(view(result), out, Language.EN)
    for file in out.iterdir():
        for secret in (kept.id, kept.case_id, kept.image_id, "P-0001", "Şahin", "ACC0"):
            assert secret.encode() not in file.read_bytes(), (file.name, secret)


def test_a_later_run_takes_what_was_signed_since(hospital, blobs, limits, tmp_path):
    records, _ = hospital
    source = RecordedStudies(records, limits, "another")
    journal = begin(tmp_path / "out", blobs, limits, RecordedStudies.kind)
    run_trial(blobs, source, journal, workers=0)
    signed_report(records)
    told = []

    def tell(_step, done, _total):
        told.append((done, Journal.open(tmp_path / "out").finished))

    run_trial(blobs, source, journal, workers=0, progress=tell)
    assert told == [(3, False)] and journal.finished
    assert len(evaluate_trial(journal).judged) == 3
    assert evaluate_trial(journal).counts.failed == 0
