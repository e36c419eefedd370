"""From the spool into cases: what comes again, what stands in others' way, what is not what it says."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage, XRayRadiationDoseSRStorage

from tests.integrations.dicom.importing import AYSE, Hospital, a_file, body_of, hospital
from tests.ports import free_port
from tests.records.kit import made_user
from tetkik.errors import Conflict
from tetkik.integrations.dicom import spool
from tetkik.integrations.dicom.commitment import Commitment
from tetkik.integrations.listening import imported
from tetkik.records.cases import cases, patients
from tetkik.records.images import received_decisions, receiving
from tetkik.records.orders import orders
from tetkik.records.schema import Case, Image, Job
from tetkik.values import SYSTEM, CaseState, OrderState, ReceivedState, RemovalReason, Role
from tetkik.workflow.image_intake import IncomingImage


@pytest.fixture
def one(tmp_path):
    with hospital(tmp_path) as made:
        yield made


def counted(made: Hospital, table) -> int:
    with made.records.read() as tx:
        return tx.count(table)


def written(dataset: Dataset) -> bytes:
    content = BytesIO()
    dataset.save_as(content)
    return content.getvalue()


@pytest.mark.parametrize("lost", [False, True])
def test_a_refused_file_that_is_sent_again_is_imported(one, lost):
    """Its file was lost, or what was sent before was damaged."""
    one.order()
    whole = a_file(1)
    one.arrive(whole if lost else whole[: len(whole) - 4000])
    one.look()
    if lost:
        for path in one.spool.folder.iterdir():
            path.unlink()
    one.look(61)
    assert (one.study().state, one.study().refused) == (ReceivedState.FAILED, 1)
    one.now += timedelta(minutes=1)
    one.arrive(whole)
    one.look()
    one.look(61)
    assert (one.study().state, one.study().imported) == (ReceivedState.IMPORTED, 1)


@pytest.mark.attack
def test_awaited_earlier_studies_keep_no_study_waiting(one):
    one.order()
    with one.records.write(SYSTEM) as tx:
        (patient_id,) = patients.find_by_number(tx, AYSE)
        for number in range(200):
            receiving.expect_prior(tx, f"1.2.3.{number}", patient_id, "ct1")
    one.now = datetime.now(UTC) + timedelta(seconds=5)
    one.arrive(a_file(1))
    one.look(61)
    with one.records.read() as tx:
        assert receiving.count_received(tx)[ReceivedState.IMPORTED] == 1


@pytest.mark.parametrize("step", ["add_file", "settle_file"])
def test_a_file_over_which_anything_fails_keeps_the_others_three_times_alone(one, monkeypatch, step):
    one.order()
    real = getattr(receiving, step)

    def fail(tx, file, *rest, **more):
        name = file.name if step == "add_file" else names[file]
        if name == bad and not more.get("fault"):
            raise OverflowError
        return real(tx, file, *rest, **more)

    one.arrive(a_file(1))
    (bad,) = (file.path.name for file in one.spool.incoming())
    one.arrive(a_file(2))
    names: dict[str, str] = {}
    if step == "settle_file":
        one.look()
        with one.records.read() as tx:
            names = {file.id: file.name for file in receiving.waiting_files(tx, one.study().id)}
    with monkeypatch.context() as patched:
        patched.setattr(receiving, step, fail)
        one.look(61)
        one.look(61)
        one.look()
    one.look()
    whole = next(study for study in one.studies() if study.imported)
    assert (whole.state, whole.imported) == (ReceivedState.IMPORTED, 1)
    assert sum(study.refused for study in one.studies()) == 1


def test_a_waiting_file_is_opened_once_and_a_refused_one_stays_for_whoever_rejects_it(one, monkeypatch):
    one.order()
    bad = a_file(1)
    one.arrive(bad[: len(bad) - 4000])
    one.look()
    with monkeypatch.context() as patched:
        patched.setattr(spool, "_opened", None)
        one.look(61)
        assert (one.study().state, one.spooled()) == (ReceivedState.FAILED, 1)
        one.look(31 * 86_400)
    assert one.spooled() == 1


def test_a_scanner_that_is_away_refuses_nothing(one, monkeypatch):
    """Its signatures are loaded anew, which takes longer than three tries."""
    one.order()
    one.arrive(a_file(1))
    with monkeypatch.context() as patched:
        nobody = one.importer._settings.model_copy(update={"upload_scanner": f"127.0.0.1:{free_port()}"})
        patched.setattr(one.importer, "_settings", nobody)
        for _ in range(5):
            one.look(61)
        assert (one.study().state, one.study().refused) == (ReceivedState.COMPLETE, 0)
    one.look(1)
    assert (one.study().state, one.study().imported) == (ReceivedState.IMPORTED, 1)


@pytest.mark.attack
def test_a_nameless_image_does_not_get_into_a_study_by_its_uid(one):
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    dataset = dcmread(BytesIO(a_file(2)))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"):
        setattr(dataset, keyword, "")
    one.arrive(written(dataset))
    one.look(61)
    one.look(61)
    assert (one.study().state, one.study().imported) == (ReceivedState.DOUBTFUL, 1)


@pytest.mark.attack
@pytest.mark.parametrize("announced", [{"SOPInstanceUID": "1.2.3"}, {"SOPClassUID": "1.2.3"}])
def test_another_object_than_was_announced_is_refused(one, announced):
    one.order()
    dataset = dcmread(BytesIO(a_file(1)))
    said = {"SOPInstanceUID": dataset.SOPInstanceUID, "SOPClassUID": dataset.SOPClassUID} | announced
    other: Any = SimpleNamespace(**said)
    one.arrive_raw(body_of(a_file(1)), other)
    one.look(61)
    assert (one.study().state, one.study().refused) == (ReceivedState.FAILED, 1)
    assert imported(one.records, [said["SOPInstanceUID"]]) == {said["SOPInstanceUID"]: False}


def test_a_result_of_ours_that_comes_back_is_set_aside(one):
    """And its study, of which images come later, is not."""
    one.order()
    dataset = dcmread(BytesIO(a_file(2)))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    one.arrive(written(dataset))
    one.look()
    one.arrive(a_file(1))
    one.look(61)
    assert {(study.state, study.imported, study.refused) for study in one.studies()} == {
        (ReceivedState.REJECTED, 0, 1),
        (ReceivedState.IMPORTED, 1, 0),
    }
    assert (counted(one, Image), counted(one, Job)) == (1, 1)


def test_what_was_refused_is_not_told_to_be_safe(one):
    """Neither by the spool, where it still lies, nor by the object that has its UID."""
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    uid = str(dcmread(BytesIO(a_file(1))).SOPInstanceUID)
    held = Commitment(one.systems, one.spool, partial(imported, one.records))
    assert "FailedSOPSequence" not in held.report("1.2", [("1.2.3", uid)])
    one.now += timedelta(minutes=1)
    one.arrive(a_file(1).replace(b"DENEME PA", b"DENEME PX"))
    one.look()
    assert "FailedSOPSequence" in held.report("1.2", [("1.2.3", uid)])


def test_what_is_no_image_takes_no_case_up_again(one):
    """Dose reports and presentation states follow many a study, and some of them after it is signed."""
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    case_id = one.study().case_id
    with one.records.write(SYSTEM) as tx:
        cases.close(tx, case_id)
    dose = dcmread(BytesIO(a_file(2)))
    dose.SOPClassUID = dose.file_meta.MediaStorageSOPClassUID = XRayRadiationDoseSRStorage
    dose.Manufacturer = "DENEME"
    del dose.PixelData
    one.arrive(written(dose))
    one.look(61)
    one.look(61)
    assert (one.study().state, one.study().refused) == (ReceivedState.IMPORTED, 1)
    with one.records.read() as tx:
        assert tx.session.get_one(Case, case_id).state is CaseState.CLOSED


def test_a_file_that_cannot_be_opened_at_the_moment_stays(one, monkeypatch):
    def away(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    one.order()
    one.arrive(a_file(1))
    with monkeypatch.context() as patched:
        patched.setattr(spool, "_opened", away)
        one.look()
    one.look(61)
    assert one.study().imported == 1


@pytest.mark.parametrize("step", ["keep", "decide"])
def test_another_writer_of_the_same_moment_refuses_nothing(one, monkeypatch, step):
    """Two cases opened at once are a Conflict of the database, and not of this study."""
    where: Any = IncomingImage if step == "keep" else received_decisions
    real, clashes = getattr(where, step), iter((True, True))

    def clash(*args, **more):
        if next(clashes, False):
            raise Conflict("Somebody else wrote the same at the same moment.")
        return real(*args, **more)

    monkeypatch.setattr(where, step, clash)
    one.order()
    one.arrive(a_file(1))
    one.look()
    for seconds in (61, 2, 2):
        one.look(seconds)
    assert (one.study().state, one.study().imported, one.study().refused) == (ReceivedState.IMPORTED, 1, 0)
    assert next(clashes, None) is None


@pytest.mark.both_databases
@pytest.mark.parametrize("of_a_person", [False, True])
def test_a_rejected_study_of_which_nothing_came_gives_its_order_back(tmp_path, make_url, of_a_person):
    """And leaves no empty case on the worklist, unless a person opened it."""
    with hospital(tmp_path, url=make_url()) as made:
        order_id, desk = made.order(), made_user(made.records, Role.RECEPTION)
        whole = a_file(1)
        made.arrive(whole[: len(whole) - 4000])
        made.look()
        made.look(61)
        case_id = made.study().case_id
        if of_a_person:
            with made.records.write(SYSTEM) as tx:
                tx.session.get_one(Case, case_id).created_by = desk.user_id
        with made.records.write(SYSTEM) as tx:
            received_decisions.reject(tx, made.study().id, RemovalReason.POOR_QUALITY)
        assert (made.study().case_id, made.study().content.identity.patient_id) == (None, AYSE.number)
        with made.records.read() as tx:
            state, order = tx.session.get_one(Case, case_id).state, orders.load_order(tx, order_id)
        if of_a_person:
            assert (state, order.case_id) == (CaseState.WAITING, case_id)
        else:
            assert (state, order.case_id, order.state) == (CaseState.CLOSED, None, OrderState.ARRIVED)
