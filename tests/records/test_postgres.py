"""The kit itself: each test has a database of its own, of the kind that it asks for."""

from __future__ import annotations

import pytest
from sqlalchemy import NullPool, create_engine, func, select, text
from sqlalchemy.exc import OperationalError

from tests.records.kit import made_case, made_records, made_user
from tetkik.records.schema import AuditRow, Base, Case
from tetkik.values import Role

pytestmark = pytest.mark.both_databases


def test_a_database_is_fresh_each_time(both_records, make_url):
    made_case(both_records, made_user(both_records, Role.RECEPTION))
    assert both_records.engine.dialect.name == make_url().partition(":")[0].partition("+")[0]
    with both_records.read() as tx:
        assert tx.session.scalar(select(func.count()).select_from(Case)) == 1


def test_times_keep_their_zone(both_records):
    made_case(both_records, made_user(both_records, Role.RECEPTION))
    with both_records.read() as tx:
        moment = tx.session.scalars(select(Case.created_at)).one()
        assert moment <= tx.now
        assert moment.utcoffset() == tx.now.utcoffset()


def test_a_database_is_handed_on_without_its_rows_and_its_name(postgres, tmp_path):
    first = postgres.fresh()
    left_open = made_records(tmp_path / "first", first)
    made_case(left_open, made_user(left_open, Role.RECEPTION))
    postgres.drop(first)
    second = postgres.fresh()
    with pytest.raises(OperationalError, match="does not exist"):
        create_engine(first, poolclass=NullPool).connect()
    with create_engine(second, poolclass=NullPool).connect() as connection:
        counts = {
            table.name: connection.scalar(select(func.count()).select_from(table))
            for table in Base.metadata.sorted_tables
        }
    assert set(counts.values()) == {0}, counts
    records = made_records(tmp_path / "second", second)
    made_case(records, made_user(records, Role.RECEPTION))
    with records.read() as tx:
        assert tx.session.scalar(select(func.min(AuditRow.seq))) == 1
    for opened in (left_open, records):
        opened.close()
    postgres.drop(second)


@pytest.mark.parametrize(
    "altered",
    [
        "DROP TRIGGER audit_delete_refused ON audit",
        "ALTER TABLE audit DISABLE TRIGGER audit_delete_refused",
        "ALTER TABLE cases ADD COLUMN more text",
        "DROP INDEX {index}",
        "UPDATE alembic_version SET version_num = '9999'",
    ],
)
def test_a_database_that_was_altered_is_handed_on_to_nobody(postgres, altered):
    url = postgres.fresh()
    with create_engine(url, poolclass=NullPool).begin() as connection:
        index = connection.scalar(
            text("SELECT indexname FROM pg_indexes WHERE indexdef LIKE 'CREATE INDEX%'")
        )
        connection.execute(text(altered.format(index=index)))
    before = set(postgres.spare)
    postgres.drop(url)
    assert set(postgres.spare) == before
