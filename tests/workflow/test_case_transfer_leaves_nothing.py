"""After a move nothing of the case is left with the wrong patient, whenever the machine stops.

Images that were removed from it go along as well.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile

import pytest
from sqlalchemy import LargeBinary, select

from tests.records.desk import TEXT
from tests.records.kit import made_sqlite, made_user
from tests.records.moving_kit import made_patient, moved, opened, patient_of
from tests.records.pictured import film, put
from tetkik.errors import RecordsError, TetkikError
from tetkik.records.cases import cases
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.images import images, jobs
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.lifecycle.patient_export import export_patient
from tetkik.records.lifecycle.retention import RetentionTerms, apply_retention, remove_orphaned_files
from tetkik.records.schema import Base, Blob, Case, Image, Patient
from tetkik.records.trail.verify import verify
from tetkik.values import (
    Actor,
    CaseState,
    MoveReason,
    RemovalReason,
    Role,
)
from tetkik.workflow import case_transfer, image_removal


@pytest.fixture
def desk(both_records) -> Actor:
    return made_user(both_records, Role.RECEPTION, Role.RADIOLOGIST, name="Elif KAYA")


def test_nothing_of_the_images_opens_with_the_wrong_patients_key_any_more(records, reader):
    case_id = opened(records, reader)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    files = records.files
    before = set(files.storage.names())
    moved(records, reader, case_id, gulcin)
    with records.read() as tx:
        named = {*tx.session.scalars(select(Image.file)), *tx.session.scalars(select(Blob.file))}
        assert before.isdisjoint(files.storage.names())
        assert set(files.storage.names()) == {name for name in named if not name.startswith("-")}
        for name in files.storage.names():
            assert files.get(tx.key(gulcin), name)
            with pytest.raises(RecordsError):
                files.get(tx.key(ali), name)
        assert _sealed_for(tx, ali, case_id) == {"patients.identity", "patients.key"}


def _sealed_for(tx, patient_id: str, case_id: str) -> set[str]:
    """Sealed columns that are not empty, of every row of a patient or a case."""
    found = set()
    for table in Base.metadata.sorted_tables:
        if table.name in ("audit", "idempotent_requests", "patient_index"):
            continue
        owners = [table.c[name] for name in ("patient_id", "case_id") if name in table.c]
        if table.name in ("patients", "cases"):
            owners.append(table.c.id)
        for column in (column for column in table.c if isinstance(column.type, LargeBinary)):
            for owner in owners:
                wanted = select(column).where(owner.in_((patient_id, case_id)), column.is_not(None))
                if tx.session.execute(wanted).first() is not None:
                    found.add(f"{table.name}.{column.name}")
    return found


def test_a_file_that_another_case_of_the_wrong_patient_has_stays_there(records, reader):
    case_id = opened(records, reader, films=1)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    with records.write(reader) as tx:
        other = cases.open_case(tx, ali)
    image = put(records, reader, other, 1).image
    moved(records, reader, case_id, gulcin)
    with records.read(reader) as tx:
        assert images.read_content(tx, image) == film(1)
        assert verify_stored(tx).faults == ()


def test_either_patient_is_erased_and_exported_without_the_other(records, reader):
    case_id = opened(records, reader, films=1)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    done = moved(records, reader, case_id, gulcin)
    result = _exported(records, ali)
    assert not [name for name in result if name.startswith("images/")]
    (case,) = json.loads(result["patient.json"])["cases"]
    assert (case["state"], case["images"], case["complaints"], case["question"]) == ("moved", [], [], None)
    assert (case["department"], case["urgency"]) == (None, None)
    everything = b"".join(result.values()).decode()
    assert "Gülçin" not in everything and TEXT not in everything and gulcin not in everything
    assert "Ali" not in _exported(records, gulcin)["patient.json"].decode()
    erase(records, ali, ErasureReason.REQUEST, years=20)
    with records.read(reader) as tx:
        assert cases.load_case(tx, done.case_id, audit=False).complaint is not None
        (image,) = images.list_images(tx, done.case_id)
        assert images.read_content(tx, image) == film(1)
        assert verify(tx).whole and verify_stored(tx).faults == ()
    erase(records, gulcin, ErasureReason.REQUEST, years=20)
    assert set(records.files.storage.names()) == set()


def test_the_right_one_is_erased_and_the_wrong_one_is_as_before(records, reader):
    case_id = opened(records, reader, films=1)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    with records.write(reader) as tx:
        own = cases.open_case(tx, ali, question="Kendi sorusu")
    image = put(records, reader, own, 1).image
    moved(records, reader, case_id, gulcin)
    erase(records, gulcin, ErasureReason.REQUEST, years=20)
    with records.read(reader) as tx:
        assert cases.load_case(tx, own, audit=False).question == "Kendi sorusu"
        assert images.read_content(tx, image) == film(1)
        assert cases.load_case(tx, case_id, audit=False).state is CaseState.MOVED


def _exported(records: Records, patient_id: str) -> dict[str, bytes]:
    target = io.BytesIO()
    export_patient(records, patient_id, target)
    archive = zipfile.ZipFile(target)
    return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.both_databases
def test_what_fails_on_the_way_leaves_everything_as_it_was(both_records, desk, monkeypatch):
    case_id = opened(both_records, desk)
    gulcin = made_patient(both_records, desk)
    before, files = _rows(both_records), set(both_records.files.storage.names())
    with both_records.write(desk) as tx:
        seen = case_transfer.preview_transfer(tx, case_id, gulcin).seen

    class Stopped(TetkikError):
        """Something fails as the last thing."""

    with pytest.raises(Stopped), both_records.write(desk) as tx:
        case_transfer.transfer_case(tx, case_id, gulcin, MoveReason.ALIKE, seen, sure=True)
        raise Stopped("No.")
    assert _rows(both_records) == before
    assert files < set(both_records.files.storage.names()), "sealed anew, and named by nobody: for the sweep"
    monkeypatch.setattr("tetkik.records.lifecycle.retention.YOUNG", -60)
    assert remove_orphaned_files(both_records)[0] > 0
    assert set(both_records.files.storage.names()) == files


def _rows(records: Records) -> dict[str, list[tuple[object, ...]]]:
    left_out = {"audit", "audit_head", "events"}
    with records.engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
            if table.name not in left_out
        }


def test_retention_lets_a_patient_go_whose_only_case_was_anothers(records, reader):
    case_id = opened(records, reader, films=0)
    ali, gulcin = patient_of(records, case_id), made_patient(records, reader)
    moved(records, reader, case_id, gulcin)
    with records.write(reader) as tx:
        own = cases.open_case(tx, ali)
        cases.close(tx, own)
        tx.session.flush()
        tx.session.get_one(Case, own).updated_at = tx.now.replace(year=2020)
    apply_retention(records, RetentionTerms(20, closed_days=30))
    with records.write(reader) as tx:  # the move is young: somebody may still take it back
        assert tx.session.get_one(Patient, ali).key is not None
        tx.session.get_one(Case, case_id).updated_at = tx.now.replace(year=2020)
    apply_retention(records, RetentionTerms(20, closed_days=30))
    with records.read() as tx:
        assert tx.session.get_one(Patient, ali).key is None
        assert tx.session.get_one(Patient, gulcin).key is not None


def test_a_process_killed_on_the_way_leaves_all_of_it_or_nothing(tmp_path):
    """At every forty-seventh line of the move's own code; `tests.records.moved_killed … 1` kills at each."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.records.moved_killed", made_sqlite(tmp_path / "t.db"), tmp_path, "47"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout)
    assert outcome["undone"] >= 3 and outcome["done"] >= 1


@pytest.mark.both_databases
def test_removed_images_go_along_and_are_put_back_there(both_records, desk):
    case_id = opened(both_records, desk)
    with both_records.write(desk) as tx:
        first, second = images.list_images(tx, case_id)
        elsewhere = cases.open_case(tx, patient_of(both_records, case_id))
        image_removal.remove_image(tx, first.id, RemovalReason.POOR_QUALITY)
        image_removal.move_image(tx, second.id, elsewhere, RemovalReason.WRONG_CASE, sure=True)
        before = [*_removals(tx, case_id)]
        contents = [images.read_content(tx, image) for image in (first, second)]
    done = moved(both_records, desk, case_id, made_patient(both_records, desk))
    gone = moved(both_records, desk, elsewhere, made_patient(both_records, desk, Person("Ayşe DEMİR")))
    with both_records.write(desk) as tx:
        assert [*_removals(tx, done.case_id)] == before and images.list_images(tx, done.case_id) == ()
        for image in images.list_images(tx, done.case_id, removed=True):
            assert jobs.newest_job(tx, image.id) is None
            image_removal.restore_image(tx, image.id)
        assert [images.read_content(tx, one) for one in images.list_images(tx, done.case_id)] == contents
        assert images.list_images(tx, gone.case_id) == () and verify_stored(tx).faults == ()


def _removals(tx, case_id):
    for image in images.list_images(tx, case_id, removed=True):
        row = tx.session.get_one(Image, image.id)
        yield row.removed_at, row.removed_by, row.removal_reason, row.moved_to
