"""Every way to tamper with the audit trail shows, and the first broken entry is named."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, text, update

from tests.records.kit import made_case, made_user
from tetkik.records.audit_chain import Action, digest_of
from tetkik.records.schema import AuditHead, AuditRow
from tetkik.records.trail.verify import Anchor, verify
from tetkik.values import Role

pytestmark = pytest.mark.both_databases

_LONG = 12


@pytest.fixture
def trail(both_records):
    """Records with a trail of twelve entries, and a connection of somebody who took its triggers away."""
    actor = made_user(both_records, Role.RADIOLOGIST)
    case_id = made_case(both_records, actor)
    with both_records.write(actor) as tx:
        for _ in range(_LONG - 1):
            tx.audit(Action.CASE_OPENED, case_id=case_id)
    with both_records.engine.begin() as connection:
        for event in ("delete", "update"):
            table = " ON audit" if connection.dialect.name == "postgresql" else ""
            connection.execute(text(f"DROP TRIGGER audit_{event}_refused{table}"))
    return both_records


def found(records, anchor=None):
    with records.read(still=True) as tx:
        return verify(tx, anchor)


def tamper(records, *statements):
    with records.engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_whole_trail_is_whole(trail):
    result = found(trail)
    assert (result.whole, result.entries, result.erased, result.end.seq) == (True, _LONG, 0, _LONG)


def test_an_empty_one_too(both_records):
    assert found(both_records).whole


@pytest.mark.parametrize("seq", [1, 5, _LONG])
def test_a_removed_entry_shows(trail, seq):
    tamper(trail, delete(AuditRow).where(AuditRow.seq == seq))
    assert found(trail).broken[0].seq == seq


@pytest.mark.parametrize(
    "change",
    [
        {"content": "{}"},
        {"action": "sign_out"},
        {"user_id": None},
        {"case_id": "0" * 26},
        {"salt": b"0" * 16},
        {"digest": b"0" * 32},
        {"chain": b"0" * 32},
        {"salt": None},
        {"content": None, "salt": None},
    ],
    ids=" ".join,
)
def test_an_altered_entry_shows(trail, change):
    tamper(trail, update(AuditRow).where(AuditRow.seq == 5).values(**change))
    assert found(trail).broken[0].seq == 5


def test_a_moved_time_shows(trail):
    with trail.read() as tx:
        at = tx.session.scalar(select(AuditRow.at).where(AuditRow.seq == 5))
    tamper(trail, update(AuditRow).where(AuditRow.seq == 5).values(at=at - timedelta(hours=1)))
    assert found(trail).broken[0].seq == 5


def test_an_entry_written_anew_with_a_fitting_digest_shows(trail):
    """The digest needs no key, the chain does."""
    with trail.read() as tx:
        row = tx.session.get_one(AuditRow, 5)
        content = row.content.replace("radiologist", "technician")
    digest = digest_of(b"0" * 16, content)
    tamper(
        trail,
        update(AuditRow).where(AuditRow.seq == 5).values(content=content, salt=b"0" * 16, digest=digest),
    )
    assert found(trail).broken[0].seq == 5


def test_an_inserted_entry_shows(trail):
    columns = [column for column in AuditRow.__table__.c if column.name != "seq"]
    with trail.engine.begin() as connection:
        copy = connection.execute(select(*columns).where(AuditRow.seq == 5)).one()._asdict()
        for seq in range(_LONG, 5, -1):
            connection.execute(update(AuditRow).where(AuditRow.seq == seq).values(seq=seq + 1))
        connection.execute(insert(AuditRow).values(seq=6, **copy))
    assert found(trail).broken[0].seq == 6


def test_an_entry_behind_the_end_shows(trail):
    with trail.engine.begin() as connection:
        row = connection.execute(select(AuditRow.__table__).where(AuditRow.seq == _LONG)).one()._asdict()
        connection.execute(insert(AuditRow).values(**row | {"seq": _LONG + 1}))
    assert found(trail).broken[0].seq == _LONG + 1


def test_entries_that_changed_places_show(trail):
    tamper(
        trail,
        update(AuditRow).where(AuditRow.seq == 5).values(seq=99),
        update(AuditRow).where(AuditRow.seq == 6).values(seq=5),
        update(AuditRow).where(AuditRow.seq == 99).values(seq=6),
    )
    assert found(trail).broken[0].seq == 5


def test_a_cut_end_shows(trail):
    tamper(trail, delete(AuditRow).where(AuditRow.seq > 7))
    assert found(trail).broken[0].seq == 8


def test_a_cut_end_with_a_head_that_says_so_shows(trail):
    with trail.read() as tx:
        chain = tx.session.scalar(select(AuditRow.chain).where(AuditRow.seq == 7))
    tamper(trail, delete(AuditRow).where(AuditRow.seq > 7), update(AuditHead).values(seq=7, chain=chain))
    assert not found(trail).whole


def test_a_missing_head_shows(trail):
    tamper(trail, delete(AuditHead))
    assert not found(trail).whole


def test_an_old_copy_put_back_shows_by_the_anchor_alone(trail, tmp_path):
    with trail.engine.begin() as connection:
        head = connection.execute(select(AuditHead.__table__)).one()._asdict()
    actor = made_user(trail, Role.AUDITOR)
    with trail.write(actor) as tx:
        tx.audit(Action.AUDIT_READ)
    file = tmp_path / "anchor.json"
    found(trail).end.write(file)
    tamper(trail, delete(AuditRow).where(AuditRow.seq > _LONG), update(AuditHead).values(**head))
    assert found(trail).whole
    (fault,) = found(trail, Anchor.read(file)).broken
    assert fault.seq == _LONG + 1
    with trail.write(actor) as tx:
        tx.audit(Action.AUDIT_EXPORTED)
    assert found(trail).whole
    assert found(trail, Anchor.read(file)).broken[0].seq == _LONG + 1


def test_an_emptied_entry_needs_an_erasure_that_the_trail_tells(trail):
    with trail.read() as tx:
        patient_id = tx.session.scalar(select(AuditRow.patient_id).where(AuditRow.seq == 1))
    tamper(trail, update(AuditRow).where(AuditRow.seq == 1).values(content=None, salt=None))
    assert found(trail).broken[0].seq == 1
    with trail.write(made_user(trail, Role.ADMINISTRATOR)) as tx:
        tx.audit(Action.PATIENT_ERASED, patient_id=patient_id)
    assert (found(trail).whole, found(trail).erased) == (True, 1)


def test_an_emptied_entry_cannot_be_given_to_an_erased_patient(trail):
    patient_id = "0" * 26
    with trail.write(made_user(trail, Role.ADMINISTRATOR)) as tx:
        tx.audit(Action.PATIENT_ERASED, patient_id=patient_id)
    tamper(
        trail,
        update(AuditRow).where(AuditRow.seq == 5).values(content=None, salt=None, patient_id=patient_id),
    )
    assert found(trail).broken[0].seq == 5


def test_a_long_trail_is_read_in_batches(both_records, monkeypatch):
    monkeypatch.setattr("tetkik.records.trail.verify._BATCH", 10)
    actor = made_user(both_records, Role.RADIOLOGIST)
    for entries in (10, 11, 4):
        with both_records.write(actor) as tx:
            for _ in range(entries):
                tx.audit(Action.SIGN_IN)
        result = found(both_records)
        assert result.whole and result.entries == result.end.seq
    assert result.entries == 25


def test_a_quick_look_walks_the_end_alone(trail):
    with trail.read() as tx:
        assert (verify(tx, last=5).whole, verify(tx, last=5).entries) == (True, 5)
        assert verify(tx, last=500).entries == _LONG
    tamper(trail, update(AuditRow).where(AuditRow.seq == 9).values(action="sign_out"))
    with trail.read() as tx:
        assert verify(tx, last=5).broken[0].seq == 9
        assert verify(tx, last=2).whole


def test_entries_that_are_added_meanwhile_do_not_count(trail):
    actor = made_user(trail, Role.RADIOLOGIST)
    with trail.read(still=True) as tx:
        assert verify(tx).entries == _LONG
        with trail.write(actor) as other:
            other.audit(Action.SIGN_OUT)
        result = verify(tx)
    assert (result.whole, result.entries) == (True, _LONG)
    assert found(trail).entries == _LONG + 1
