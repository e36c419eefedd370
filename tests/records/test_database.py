"""One write is one transaction: all of it, its audit entries included, or nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError

from tests.records.kit import made_case, made_records, made_user
from tetkik.errors import NotFound, RecordsError, SettingError, Unavailable
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.schema import AuditRow, Case, Patient
from tetkik.values import SYSTEM, Role


@pytest.fixture
def records(tmp_path):
    opened = made_records(tmp_path)
    yield opened
    opened.close()


def test_a_failed_write_leaves_nothing(records):
    actor = made_user(records, Role.RECEPTION)
    with pytest.raises(RuntimeError), records.write(actor) as tx:
        patient_id = patients.create(tx, Person("Ali"))
        cases.open_case(tx, patient_id)
        raise RuntimeError
    with records.read() as tx:
        assert tx.session.scalar(select(func.count()).select_from(Case)) == 0
        assert tx.session.scalar(select(func.count()).select_from(AuditRow)) == 0


def test_a_database_that_is_away_is_one_sentence_for_readers_and_writers(records):
    fault = OperationalError("SELECT", {}, Exception("connection refused"))
    for opened in (records.read, records.write):
        with pytest.raises(Unavailable, match="does not answer"), opened(SYSTEM):
            raise fault


@pytest.mark.program("postgresql")
def test_both_ends_of_a_connection_notice_a_machine_that_is_gone(postgres, tmp_path):
    url = postgres.fresh()
    opened = made_records(tmp_path, f"{url}&keepalives_count=4")
    with opened.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        given = driver.info.get_parameters()
        assert (given["keepalives_idle"], given["keepalives_count"], given["connect_timeout"]) == (
            "5",
            "4",
            "5",
        )
        assert given["tcp_user_timeout"] == "15000"
    told = []
    event.listen(opened.engine, "connect", lambda connection, _: told.append(_watched(connection)))
    opened.engine.dispose()
    with opened.read() as tx:
        assert tx.session.scalar(select(func.count()).select_from(Case)) == 0
    assert told
    opened.close()
    postgres.drop(url)


def _watched(connection):
    found = connection.execute("SELECT source FROM pg_settings WHERE name LIKE 'tcp\\_%'").fetchall()
    connection.rollback()
    assert found == [("session",)] * 4
    return found


def test_a_write_brings_its_audit_entry(records):
    actor = made_user(records, Role.RECEPTION)
    case_id = made_case(records, actor)
    with records.read() as tx:
        row = tx.session.scalars(select(AuditRow)).one()
        assert (row.seq, row.action, row.user_id, row.case_id) == (1, "case.created", actor.user_id, case_id)


def test_cases_are_numbered_without_a_gap(records):
    actor = made_user(records, Role.RECEPTION)
    for _ in range(3):
        made_case(records, actor)
    with records.read() as tx:
        numbers = sorted(tx.session.scalars(select(Case.number)))
    assert [number[-6:] for number in numbers] == ["000001", "000002", "000003"]


@pytest.mark.parametrize("words", ["şahin", "SAHIN", "gülçin sah", "10000000146", "h-1", "Şahin Gül"])
def test_a_patient_is_found_however_the_name_is_typed(records, words):
    made_case(records, made_user(records, Role.RECEPTION))
    with records.read() as tx:
        (found,) = patients.find(tx, words)
        assert patients.load_person(tx, found).name == "Gülçin ŞAHİN"


@pytest.mark.parametrize("words", ["şa", "ahin", "1000000014", "gülçin kaya", ""])
def test_another_is_not(records, words):
    made_case(records, made_user(records, Role.RECEPTION))
    with records.read() as tx:
        assert patients.find(tx, words) == ()


def test_nothing_of_a_patient_lies_in_the_clear(records, tmp_path):
    made_case(records, made_user(records, Role.RECEPTION), question="nefes darlığı")
    records.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in ("ŞAHİN", "Gülçin", "10000000146", "19700101", "nefes"):
        assert secret.encode() not in stored


def test_a_destroyed_key_erases(records):
    made_case(records, made_user(records, Role.RECEPTION))
    with records.read() as tx:
        patient_id = tx.session.scalars(select(Patient.id)).one()
    with records.write(made_user(records, Role.ADMINISTRATOR)) as tx:
        tx.session.get_one(Patient, patient_id).key = None
    with records.read() as tx, pytest.raises(NotFound, match="erased"):
        tx.open(patient_id, "patients.identity", patient_id, b"")


def test_a_sealed_value_cannot_be_moved(records):
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        patient_id = patients.create(tx, Person("Ali"))
        sealed = tx.seal(patient_id, "complaints.text", "a", b"words")
        assert tx.open(patient_id, "complaints.text", "a", sealed) == b"words"
        with pytest.raises(RecordsError, match=r"complaints\.text"):
            tx.open(patient_id, "complaints.text", "b", sealed)


def test_another_master_key_is_refused(records, tmp_path):
    records.close()
    key = tmp_path / "keys" / "master.key"
    key.write_text("00" * 32)
    with pytest.raises(SettingError, match="fingerprint"):
        made_records(tmp_path)
    key.unlink()
    with pytest.raises(SettingError, match="no master key"):
        made_records(tmp_path)
    assert not key.exists()


def test_a_database_that_is_none(tmp_path):
    with pytest.raises(SettingError, match="database_url"):
        Records("no database", tmp_path)


@pytest.mark.parametrize(
    "rest",
    [
        "gizli@127.0.0.1:1/x",
        "a@gizli@127.0.0.1:1/x",
        "a/gizli@127.0.0.1:1/x",
        "a:gizli@h:gizli/x",
        "a@h:gizli",
    ],
)
def test_a_password_of_the_database_stands_in_no_error(tmp_path, rest):
    with pytest.raises(SettingError, match="database_url") as caught:
        Records(f"postgresql+psycopg://tetkik:{rest}", tmp_path)
    assert "gizli" not in str(caught.value)
