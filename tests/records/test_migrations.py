"""Migrations up and down on both databases, and what the databases themselves refuse."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from tests.patience import PATIENCE
from tests.records.kit import made_case, made_records, made_user
from tetkik.errors import SettingError
from tetkik.records.database import Records
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.migrate import NEWEST, upgrade, version_of
from tetkik.records.schema import AuditRow, Base, Note, Patient
from tetkik.values import Role

pytestmark = pytest.mark.both_databases


def test_the_newest_step_is_the_last_of_the_scripts():
    config = Config()
    config.set_main_option("script_location", "tetkik.records:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST]


def test_schema_and_migrations_are_one(both_records):
    with both_records.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_database_from_before_the_first_release_is_refused(both_records):
    with both_records.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0016'"))
    with pytest.raises(SettingError, match=r"from before Tetkik 0\.1\.0"):
        upgrade(both_records.engine)


@pytest.mark.parametrize("works_from", [None, f"{int(NEWEST) + 1:04}", "9999"])
def test_a_newer_database_is_refused(both_records, works_from):
    with both_records.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(delete(Note))
        if works_from is not None:
            connection.execute(insert(Note).values(key="works_from", value=works_from))
    with pytest.raises(SettingError, match=r"newer version of Tetkik \(9999\)"):
        upgrade(both_records.engine)


def test_the_version_before_opens_a_newer_database_that_says_so_but_makes_no_backup(both_records, tmp_path):
    with both_records.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(update(Note).where(Note.key == "works_from").values(value=NEWEST))
    url = both_records.engine.url.render_as_string(hide_password=False)
    old = Records(url, both_records.folder)
    made_case(old, made_user(old, Role.RECEPTION))
    with pytest.raises(SettingError, match="newer version of Tetkik, of which this one knows not everything"):
        make_backup(old, tmp_path / "backup.tetkik")
    old.close()


def test_processes_that_start_together_migrate_once(make_url, tmp_path):
    url = make_url(empty=True)
    code = (
        "import sys; from pathlib import Path; from tetkik.records.database import Records; "
        "Records(sys.argv[1], Path(sys.argv[2])).close()"
    )
    command = [sys.executable, "-c", code, url, str(tmp_path)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=PATIENCE)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    opened = Records(url, tmp_path)
    with opened.engine.connect() as connection:
        assert version_of(connection) == NEWEST
    opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        delete(AuditRow),
        update(AuditRow).values(content="{}"),
        update(AuditRow).values(action="case.opened"),
        update(AuditRow).values(content=None),
        update(AuditRow).values(content=None, salt=None, user_id=None),
        update(AuditRow).values(content=None, salt=None, chain=b"0" * 32),
    ],
    ids=["removed", "altered", "relabelled", "half emptied", "emptied and renamed", "chained anew"],
)
def test_the_database_refuses_to_change_the_trail(both_records, statement):
    made_case(both_records, made_user(both_records, Role.RECEPTION))
    with pytest.raises(DBAPIError, match="only added to"), both_records.engine.begin() as connection:
        connection.execute(statement)


def test_erasure_may_empty_an_entry(both_records):
    made_case(both_records, made_user(both_records, Role.RECEPTION))
    with both_records.engine.begin() as connection:
        connection.execute(update(AuditRow).values(content=None, salt=None))


def test_a_key_goes_where_nothing_is_signed(both_records):
    made_case(both_records, made_user(both_records, Role.RECEPTION))
    with both_records.engine.begin() as connection:
        connection.execute(update(Patient).values(key=None))


def test_postgresql_refuses_to_empty_the_trail(postgres, tmp_path):
    records = made_records(tmp_path, postgres.fresh())
    for table in ("audit", "report_versions CASCADE", "signatures", "withdrawals"):
        refused = pytest.raises(DBAPIError, match=r"only added to|never changed")
        with refused, records.engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {table}"))
    records.close()
