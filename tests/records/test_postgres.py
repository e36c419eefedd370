"""The kit itself: each test has a database of its own, of the kind that it asks for."""

from __future__ import annotations

from sqlalchemy import func, select

from tests.records.kit import made_case, made_user
from tetkik.records.schema import Case
from tetkik.values import Role


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
