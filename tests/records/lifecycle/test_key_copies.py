"""An erasure is reported once no file of SQLite holds the key any more."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from tests.records.kit import made_records
from tests.records.whole import made_whole
from tetkik.errors import Conflict, RecordsError
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.key_rotation import finish_erasures as finish
from tetkik.records.lifecycle.retention import RetentionTerms, apply_retention
from tetkik.records.schema import Patient


def test_no_copy_of_the_key_stays_in_a_file_of_sqlite(tmp_path):
    records = made_records(tmp_path)
    there = made_whole(records, signed=False)
    with records.read() as tx:
        wrapped = tx.session.get_one(Patient, there.patient_id).key
    assert wrapped is not None

    def lies_somewhere():
        return any(wrapped in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    assert lies_somewhere()
    erase(records, there.patient_id, ErasureReason.REQUEST, years=20)
    assert not lies_somewhere()
    records.close()


@pytest.mark.attack
def test_nothing_is_called_erased_while_a_file_of_sqlite_holds_the_key(tmp_path, monkeypatch):
    monkeypatch.setattr("tetkik.records.lifecycle.key_rotation._PAUSE", 0.01)
    monkeypatch.setattr(
        "tetkik.records.lifecycle.erasure.finish_erasures", lambda records: finish(records, 0.3)
    )
    records = made_records(tmp_path)
    there = made_whole(records, signed=False)
    with records.read() as tx:
        wrapped = tx.session.get_one(Patient, there.patient_id).key

    def lies_somewhere():
        return any(wrapped in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    with records.read(still=True) as reader:  # a backup that takes its time
        assert reader.session.scalar(select(func.count()).select_from(Patient)) == 1
        with pytest.raises(RecordsError, match="reads an older state"):
            erase(records, there.patient_id, ErasureReason.REQUEST, years=20)
        assert lies_somewhere()
        with pytest.raises(RecordsError, match="reads an older state"):  # nor is it said the second time
            erase(records, there.patient_id, ErasureReason.REQUEST, years=20)
    apply_retention(records, RetentionTerms(20))
    assert not lies_somewhere()
    with pytest.raises(Conflict, match="erased before"):
        erase(records, there.patient_id, ErasureReason.REQUEST, years=20)
    records.close()


@pytest.mark.attack
def test_copies_of_a_key_within_the_database_are_written_over(tmp_path):
    records = made_records(tmp_path)
    there = made_whole(records, signed=False)
    with records.read() as tx:
        wrapped = tx.session.get_one(Patient, there.patient_id).key
    with records.engine.connect() as connection:
        # A page that was freed without being overwritten, as versions of SQLite and other programs leave it.
        raw = connection.connection.cursor()
        for statement in ("PRAGMA secure_delete = OFF", "CREATE TABLE copy (of BLOB)"):
            raw.execute(statement)
        raw.execute("INSERT INTO copy VALUES (?)", (wrapped,))
        for statement in ("DROP TABLE copy", "PRAGMA secure_delete = ON"):
            raw.execute(statement)
    erase(records, there.patient_id, ErasureReason.REQUEST, years=20)
    assert not any(wrapped in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    records.close()
