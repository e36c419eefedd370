"""From the spool into cases: matched, doubtful, late, damaged, interrupted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from pydicom import dcmread
from sqlalchemy import select

from tests.integrations.dicom.importing import AT, AYSE, Hospital, a_file, hospital
from tetkik.errors import Conflict
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person
from tetkik.records.images import images, jobs, received_decisions, receiving
from tetkik.records.orders import orders
from tetkik.records.orders.orders import OrderContent
from tetkik.records.schema import AuditRow, Case, Image, Job, ReceivedStudy
from tetkik.values import SYSTEM, CaseState, OrderState, ReceivedState, RemovalReason


@pytest.fixture
def one(tmp_path):
    with hospital(tmp_path) as made:
        yield made


@pytest.fixture
def both(tmp_path, make_url):
    """The same on either database."""
    with hospital(tmp_path, url=make_url()) as made:
        yield made


def count(made: Hospital, table) -> int:
    with made.records.read() as tx:
        return tx.count(table)


def test_a_study_of_an_order_goes_into_its_case_and_waits_for_the_model(one):
    order_id = one.order(question="Pnömoni?", department="Göğüs Hastalıkları")
    one.arrive(a_file(1), a_file(2))
    one.look()
    assert (one.study().state, count(one, Image)) == (ReceivedState.RECEIVING, 0)  # more may come
    one.look(61)
    study = one.study()
    assert (study.state, study.verdict, study.imported) == (ReceivedState.IMPORTED, "matched", 2)
    with one.records.read() as tx:
        case = cases.load_case(tx, study.case_id, audit=False)
        assert (case.person, case.question, case.department) == (AYSE, "Pnömoni?", "Göğüs Hastalıkları")
        assert case.state is CaseState.PROCESSING
        order = orders.load_order(tx, order_id)
        assert (order.case_id, order.state) == (case.id, OrderState.COMPLETED)
        assert tx.count(Job) == 2
        assert all(jobs.newest_job(tx, image.id) for image in images.list_images(tx, case.id))
        assert tx.session.scalars(select(AuditRow.action)).all().count(Action.STUDY_RECEIVED) == 1
    assert one.spooled() == 0


def test_what_comes_again_is_there_once(one):
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    one.look()
    one.arrive(a_file(1))
    one.look(61)
    assert (count(one, Image), one.spooled(), one.study().imported) == (1, 0, 1)


def test_a_late_image_reopens_the_study_and_a_closed_case(one):
    one.order()
    one.arrive(a_file(1))
    one.look(61)
    case_id = one.study().case_id
    with one.records.write(SYSTEM) as tx:
        cases.close(tx, case_id)
    one.arrive(a_file(2))
    one.look()
    assert one.study().state is ReceivedState.RECEIVING
    one.look(61)
    study = one.study()
    assert (study.state, study.imported, study.case_id) == (ReceivedState.IMPORTED, 2, case_id)
    with one.records.read() as tx:
        assert tx.session.get_one(Case, case_id).state is CaseState.PROCESSING


@pytest.mark.parametrize("who", [{"name": "KAYA^MEHMET"}, {"patient": "9999"}, {"birth_date": "19800102"}])
def test_a_doubtful_study_waits_and_nothing_of_it_is_read(one, who):
    one.order()
    one.arrive(a_file(1, **who))
    one.look(61)
    one.look(61)
    study = one.study()
    assert (study.state, study.verdict) == (ReceivedState.DOUBTFUL, "doubtful")
    assert study.content.reasons and study.content.candidates
    assert (count(one, Image), count(one, Job), count(one, Case), one.spooled()) == (0, 0, 0, 1)


def test_a_person_accepts_for_the_order_and_what_differed_is_kept(one):
    order_id = one.order()
    one.arrive(a_file(1, birth_date="19800102"))
    one.look(61)
    with one.records.write(SYSTEM) as tx:
        received_decisions.accept(tx, one.study().id, order_id=order_id)
    one.look()
    study = one.study()
    assert (study.state, study.order_id) == (ReceivedState.IMPORTED, order_id)
    with one.records.read() as tx:
        (image,) = images.list_images(tx, study.case_id)
        assert tx.session.get_one(Case, study.case_id).patient_id == study.patient_id
        assert images.load_metadata(tx, image).identity.birth_date == "19800102"
        assert images.load_metadata(tx, image).confirmed == ("birth_date",)
    with one.records.write(SYSTEM) as tx, pytest.raises(Conflict):
        received_decisions.undo(tx, study.id)


@pytest.mark.both_databases
def test_an_acceptance_is_undone_with_its_case_and_order(both):
    order_id = both.order()
    both.arrive(a_file(1, birth_date="19800102"))
    both.look(61)
    with both.records.write(SYSTEM) as tx:
        received_decisions.accept(tx, both.study().id, order_id=order_id)
    with both.records.write(SYSTEM) as tx:
        received_decisions.undo(tx, both.study().id)
    both.look()
    study = both.study()
    assert (study.state, study.case_id, study.patient_id) == (ReceivedState.DOUBTFUL, None, None)
    assert study.content.identity.birth_date == "19800102"
    with both.records.read() as tx:
        assert orders.load_order(tx, order_id).case_id is None
        assert [case.state for case in tx.session.scalars(select(Case))] == [CaseState.CLOSED]


@pytest.mark.both_databases
def test_a_study_is_rejected_and_forgotten_after_a_month(both):
    both.arrive(a_file(1))
    both.look(61)
    with both.records.write(SYSTEM) as tx:
        received_decisions.reject(tx, both.study().id, RemovalReason.TEST)
    both.look(61)
    assert (both.study().state, both.spooled()) == (ReceivedState.REJECTED, 1)
    with both.records.write(SYSTEM) as tx:
        row = tx.session.scalars(select(ReceivedStudy)).one()
        row.decided_at = tx.now - received_decisions.REJECTED_FOR - timedelta(days=1)
        row.last_at = tx.now
    both.look()
    assert both.spooled() == 1  # a file of it has just come
    with both.records.write(SYSTEM) as tx:
        row = tx.session.scalars(select(ReceivedStudy)).one()
        row.last_at = row.decided_at
    both.look()
    assert (both.studies(), both.spooled()) == ((), 0)


@pytest.mark.parametrize(("without_orders", "state"), [(False, "doubtful"), (True, "imported")])
def test_a_study_without_an_order_opens_a_case_where_its_sender_has_none(tmp_path, without_orders, state):
    with hospital(tmp_path, {"without_orders": without_orders}) as made:
        made.arrive(a_file(1))
        made.look(61)
        assert (made.study().verdict, made.study().state.value) == ("none", state)


def test_a_number_that_is_somebody_elses_opens_no_case(tmp_path):
    with hospital(tmp_path, {"without_orders": True}) as made:
        with made.records.write(SYSTEM) as tx:
            patients.create(tx, Person(name="MEHMET KAYA", number="4711", birth_date="19500101"))
        made.arrive(a_file(1))
        made.look(61)
        assert made.study().state is ReceivedState.DOUBTFUL
        assert count(made, Case) == 0


def test_a_study_that_cannot_be_compared_waits_for_a_person(one, monkeypatch):
    def overflowing(*_: object, **__: object) -> None:
        raise OverflowError("date value out of range")

    monkeypatch.setattr(received_decisions, "decide", overflowing)
    one.order()
    one.arrive(a_file())
    for seconds in (0, 120, 2, 2):
        one.look(seconds)
    assert one.study().state is ReceivedState.DOUBTFUL and one.study().fault is not None


@pytest.mark.attack
def test_an_order_of_the_first_year_keeps_no_study_of_its_patient(one):
    one.order()
    with one.records.write(SYSTEM) as tx:
        (patient_id,) = patients.find_by_number(tx, AYSE)
        for number, year in enumerate((1, 9999)):
            content = OrderContent(
                placer_number=str(number), modality="DX", scheduled_at=datetime(year, 12, 31, tzinfo=UTC)
            )
            orders.place_order(tx, patient_id, content, "hbys")
    one.arrive(a_file())
    for seconds in (0, 120):
        one.look(seconds)
    assert one.study().state is ReceivedState.IMPORTED


def test_two_patients_in_one_study_are_doubtful(one):
    one.order()
    one.arrive(a_file(1))
    one.look()
    two = a_file(2).replace("YILDIZ^AYŞE".encode(), b"YILDIX^MEHM ")
    one.arrive(two)
    one.look(61)
    study = one.study()
    assert (study.state, len(study.content.others)) == (ReceivedState.DOUBTFUL, 1)
    assert count(one, Image) == 0


def test_a_bad_file_costs_itself_alone(one):
    one.order()
    bad = a_file(2)
    one.arrive(a_file(1), bad[: len(bad) - 4000])
    one.look(61)
    study = one.study()
    assert (study.state, study.imported, study.refused) == (ReceivedState.IMPORTED, 1, 1)
    with one.records.read() as tx:
        (why,) = receiving.refused_files(tx, study.id)
    assert "ends before" in why.template
    assert one.spooled() == 1  # set aside, not lost


def test_another_file_under_the_same_uid_is_set_aside(one):
    one.order()
    one.arrive(a_file(1), a_file(1).replace(b"DENEME PA", b"DENEME PX"))
    one.look(61)
    study = one.study()
    assert (study.state, study.imported, study.refused, one.spooled()) == (ReceivedState.IMPORTED, 1, 1, 1)


def test_a_route_chooses_the_model_or_none(tmp_path):
    routes = ({"from": ["ct1"], "modality": ["DX"], "model": "none"},)
    with hospital(tmp_path, routes=routes) as made:
        made.order()
        made.arrive(a_file(1))
        made.look(61)
        with made.records.read() as tx:
            assert tx.session.get_one(Case, made.study().case_id).state is CaseState.TO_READ
        assert count(made, Job) == 0


def test_turkish_is_repaired_by_the_setting_of_the_sender_and_the_file_stays_as_it_came(tmp_path):
    wrong = a_file(1).replace("YILDIZ^AYŞE".encode(), "YILDIZ^AYŞE ".encode("iso8859_9"))
    wrong = wrong.replace(b"ISO_IR 192", b"ISO_IR 100")
    with hospital(tmp_path, {"character_set": "ISO_IR 148"}) as made:
        made.order()
        made.arrive(wrong)
        made.look(61)
        study = made.study()
        assert (study.state, study.content.repaired) == (ReceivedState.IMPORTED, True)
        with made.records.read() as tx:
            (image,) = images.list_images(tx, study.case_id or "")
            assert images.load_metadata(tx, image).identity.patient_name == "YILDIZ^AYŞE"
            assert "YILDIZ^AYŞE".encode("iso8859_9") in images.read_content(tx, image)
            (told,) = tx.session.scalars(
                select(AuditRow.content).where(AuditRow.action == Action.STUDY_RECEIVED)
            )
        assert told is not None and '"repaired":true' in told and '"declared":"ISO_IR 100"' in told


def test_a_wrong_declaration_without_a_setting_makes_the_study_doubtful_and_is_proposed(one):
    wrong = a_file(1).replace("YILDIZ^AYŞE".encode(), "YILDIZ^AYŞE ".encode("iso8859_9"))
    one.order()
    one.arrive(wrong.replace(b"ISO_IR 192", b"ISO_IR 100"))
    one.look(61)
    assert (one.study().state, one.study().content.proposed) == (ReceivedState.DOUBTFUL, "ISO_IR 148")


@pytest.mark.parametrize(("minutes", "ahead"), [(0, 180), (180, None)])
def test_a_clock_that_is_ahead_is_said_or_put_right(tmp_path, minutes, ahead):
    with hospital(tmp_path, {"clock_offset_minutes": minutes}) as made:
        made.now = AT - timedelta(hours=6)  # the file says 08:00 in Istanbul, which is 05:00 UTC
        made.arrive(a_file(1))
        made.look()
        content = made.study().content
        assert content.clock_ahead == ahead
        assert content.made_at == AT - timedelta(hours=3, minutes=minutes)


@pytest.mark.parametrize("step", ["stored", "committed"])
def test_nothing_is_lost_or_doubled_where_the_program_ends_in_the_middle(one, monkeypatch, step):
    """Killed after the file is on the disk, and after the commit before the spool's file is removed."""

    class Killed(BaseException):
        pass

    def kill(*_args, **_more):
        raise Killed

    target = "tetkik.workflow.image_intake.images.add_image"
    if step == "committed":
        target = "tetkik.integrations.dicom.spool.ReceivedFile.remove"
    one.order()
    one.arrive(a_file(1), a_file(2))
    with monkeypatch.context() as patched:
        patched.setattr(target, kill)
        with pytest.raises(Killed):
            one.look(61)
    assert one.spooled() == 2
    one.look()
    one.look()
    assert (count(one, Image), count(one, Job), one.spooled()) == (2, 2, 0)
    assert one.study().state is ReceivedState.IMPORTED


@pytest.mark.both_databases
def test_erasure_takes_the_received_study_and_its_files_in_the_spool(both):
    from tetkik.records.lifecycle.erasure import ErasureReason, erase

    both.order()
    both.arrive(a_file(1), a_file(1).replace(b"DENEME PA", b"DENEME PX"))
    both.look(61)
    study = both.study()
    erase(both.records, study.patient_id, ErasureReason.REQUEST, years=0)
    with both.records.read() as tx:
        row = tx.session.scalars(select(ReceivedStudy)).one()
        assert (row.content, row.order_id) == (None, None)
    both.look()
    assert both.spooled() == 0
    both.arrive(a_file(1))  # sent anew, it is no file that was erased
    both.look(61)
    assert both.spooled() == 1
    assert [one.state for one in both.studies()] == [ReceivedState.IMPORTED, ReceivedState.DOUBTFUL]


@pytest.mark.attack
def test_a_late_file_that_names_nobody_waits_for_a_person(one):
    one.order()
    one.arrive(a_file())
    for seconds in (0, 120):
        one.look(seconds)
    assert one.study().imported == 1
    late = dcmread(BytesIO(a_file(2)))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(late, keyword, "")
    written = BytesIO()
    late.save_as(written)
    one.arrive(written.getvalue())
    for seconds in (0, 120, 120):
        one.look(seconds)
    assert one.study().state is ReceivedState.DOUBTFUL and one.study().imported == 1
