"""Work with the list: orders, assignments, pools, saved views, the next case, the reason of a priority."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.records.kit import id_of, made_user
from tests.records.worklist.test_worklist import ids, put, read
from tetkik.errors import Conflict, Forbidden, InputError, NotFound
from tetkik.records.cases.patients import Person
from tetkik.records.schema import AuditRow, Case, Claim, Complaint
from tetkik.records.worklist import assignments, claims, saved_views, worklist
from tetkik.records.worklist.case_contents import Sort, SortColumn
from tetkik.records.worklist.saved_views import WorklistPreferences
from tetkik.records.worklist.worklist import Assigned, Scope, WorklistFilter
from tetkik.records.worklist.worklist_items import Positive, PriorityReason, load_reason
from tetkik.values import CaseState, Priority, Role, UrgencyLevel, UrgencyReason

pytestmark = pytest.mark.both_databases


@pytest.fixture
def reader(both_records):
    return made_user(both_records, Role.RADIOLOGIST, name="Dr. Deniz")


def next_of(records, actor, after, sort=None, **chosen):
    with records.read(actor) as tx:
        return worklist.find_next_case(tx, WorklistFilter(**chosen), sort, after)


def test_a_list_is_sorted_by_a_column(both_records, reader, monkeypatch):
    names = ("Çiğdem KAYA", "Can KAYA", "Işık TAN", "İlker TAN")
    every = {name: put(both_records, n, person=Person(name)) for n, name in enumerate(names)}
    read(both_records, every["Işık TAN"], modality="MR")
    read(both_records, every["Can KAYA"], modality="DX")
    hidden = put(both_records, 9, person=Person("Ali GİZLİ"), restricted=True)
    by_name = [every[name] for name in ("Can KAYA", "Çiğdem KAYA", "Işık TAN", "İlker TAN")]
    patient = Sort(SortColumn.PATIENT)
    assert ids(both_records, reader, sort=patient) == [*by_name, hidden]
    assert ids(both_records, reader, sort=replace(patient, descending=True)) == [*by_name[::-1], hidden]
    modality = ids(both_records, reader, sort=Sort(SortColumn.MODALITY))
    assert modality[:2] == [every["Can KAYA"], every["Işık TAN"]]
    images = ids(both_records, reader, sort=Sort(SortColumn.IMAGES, descending=True))
    assert set(images[:2]) == {every["Can KAYA"], every["Işık TAN"]}
    for column in SortColumn:
        assert len(ids(both_records, reader, sort=Sort(column))) == 5
    with both_records.read(reader) as tx:
        first = worklist.load_worklist(tx, sort=patient, limit=3)
        later = worklist.load_worklist(tx, sort=patient, limit=3, after=first.next)
    assert [item.case_id for item in (*first.items, *later.items)] == [*by_name, hidden]
    assert later.next is None and not first.partial
    # No more than so many are sorted: of the order of the column, where that is waiting.
    monkeypatch.setattr(worklist, "MOST_SORTED", 2)
    with both_records.read(reader) as tx:
        page = worklist.load_worklist(tx, sort=Sort(SortColumn.WAITING, descending=True))
    assert page.partial and [item.case_id for item in page.items] == [hidden, every["İlker TAN"]]


def test_a_case_is_assigned_to_a_reader_or_a_pool(both_records, reader):
    records = both_records
    mine, pooled, free = put(records, 1), put(records, 2), put(records, 3)
    head = made_user(records, Role.ADMINISTRATOR)
    other = made_user(records, Role.RADIOLOGIST, name="Dr. Barış")
    with records.write(head) as tx:
        thorax = assignments.save_pool(tx, None, " Thorax ", [id_of(reader), id_of(other)])
        with pytest.raises(InputError, match="already"):
            assignments.save_pool(tx, None, "Thorax", [])
        with pytest.raises(InputError, match="Nobody reads"):
            assignments.save_pool(tx, None, "Neuro", [id_of(head)])
    with records.write(other) as tx:
        assignments.assign_case(tx, mine, reader.user_id)
        found = assignments.assign_case(tx, pooled, thorax)
        with pytest.raises(InputError, match="Nobody reads"):
            assignments.assign_case(tx, free, head.user_id)
        assert found is not None and (found.name, found.pool) == ("Thorax", True)
    wanted = {Assigned.MINE: [mine], Assigned.POOLS: [pooled], Assigned.NOBODY: [free]}
    for assigned, case_ids in wanted.items():
        assert ids(records, reader, WorklistFilter(assigned=assigned)) == case_ids
        with records.read(reader) as tx:
            assert worklist.count_cases(tx, WorklistFilter(assigned=assigned)) == 1
    with records.read(reader) as tx:
        counts = worklist.count_worklist(tx, WorklistFilter(assigned=Assigned.MINE))
        items = worklist.load_worklist(tx).items
    assert counts.assigned == {Assigned.MINE: 1, Assigned.POOLS: 1}
    assert counts.states[CaseState.TO_READ] == 1
    assert [item.assignee.name if item.assignee else None for item in items] == ["Dr. Deniz", "Thorax", None]
    with records.write(reader) as tx:
        claims.claim_case(tx, pooled)
    assert ids(records, reader, WorklistFilter(assigned=Assigned.POOLS, scope=Scope.UNCLAIMED)) == []
    assert ids(records, reader, WorklistFilter(assigned=Assigned.POOLS, scope=Scope.MINE)) == [pooled]
    with records.write(head) as tx:
        assignments.remove_pool(tx, thorax)
        with pytest.raises(NotFound):
            assignments.remove_pool(tx, thorax)
        tx.session.get_one(Case, free).state = CaseState.SIGNED
    with records.write(reader) as tx:
        assignments.assign_case(tx, mine, None)
        with pytest.raises(Conflict, match="signed"):
            assignments.assign_case(tx, free, reader.user_id)
    assert ids(records, reader, WorklistFilter(assigned=Assigned.NOBODY)) == [mine, pooled]
    with records.read() as tx:
        rows = select(AuditRow.action).where(AuditRow.action.in_(("case.assigned", "pool.changed")))
        assert sorted(tx.session.scalars(rows)) == ["case.assigned"] * 3 + ["pool.changed"] * 2


def test_the_next_case_follows_in_the_list(both_records, reader):
    records = both_records
    first, second, third = (put(records, n) for n in range(3))
    assert next_of(records, reader, second) == third
    assert next_of(records, reader, third) == first
    assert next_of(records, reader, "") == first
    with records.write(made_user(records, Role.RADIOLOGIST)) as tx:
        claims.claim_case(tx, third)
        tx.session.get_one(Case, second).state = CaseState.SIGNED
    assert next_of(records, reader, second) == first
    assert next_of(records, reader, first) is None
    downwards = Sort(SortColumn.WAITING, descending=True)
    latest = put(records, 7)
    assert next_of(records, reader, latest, downwards) == first
    assert next_of(records, reader, second, downwards) == first
    # A critical case comes before any that is not; in a view without it, it does not.
    critical = put(records, 9, priority=Priority.CRITICAL)
    assert next_of(records, reader, first) == critical
    assert next_of(records, reader, critical) == first
    assert next_of(records, reader, first, priorities=(Priority.ROUTINE,)) == latest


def test_a_page_that_is_left_releases_its_own_claim_alone(both_records, reader):
    case_id = put(both_records)
    with both_records.write(reader) as tx:
        known = claims.claim_case(tx, case_id).expires_at
    with both_records.write(reader) as tx:  # another page of the same reader
        renewed = claims.claim_case(tx, case_id).expires_at
        claims.release_case(tx, case_id, until=known)
        assert tx.session.get(Claim, case_id) is not None
        claims.release_case(tx, case_id, until=renewed)
    with both_records.read() as tx:
        assert tx.session.get(Claim, case_id) is None


def test_the_reason_of_a_priority(both_records, reader):
    records = both_records
    found = put(records, priority=Priority.CRITICAL, urgency=UrgencyLevel.SARI)
    read(records, found, [("Normal", 0.99), ("Effusion", 0.97), ("Pneumothorax", 0.93)])
    red = put(records, priority=Priority.CRITICAL, urgency=UrgencyLevel.KIRMIZI)
    chosen = put(records, priority=Priority.URGENT, priority_chosen=Priority.URGENT)
    routine = put(records)
    with records.write(reader) as tx:
        case = tx.session.get_one(Case, red)
        tx.session.add(
            Complaint(
                id="k" * 26, case_id=red, patient_id=case.patient_id, bundle="m 1", bundle_sha256="0",
                urgency=UrgencyLevel.KIRMIZI, urgency_rules="a b", abstained=False, created_at=tx.now,
            )
        )  # fmt: skip
    expected = {
        found: PriorityReason(findings=(Positive("Pneumothorax", 0.93),)),
        red: PriorityReason(urgency=UrgencyLevel.KIRMIZI, rules=("a", "b")),
        chosen: PriorityReason(chosen=True),
        routine: PriorityReason(),
    }
    with records.read(reader) as tx:
        assert {item.case_id: item.reason for item in worklist.load_worklist(tx).items} == expected
        top = next(item for item in worklist.load_worklist(tx).items if item.case_id == found)
    assert [one.label for one in top.findings] == ["Pneumothorax", "Effusion"]
    with records.write(reader) as tx:
        row = tx.session.get_one(Complaint, "k" * 26)
        row.urgency_chosen, row.urgency_reason = UrgencyLevel.KIRMIZI, next(iter(UrgencyReason))
        tx.session.flush()
        assert load_reason(tx, red) == PriorityReason(urgency=UrgencyLevel.KIRMIZI, by_person=True)


def test_views_are_ones_own_or_everybodys(both_records, reader):
    head = made_user(both_records, Role.RADIOLOGIST, Role.ADMINISTRATOR)
    with both_records.write(reader) as tx:
        own = saved_views.save_view(tx, "Toraks", "state=to_read", shared=False)
        assert saved_views.save_view(tx, "Toraks", "state=signed", shared=False) == own
        with pytest.raises(Forbidden):
            saved_views.save_view(tx, "Herkes", "", shared=True)
        with pytest.raises(InputError):
            saved_views.save_view(tx, "  ", "", shared=False)
    with both_records.write(head) as tx:
        shared = saved_views.save_view(tx, "Acil", "priority=critical", shared=True)
        with pytest.raises(NotFound):
            saved_views.remove_view(tx, own)
    with both_records.write(reader) as tx:
        views = saved_views.list_views(tx)
        assert [(view.name, view.query, view.shared, view.mine) for view in views] == [
            ("Acil", "priority=critical", True, False),
            ("Toraks", "state=signed", False, True),
        ]
        with pytest.raises(Forbidden):
            saved_views.remove_view(tx, shared)
        saved_views.remove_view(tx, own)
        assert saved_views.load_preferences(tx) == WorklistPreferences()
        saved_views.save_preferences(tx, WorklistPreferences(False, ("state",), "-waiting"))
    with both_records.read(reader) as tx:
        assert saved_views.load_preferences(tx) == WorklistPreferences(False, ("state",), "-waiting")


def test_a_prior_counts_under_whatever_case_came_first(both_records, reader):
    first = put(both_records, 1, person=Person("Ece TAN"))
    read(both_records, first)
    second = put(both_records, 2)
    with both_records.write(reader) as tx:
        patient_id = tx.session.get_one(Case, first).patient_id
        tx.session.get_one(Case, second).patient_id = patient_id
    with both_records.read(reader) as tx:
        shown = {item.case_id: (item.prior, item.images) for item in worklist.load_worklist(tx).items}
    assert shown == {first: (False, 1), second: (True, 0)}
