"""The worklist: its order, its filters, its pages, and that no query of it walks over the whole table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import insert, text

from tests.records.kit import made_case, made_user
from tetkik.records.cases import cases, filter_index, priority
from tetkik.records.cases.patients import Person
from tetkik.records.people import access
from tetkik.records.schema import Case, CaseMark, Complaint, Image, Job, Patient, Report, Run, Score, Study
from tetkik.records.schema.reports import FindingReview
from tetkik.records.worklist import claims, worklist
from tetkik.records.worklist.worklist import OPEN, Scope, WorklistFilter
from tetkik.values import (
    DEPARTMENTS,
    Capability,
    CaseState,
    JobState,
    Priority,
    ReportState,
    Role,
    RunState,
    Sex,
    UrgencyLevel,
)
from tetkik.values.states import Judgement

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def reader(both_records):
    return made_user(both_records, Role.RADIOLOGIST, name="Dr. Deniz")


def put(records, minutes=0, *, state=CaseState.TO_READ, priority=Priority.ROUTINE, person=None, **columns):
    """A case that has waited since so many minutes after noon."""
    case_id = made_case(records, made_user(records, Role.RECEPTION), person)
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        row = tx.session.get_one(Case, case_id)
        row.state, row.priority, row.waiting_since = state, priority, NOON + timedelta(minutes=minutes)
        for name, value in columns.items():
            setattr(row, name, value)
    return case_id


def read(records, case_id, scores=(), *, modality="DX", state=RunState.DONE, asserts=0.5):
    """An image of a case, and what a model said of it: labels with probabilities, positive from 0.5 on."""
    with records.write(made_user(records, Role.TECHNICIAN)) as tx:
        case = tx.session.get_one(Case, case_id)
        common = {"case_id": case_id, "patient_id": case.patient_id}
        study, image, run = f"{case_id[:20]}study1", f"{case_id[:20]}image1", f"{case_id[:20]}{state[:6]}"
        if tx.session.get(Study, study) is None:
            tx.session.add(Study(id=study, modality=modality, created_at=tx.now, **common))
            tx.session.flush()
            tx.session.add(
                Image(
                    id=image,
                    study_id=study,
                    file="f",
                    size=1,
                    file_format="png",
                    rows=1,
                    columns=1,
                    created_at=tx.now,
                    **common,
                )
            )
            tx.session.flush()
        tx.session.add(
            Run(
                id=run,
                image_id=image,
                capability=Capability.FINDINGS,
                bundle="m 1",
                bundle_sha256="0" * 64,
                state=state,
                started_at=tx.now,
                finished_at=tx.now,
                **common,
            )
        )
        tx.session.flush()
        tx.session.add_all(
            Score(
                run_id=run,
                label=label,
                score=p,
                probability=p,
                threshold=0.5,
                positive=p >= 0.5,
                asserted=p >= asserts,
            )
            for label, p in scores
        )
        filter_index.refresh_filter_index(tx, case_id)
        return image, run


def ids(records, actor, chosen=None, **given):
    with records.read(actor) as tx:
        return [item.case_id for item in worklist.load_worklist(tx, chosen, **given).items]


def test_the_dangerous_first_then_who_waits_longest(both_records, reader):
    late, early = put(both_records, 5), put(both_records, 1)
    urgent = put(both_records, 9, priority=Priority.URGENT, state=CaseState.WAITING)
    critical = put(both_records, 10, priority=Priority.CRITICAL, state=CaseState.PROCESSING)
    put(both_records, 0, priority=Priority.CRITICAL, state=CaseState.SIGNED)
    put(both_records, 0, priority=Priority.CRITICAL, state=CaseState.CLOSED)
    assert ids(both_records, reader) == [critical, urgent, early, late]


def test_pages_join_without_a_gap_or_a_double(both_records, reader):
    # Many of one minute, so that the id decides between them.
    every = {put(both_records, n // 4, priority=Priority(n % 3), state=OPEN[n % 3]) for n in range(24)}
    whole = ids(both_records, reader)
    assert set(whole) == every
    pages, after = [], None
    with both_records.read(reader) as tx:
        while True:
            page = worklist.load_worklist(tx, after=after, limit=5)
            pages += [item.case_id for item in page.items]
            if page.next is None:
                break
            after = page.next
    assert pages == whole


FILTERS = [
    (WorklistFilter(states=(CaseState.TO_READ,)), "ba"),
    (WorklistFilter(states=(CaseState.SIGNED,)), "d"),
    (WorklistFilter(priorities=(Priority.URGENT,)), "b"),
    (WorklistFilter(department="Kardiyoloji"), "bc"),
    (WorklistFilter(modality="MR"), "b"),
    (WorklistFilter(label="Pneumothorax"), "ba"),
    (WorklistFilter(label="Pneumothorax", modality="DX"), "a"),
    (WorklistFilter(label="Pneumothorax", department="Kardiyoloji"), "b"),
    (WorklistFilter(label="Pneumothorax", modality="MR", department="Kardiyoloji"), "b"),
    (WorklistFilter(modality="DX", department="Kardiyoloji"), ""),
    (WorklistFilter(label="Hernia"), ""),
    (WorklistFilter(scope=Scope.MINE), "a"),
    (WorklistFilter(scope=Scope.CLAIMED), "ba"),
    (WorklistFilter(scope=Scope.CLAIMED, label="Pneumothorax", modality="MR"), "b"),
    (WorklistFilter(scope=Scope.CLAIMED, department="Dahiliye"), ""),
    (WorklistFilter(scope=Scope.UNCLAIMED), "c"),
    (WorklistFilter(since=NOON + timedelta(minutes=2)), "bc"),
    (WorklistFilter(until=NOON + timedelta(minutes=2)), "a"),
    (WorklistFilter(scope=Scope.MINE, since=NOON + timedelta(minutes=2)), ""),
]


def test_filters(both_records, reader):
    a = put(both_records, 1)
    b = put(both_records, 2, priority=Priority.URGENT, department="Kardiyoloji")
    c = put(both_records, 3, state=CaseState.WAITING, department="Kardiyoloji")
    d = put(both_records, 4, state=CaseState.SIGNED)
    read(both_records, a, [("Pneumothorax", 0.9), ("Hernia", 0.2)])
    read(both_records, b, [("Pneumothorax", 0.8)], modality="MR")
    with both_records.write(reader) as tx:
        claims.claim_case(tx, a)
    with both_records.write(made_user(both_records, Role.RADIOLOGIST)) as tx:
        claims.claim_case(tx, b)
    names = {a: "a", b: "b", c: "c", d: "d"}
    for chosen, expected in FILTERS:
        assert "".join(names[one] for one in ids(both_records, reader, chosen)) == expected, chosen
    with both_records.read(reader) as tx:
        counted = worklist.count_worklist(tx)
        assert counted.mine == 1 and counted.claimed == 2


def test_a_mark_follows_its_case(both_records, reader):
    case_id = put(both_records)
    read(both_records, case_id, [("Mass", 0.7)])
    with both_records.write(reader) as tx:
        row = tx.session.get_one(Case, case_id)
        row.state, row.priority = CaseState.SIGNED, Priority.CRITICAL
    assert ids(both_records, reader, WorklistFilter(label="Mass")) == []
    signed = WorklistFilter(states=(CaseState.SIGNED,), priorities=(Priority.CRITICAL,), label="Mass")
    assert ids(both_records, reader, signed) == [case_id]


def test_a_mark_follows_the_department(both_records, reader):
    case_id = put(both_records)
    read(both_records, case_id, [("Mass", 0.7)])
    chosen = WorklistFilter(label="Mass", department="Kardiyoloji")
    assert ids(both_records, reader, chosen) == []
    with both_records.write(reader) as tx:
        cases.change_department(tx, case_id, "Kardiyoloji")
    assert ids(both_records, reader, chosen) == [case_id]
    with both_records.write(reader) as tx:
        cases.change_department(tx, case_id, "Dahiliye")
    assert ids(both_records, reader, chosen) == []
    assert ids(both_records, reader, WorklistFilter(label="Mass", modality="DX")) == [case_id]


def test_the_newest_run_replaces_the_marks_of_the_one_before(both_records, reader):
    case_id = put(both_records)
    read(both_records, case_id, [("Mass", 0.7)], state=RunState.DONE)
    read(both_records, case_id, state=RunState.REFUSED)
    assert ids(both_records, reader, WorklistFilter(label="Mass")) == []
    assert ids(both_records, reader, WorklistFilter(modality="DX")) == [case_id]
    with both_records.read(reader) as tx:
        (item,) = worklist.load_worklist(tx).items
        assert item.unsuitable and item.findings == ()


def test_what_a_row_tells(both_records, reader):
    person = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19701231", Sex.FEMALE)
    case_id = put(both_records, urgency=UrgencyLevel.SARI, department="Dahiliye", person=person)
    image, run = read(both_records, case_id, [("Mass", 0.7), ("Nodule", 0.9), ("Edema", 0.1)])
    with both_records.write(reader) as tx:
        patient = tx.session.get_one(Case, case_id).patient_id
        complaint = "c" * 26
        words = ("Nefes darlığı. " * 20).encode()
        sealed = tx.seal(patient, "complaints.text", complaint, words)
        tx.session.add(
            Complaint(
                id=complaint,
                case_id=case_id,
                patient_id=patient,
                text=sealed,
                bundle="t 1",
                bundle_sha256="0" * 64,
                urgency=UrgencyLevel.SARI,
                abstained=False,
                created_at=tx.now,
            )
        )
        tx.session.add(
            Report(
                id="r" * 26,
                case_id=case_id,
                study_id=tx.session.get_one(Image, image).study_id,
                image_id=image,
                run_id=run,
                patient_id=patient,
                state=ReportState.DRAFT,
                language="tr",
                writer="composer",
                created_at=tx.now,
                updated_at=tx.now,
            )
        )
        tx.session.add(
            Job(
                id="j" * 26,
                kind="read_image",
                case_id=case_id,
                image_id=image,
                state=JobState.FAILED,
                priority=2,
                fault='["The file {file} is cut short.", {"file": "x"}]',
                created_at=tx.now,
            )
        )
        claims.claim_case(tx, case_id)
    with both_records.read(reader) as tx:
        (item,) = worklist.load_worklist(tx).items
    assert (item.name, item.patient_number, item.sex) == ("Gülçin ŞAHİN", "H-1", Sex.FEMALE)
    assert item.age(datetime(2026, 12, 30, tzinfo=UTC)) == 55
    assert item.age(datetime(2026, 12, 31, tzinfo=UTC)) == 56
    assert item.complaint.startswith("Nefes darlığı. Nefes") and len(item.complaint) <= 92
    assert [(one.label, one.probability) for one in item.findings] == [("Nodule", 0.9), ("Mass", 0.7)]
    assert (item.modalities, item.report, item.job) == (("DX",), ReportState.DRAFT, JobState.FAILED)
    assert item.fault is not None and item.fault.values == {"file": "x"}
    assert item.reader is not None and item.reader.name == "Dr. Deniz"
    assert "ŞAHİN" not in repr(item) and "Nefes" not in repr(item)


def test_what_a_model_only_suggests_raises_no_case_and_stands_in_no_row(both_records, reader):
    """A pneumothorax above its threshold, and below its point of held-out precision, until it is accepted."""
    case_id = put(both_records)
    image, run = read(both_records, case_id, [("Pneumothorax", 0.6), ("Effusion", 0.9)], asserts=0.8)
    with both_records.write(reader) as tx:
        priority.update_worklist(tx, case_id)
        (item,) = worklist.load_worklist(tx).items
        assert item.priority is Priority.URGENT
        assert [one.label for one in item.findings] == ["Effusion"]
        assert [one.label for one in item.reason.findings] == ["Effusion"]
        case = tx.session.get_one(Case, case_id)
        study = tx.session.get_one(Image, image).study_id
        common = {"case_id": case_id, "patient_id": case.patient_id, "image_id": image, "study_id": study}
        times = {"created_at": tx.now, "updated_at": tx.now}
        tx.session.add(
            Report(
                id="r" * 26, state=ReportState.DRAFT, run_id=run, language="tr", writer="x", **times, **common
            )
        )
        tx.session.flush()
        accepted = FindingReview(report_id="r" * 26, label="Pneumothorax", judgement=Judgement.ACCEPTED)
        accepted.user_id, accepted.at = reader.user_id, tx.now
        tx.session.add(accepted)
        tx.session.flush()
        priority.update_worklist(tx, case_id)
        (item,) = worklist.load_worklist(tx).items
    assert item.priority is Priority.CRITICAL
    assert [one.label for one in item.findings] == ["Pneumothorax", "Effusion"]


def test_a_restricted_case_shows_no_name_until_it_is_open(both_records, reader):
    case_id = put(both_records, restricted=True)
    with both_records.read(reader) as tx:
        (item,) = worklist.load_worklist(tx).items
        assert (item.hidden, item.name, item.born, item.sex, item.complaint) == (True, "", "", None, "")
    with both_records.write(reader) as tx:
        access.break_glass(tx, case_id, "Nöbetçi radyolog, rapor bekleniyor")
    with both_records.read(reader) as tx:
        (item,) = worklist.load_worklist(tx).items
        assert (item.hidden, item.name) == (False, "Gülçin ŞAHİN")


def test_who_sees_one_department_lists_that_alone(both_records):
    clinician = made_user(both_records, Role.CLINICIAN, departments=("Kardiyoloji",))
    own = put(both_records, department="Kardiyoloji")
    put(both_records, department="Dahiliye")
    put(both_records, department="Kardiyoloji", restricted=True)
    put(both_records)
    assert ids(both_records, clinician) == [own]


def test_an_erased_patient_leaves_a_row_without_a_name(both_records, reader):
    case_id = put(both_records)
    with both_records.write(reader) as tx:
        patient = tx.session.get_one(Patient, tx.session.get_one(Case, case_id).patient_id)
        patient.key = patient.identity = None
    with both_records.read(reader) as tx:
        (item,) = worklist.load_worklist(tx).items
        assert (item.case_id, item.name, item.hidden) == (case_id, "", False)


def test_figures_of_the_filters(both_records, reader):
    for minutes in range(4):
        put(both_records, minutes, priority=Priority.URGENT, department="Dahiliye")
    put(both_records, state=CaseState.WAITING)
    with both_records.read(reader) as tx:
        counted = worklist.count_worklist(tx)
        assert counted.states[CaseState.TO_READ] == 4 and counted.states[CaseState.WAITING] == 1
        assert counted.priorities[Priority.URGENT] == 4 and counted.priorities[Priority.CRITICAL] == 0
        only = worklist.count_worklist(
            tx, WorklistFilter(department="Dahiliye", priorities=(Priority.ROUTINE,))
        )
        assert only.states[CaseState.TO_READ] == 0 and only.priorities[Priority.URGENT] == 4


def test_a_figure_stops_at_its_limit(both_records, reader):
    many(both_records, reader, 150)
    with both_records.read(reader) as tx:
        counted = worklist.count_worklist(tx)
        assert counted.states[CaseState.TO_READ] == counted.priorities[Priority.ROUTINE] == 100


def many(records, actor, count):
    """Rows without patients of their own, fast."""
    with records.write(actor) as tx:
        case_id = made_case(records, actor) if records.engine.dialect.name != "sqlite" else None
        patient = tx.session.scalar(text("SELECT patient_id FROM cases LIMIT 1")) if case_id else None
        if patient is None:
            patient = "p" * 26
            tx.session.add(Patient(id=patient, created_at=tx.now))
            tx.session.flush()
        rows = [
            {
                "id": f"{n:026}",
                "number": f"1999-{n:06}",
                "patient_id": patient,
                "state": CaseState.TO_READ,
                "priority": Priority.ROUTINE,
                "restricted": False,
                "department": DEPARTMENTS[n % len(DEPARTMENTS)],
                "waiting_since": NOON + timedelta(seconds=n),
                "created_at": NOON,
                "updated_at": NOON,
            }
            for n in range(count)
        ]
        tx.session.execute(insert(Case), rows)
        keys = ("state", "priority", "waiting_since")
        said = [
            {"case_id": row["id"], "mark": mark} | {key: row[key] for key in keys}
            for row in rows
            for mark in filter_index.marks_of(["Mass"], ["DX"], str(row["department"]))
        ]
        tx.session.execute(insert(CaseMark), said)
        tx.session.flush()
        if tx.session.get_bind().dialect.name == "postgresql":
            tx.session.execute(text("ANALYZE"))


WALKS = [
    (WorklistFilter(), "ix_cases_state"),
    (WorklistFilter(states=(CaseState.SIGNED,)), "ix_cases_state"),
    (WorklistFilter(since=NOON), "ix_cases_state"),
    (WorklistFilter(scope=Scope.UNCLAIMED), "ix_cases_state"),
    (WorklistFilter(department="Dahiliye"), "ix_cases_department"),
    (WorklistFilter(label="Mass"), "ix_case_marks_worklist"),
    (WorklistFilter(label="Mass", modality="DX", department="Dahiliye"), "ix_case_marks_worklist"),
]


def test_each_query_walks_along_its_index(both_records, reader):
    many(both_records, reader, 2000)
    place = worklist.WorklistCursor(Priority.ROUTINE, NOON + timedelta(seconds=1000), "0" * 26)
    with both_records.read(reader) as tx:
        on_postgresql = tx.session.get_bind().dialect.name == "postgresql"
        if on_postgresql:
            # Of so few rows PostgreSQL would fetch all and sort them; of many it walks.
            for other in ("bitmapscan", "seqscan", "sort"):
                tx.session.execute(text(f"SET LOCAL enable_{other} = off"))
        for (chosen, index), after in product(WALKS, (None, place)):
            arm = worklist._arm(tx, chosen, chosen.states[0], Priority.ROUTINE, after).limit(51)
            plan = explained(tx, arm)
            # PostgreSQL may know that the rows lie in the order of the other index.
            assert index in plan or (on_postgresql and "ix_cases_state" in plan), plan
            assert "SCAN " not in plan and "Seq Scan on case" not in plan, plan
            assert "TEMP B-TREE" not in plan and "Sort" not in plan, plan


def explained(tx, query):
    """What the database would do."""
    connection = tx.session.connection()
    compiled = query.compile(connection, compile_kwargs={"render_postcompile": True})
    verb = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    values = compiled.construct_params()
    processed = {
        name: compiled._bind_processors[name](value) if name in compiled._bind_processors else value
        for name, value in values.items()
    }
    said = str(compiled)
    if compiled.positional:
        given = tuple(processed[name] for name in compiled.positiontup or ())
        rows = connection.exec_driver_sql(f"{verb} {said}", given)
    else:
        rows = connection.exec_driver_sql(f"{verb} {said}", processed)
    return "\n".join(str(row[-1]) for row in rows)
