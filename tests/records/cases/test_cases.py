"""Cases: opened in one piece, seen by whom they concern, corrected with a trace."""

from __future__ import annotations

import json
import threading
import time

import pytest
from sqlalchemy import select

from tests.records.desk import TEXT, made_triaged
from tests.records.kit import made_case, made_records, made_user
from tetkik.errors import Conflict, Forbidden, InputError, NotFound
from tetkik.records.cases import cases, patients
from tetkik.records.cases.cases import Admission, admit
from tetkik.records.cases.patients import Person
from tetkik.records.ids import new_id
from tetkik.records.schema import AuditRow, Case, Complaint, Event, Image, Job, Report, ReportVersion, Study
from tetkik.records.worklist.case_contents import load_contents
from tetkik.values import CaseState, JobState, Priority, ReportState, Role, Sex, UrgencyLevel


@pytest.fixture
def reception(records):
    return made_user(records, Role.RECEPTION)


def admitted(records, actor, **admission):
    with records.write(actor) as tx:
        return admit(tx, Admission(**{"person": Person("Ayşe Yılmaz", sex=Sex.FEMALE)} | admission))


def seen(records, actor, case_id):
    with records.write(actor) as tx:
        return cases.load_case(tx, case_id)


def actions(records, case_id):
    with records.read() as tx:
        rows = tx.session.scalars(select(AuditRow).where(AuditRow.case_id == case_id).order_by(AuditRow.seq))
        return [(row.action, json.loads(row.content or "")["detail"]) for row in rows]


def test_a_case_comes_back_as_it_was_opened(both_records):
    records, reception = both_records, made_user(both_records, Role.RECEPTION)
    triaged = made_triaged()
    case_id = admitted(
        records,
        reception,
        complaint=triaged,
        department="Kardiyoloji",
        question=" Pnömoni? ",
        restricted=True,
    )
    case = seen(records, reception, case_id)
    assert case.person == Person("Ayşe Yılmaz", sex=Sex.FEMALE)
    assert (case.question, case.department, case.restricted) == ("Pnömoni?", "Kardiyoloji", True)
    assert (case.state, case.urgency, case.priority) == (
        CaseState.WAITING, UrgencyLevel.KIRMIZI, Priority.CRITICAL,
    )  # fmt: skip
    assert case.complaint is not None
    assert case.complaint.result == triaged.result
    assert case.complaint.bundle_sha256 == triaged.bundle_sha256
    assert (case.complaint.department_model, case.complaint.department_chosen) == ("Kardiyoloji",) * 2
    assert case.complaint.chosen_by == reception.user_id


def test_opening_leaves_its_trace_and_tells_the_pages(records, reception):
    case_id = admitted(records, reception, complaint=made_triaged(), department="Dahiliye")
    assert [action for action, _ in actions(records, case_id)] == [
        "case.created", "complaint.triaged", "department.chosen",
    ]  # fmt: skip
    with records.read() as tx:
        assert tx.session.scalars(select(Event.kind).where(Event.case_id == case_id)).all() == ["case"]


def test_no_word_of_the_patient_lies_in_the_clear(tmp_path):
    records = made_records(tmp_path)
    admitted(records, made_user(records, Role.RECEPTION), complaint=made_triaged(), question="Pnömoni var mı")
    records.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("tetkik.db*"))
    for word in ("Göğsüm", "terliyorum", "Ayşe", "Yılmaz", "Pnömoni", "hemen görülmelidir"):
        assert word.encode() not in stored


def test_a_failure_half_way_opens_nothing(records, reception):
    with pytest.raises(RuntimeError), records.write(reception) as tx:
        admit(tx, Admission(person=Person("Ali"), complaint=made_triaged()))
        raise RuntimeError
    with records.read() as tx:
        assert tx.session.scalars(select(Case)).all() == []
        assert tx.session.scalars(select(Complaint)).all() == []


def test_repr_tells_nothing_of_the_patient(records, reception):
    case = seen(records, reception, admitted(records, reception, complaint=made_triaged(), question="Soru"))
    assert not any(word in repr(case) for word in ("Ayşe", "Soru", TEXT[:6], "Göğüs ağrısı"))


@pytest.mark.parametrize(
    "admission",
    [
        {"person": Person()},
        {"person": None},
        {"person": Person("Ali", tckn="10000000147")},
        {"person": Person("Ali", tckn="１０００００００１４６")},
        {"person": Person("Ali", birth_date="19700231")},
        {"person": Person("Ali", birth_date="21700101")},
        {"person": Person("A" * 121)},
        {"person": Person("\u202e\u200f ")},
        {"question": "x" * 2001},
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_kept(records, reception, admission):
    with pytest.raises(InputError):
        admitted(records, reception, **admission)
    with records.read() as tx:
        assert tx.session.scalars(select(Case)).all() == []


def test_an_unknown_patient_gets_a_case(records, reception):
    case_id = admitted(records, reception, person=Person(sex=Sex.MALE), unknown=True)
    assert seen(records, reception, case_id).person == Person(sex=Sex.MALE)


def test_names_are_tidied(records, reception):
    case_id = admitted(
        records, reception, person=Person("  A\u0306li \u202eVELİ\x00 ", tckn="100 000 001 46")
    )
    assert seen(records, reception, case_id).person == Person("Ăli VELİ", "10000000146")


@pytest.mark.both_databases
def test_a_known_number_is_not_a_second_patient(both_records):
    records, reception = both_records, made_user(both_records, Role.RECEPTION)
    first = admitted(records, reception, person=Person("Ali", tckn="10000000146", number="H-7"))
    for again in (Person("Ali Can", tckn="10000000146"), Person("Veli", number="h-7")):
        with pytest.raises(Conflict):
            admitted(records, reception, person=again)
    known = seen(records, reception, first).patient_id
    second = admitted(records, reception, person=None, patient_id=known)
    assert seen(records, reception, second).person.name == "Ali"
    with records.write(reception) as tx:
        (match,) = patients.search(tx, "ali")
        assert (match.id, match.visits) == (known, 2)


def test_a_patient_that_is_not_there(records, reception):
    with pytest.raises(NotFound):
        admitted(records, reception, person=None, patient_id=new_id())


def test_corrections_leave_a_trace_without_what_they_say(both_records):
    records, reception = both_records, made_user(both_records, Role.RECEPTION)
    case_id = admitted(records, reception, complaint=made_triaged(), department="Kardiyoloji")
    with records.write(reception) as tx:
        cases.change_person(tx, case_id, Person("Ayşe Demir", birth_date="19800517"))
        cases.change_department(tx, case_id, "Dahiliye")
        cases.change_question(tx, case_id, "Kalp büyük mü?")
        cases.restrict(tx, case_id)
    case = seen(records, reception, case_id)
    assert case.person == Person("Ayşe Demir", birth_date="19800517")
    assert (case.department, case.question, case.restricted) == ("Dahiliye", "Kalp büyük mü?", True)
    assert case.complaint is not None
    assert (case.complaint.department_model, case.complaint.department_chosen) == ("Kardiyoloji", "Dahiliye")
    trace = actions(records, case_id)[3:-1]
    assert [action for action, _ in trace] == [
        "patient.changed", "department.chosen", "case.changed", "case.changed",
    ]  # fmt: skip
    assert trace[0][1] == {"fields": "name,birth_date,sex"}
    assert trace[1][1] == {"before": "Kardiyoloji", "department": "Dahiliye"}
    assert "Demir" not in json.dumps(trace)
    with records.read() as tx:
        assert patients.find(tx, "demir") == (case.patient_id,)
        assert patients.find(tx, "yılmaz") == ()


def test_closing_can_be_undone(records, reception):
    case_id = made_case(records, reception)
    with records.write(reception) as tx:
        cases.close(tx, case_id)
    assert seen(records, reception, case_id).state is CaseState.CLOSED
    with pytest.raises(Conflict), records.write(reception) as tx:
        cases.close(tx, case_id)
    with pytest.raises(Conflict), records.write(reception) as tx:
        cases.set_state(tx, case_id, CaseState.TO_READ)
    with records.write(reception) as tx:
        assert cases.reopen(tx, case_id) is CaseState.WAITING
    with pytest.raises(Conflict), records.write(reception) as tx:
        cases.reopen(tx, case_id)


@pytest.mark.parametrize(
    "change",
    [
        cases.load_case,
        lambda tx, case_id: cases.change_department(tx, case_id, "Dahiliye"),
        lambda tx, case_id: cases.change_person(tx, case_id, Person("X")),
        lambda tx, case_id: cases.change_question(tx, case_id, "?"),
        cases.restrict,
        cases.close,
        cases.reopen,
    ],
)
def test_a_clinician_of_another_department_touches_nothing(records, reception, change):
    case_id = made_case(records, reception, department="Kardiyoloji")
    other = made_user(records, Role.CLINICIAN, departments=("Nöroloji",))
    with pytest.raises(Forbidden), records.write(other) as tx:
        change(tx, case_id)
    with pytest.raises(NotFound), records.write(other) as tx:
        change(tx, "nothing")


def test_a_list_shows_what_one_may_see_page_by_page(both_records):
    records, reception = both_records, made_user(both_records, Role.RECEPTION)
    ids = [
        made_case(records, reception, department=name)
        for name in ("Kardiyoloji", "Nöroloji", "Kardiyoloji", "Kardiyoloji")
    ]
    clinician = made_user(records, Role.CLINICIAN, departments=("Kardiyoloji",))
    with records.read(clinician) as tx:
        shown = [line.id for line in cases.list_cases(tx)]
        assert sorted(shown) == sorted([ids[0], ids[2], ids[3]])
        first = cases.list_cases(tx, limit=2)
        rest = cases.list_cases(tx, before=first[-1].id)
        assert [line.id for line in (*first, *rest)] == shown
        assert cases.list_cases(tx, state=CaseState.SIGNED) == ()
        assert cases.list_cases(tx, department="Nöroloji") == ()


def test_a_case_knows_its_images_and_reports(both_records):
    records, reception = both_records, made_user(both_records, Role.RECEPTION)
    case_id = made_case(records, reception)
    case = seen(records, reception, case_id)
    study, image, report = new_id(), new_id(), new_id()
    with records.write(reception) as tx:
        common = {"case_id": case_id, "patient_id": case.patient_id, "created_at": tx.now}
        tx.session.add(Study(id=study, modality="DX", **common))
        tx.session.flush()
        tx.session.add(
            Image(
                id=image,
                study_id=study,
                file="a" * 64,
                size=1,
                file_format="dicom",
                rows=1,
                columns=1,
                **common,
            )
        )
        tx.session.flush()
        tx.session.add(
            Job(id=new_id(), kind="read_image", case_id=case_id, image_id=image, state=JobState.DONE,
                priority=0, created_at=tx.now)
        )  # fmt: skip
        tx.session.add(
            Report(id=report, study_id=study, image_id=image, state=ReportState.FINAL, language="tr",
                   writer="composer", version=1, updated_at=tx.now, updated_by=reception.user_id, **common)
        )  # fmt: skip
        tx.session.flush()
        tx.session.add(
            ReportVersion(id=new_id(), report_id=report, number=1, document=b"", verification="v",
                          corrected=False, **common)
        )  # fmt: skip
        cases.close(tx, case_id)
    with records.write(reception) as tx:
        held = load_contents(tx, case_id)
        assert [(one.modality, one.images, one.state) for one in held.studies] == [("DX", 1, JobState.DONE)]
        (line,) = held.reports
        assert (line.id, line.state, line.version) == (report, ReportState.FINAL, 1)
        assert line.signed_at is not None and line.updated_by == reception.name
        assert cases.reopen(tx, case_id) is CaseState.SIGNED


@pytest.mark.both_databases
def test_two_who_open_the_first_case_of_a_year_at_one_moment_get_a_number_each(both_records):
    reception, start = made_user(both_records, Role.RECEPTION), threading.Barrier(2)
    numbers = []

    def opened():
        start.wait()
        with both_records.write(reception) as tx:
            number = cases.next_number(tx)
            time.sleep(0.2)  # the other one has begun
        numbers.append(number[-6:])

    people = [threading.Thread(target=opened) for _ in range(2)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(numbers) == ["000001", "000002"]
