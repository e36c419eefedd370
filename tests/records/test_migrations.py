"""Migrations up and down on both databases, and what the databases themselves refuse."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from importlib import resources

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, delete, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from tests.patience import PATIENCE
from tests.records.kit import made_case, made_records, made_user
from tetkik.errors import SettingError
from tetkik.records import migrate
from tetkik.records.database import Records
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.migrate import NEWEST, WORKS_FROM, downgrade, upgrade, version_of
from tetkik.records.schema import AuditRow, Base, Complaint, Note, Patient
from tetkik.values import Role

pytestmark = pytest.mark.both_databases


def test_the_newest_step_is_the_last_of_the_scripts():
    config = Config()
    config.set_main_option("script_location", "tetkik.records:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST]


@pytest.mark.parametrize(
    ("file", "sha256"),
    [
        ("0001.sqlite.sql", "34c2f5f38da826113ee265bef77fa5a08413962269b68491b4d5fed651372084"),
        ("0001.postgresql.sql", "7e2c1e9ab27b031521174af682ddcb267a3d957d7533adf13d871cfd0ad8cc9d"),
        ("urgency_chosen.py", "02d4a7f0c923026cbe1dd6ec1393417e07bd42044fe14b0c3a7e9847a1dc5641"),
        ("study_reports.py", "0df63ca006df3ef0a51154b57d3629972e0d0168ff71a18e231cc31ce181cecf"),
        ("worklist_views.py", "225d199dcc1aeca30e30a5fb3d3b9ff49f54daeeb878c0d712843d01cab05ad1"),
        ("statistics_indexes.py", "a09e215b12faf541eb44f6549af35985699f33b5a58ea64c6dbfb3dfde694be6"),
        ("reporting.py", "df59a557606ba412b839a603215970700b7202ce40764b6eb45e570585614bd7"),
        ("statistics_columns.py", "9fbc9867addb1b8cffa6d64b55025eaced873d9594e62ed4ce01f5f18a1558b8"),
        ("deliveries.py", "7067d72c72b0d8c39636790404f12eb5dd52b32c0a932c584c69673c22660804"),
        ("sign_in_failures.py", "75d8733d9904c61c055b0f7bad3b165c0d1e68fd99219ac43a7ceaf1401f6984"),
        ("authenticated_rows.py", "2ab0be9fb12e0ccd22d77a4032d5717a780400fb331a89858a46572b9e11dce6"),
    ],
)
def test_a_released_step_is_frozen(file, sha256):
    content = (resources.files("tetkik.records.migrations.versions") / file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == sha256, "write a new migration instead of editing this one"


def test_schema_and_migrations_are_one(both_records):
    with both_records.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_down_leaves_nothing_and_up_again_works(both_records):
    made_case(both_records, made_user(both_records, Role.RECEPTION))
    downgrade(both_records.engine)
    assert set(inspect(both_records.engine).get_table_names()) == {"alembic_version"}
    if both_records.engine.dialect.name == "postgresql":
        with both_records.engine.connect() as connection:
            left = connection.scalars(text("SELECT proname FROM pg_proc WHERE proname LIKE 'tetkik%'"))
            assert list(left) == []
    again = made_records(both_records.folder, both_records.engine.url.render_as_string(hide_password=False))
    made_case(again, made_user(again, Role.RECEPTION))
    again.close()


def test_complaints_of_version_1_stay_and_may_then_be_without_urgency(both_records):
    engine = both_records.engine
    downgrade(engine)
    upgrade(engine, "0001")
    with engine.begin() as connection:
        for statement in _A_COMPLAINT_OF_VERSION_1:
            connection.execute(text(statement), {"words": b"words"})
    upgrade(engine)
    with engine.begin() as connection:
        found = connection.execute(select(Complaint.__table__)).mappings().one()
        assert (found["id"], found["urgency"], found["bundle"]) == ("k", "sari", "m 1")
        assert (found["text"], found["abstained"]) == (b"words", False)
        assert {value for key, value in found.items() if key.startswith("urgency_")} == {None}
        connection.execute(text("UPDATE complaints SET urgency = NULL"))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE complaints SET urgency_chosen_by = 'nobody'"))
    downgrade(engine, "0001")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT urgency FROM complaints")) == "yesil"


_A_COMPLAINT_OF_VERSION_1 = (
    "INSERT INTO patients (id, created_at) VALUES ('p', '2026-11-01 08:00:00')",
    "INSERT INTO cases (id, number, patient_id, state, priority, urgency, restricted, waiting_since,"
    " created_at, updated_at) VALUES ('c', '2026-000001', 'p', 'waiting', 1, 'sari', FALSE,"
    " '2026-11-01 08:00:00', '2026-11-01 08:00:00', '2026-11-01 08:00:00')",
    "INSERT INTO complaints (id, case_id, patient_id, text, bundle, bundle_sha256, urgency, abstained,"
    " created_at) VALUES ('k', 'c', 'p', :words, 'm 1', '0', 'sari', FALSE, '2026-11-01 08:00:00')",
)


def test_reports_of_version_2_are_of_their_study_where_they_are_its_only_one(both_records):
    engine = both_records.engine
    downgrade(engine)
    upgrade(engine, "0002")
    with engine.begin() as connection:
        for statement in _REPORTS_OF_VERSION_2:
            connection.execute(text(statement))
    upgrade(engine)
    with engine.begin() as connection:
        found = connection.execute(text("SELECT id, study_id, image_id, version FROM reports ORDER BY id"))
        assert [tuple(row) for row in found] == [
            ("r1", "s1", "i1", 1),
            ("r2", None, "i2", 0),
            ("r3", None, "i3", 1),
        ]
        connection.execute(text("UPDATE images SET removed_at = '2026-11-01 08:00:00' WHERE id = 'i1'"))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE reports SET study_id = 's1' WHERE id = 'r2'"))
    downgrade(engine, "0002")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM reports")) == 3


@pytest.mark.attack
def test_digests_of_names_are_gone_from_the_files_of_sqlite(tmp_path, monkeypatch):
    records = made_records(tmp_path, f"sqlite:///{tmp_path}/old.db")
    downgrade(records.engine, "0009")
    digests = [hashlib.sha256(f"{number}".encode()).digest() for number in range(6000)]
    for half in (digests[:3000], digests[3000:]):
        with records.engine.execution_options(tetkik_writes=True).begin() as connection:
            for number, digest in enumerate(half):
                name = f"{number % 600:03}{digest.hex()[:2]}"
                row = {"patient": name, "digest": digest}
                connection.execute(
                    text("INSERT OR IGNORE INTO patients (id, created_at) VALUES (:patient, '2026-01-01')"),
                    row,
                )
                connection.execute(text("INSERT INTO patient_index VALUES (:patient, 'name', :digest)"), row)
            connection.execute(text("DELETE FROM patient_index WHERE patient_id LIKE '00%'"))
    tried = []

    def full(engine):
        tried.append(engine)
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(migrate, "write_sqlite_anew", full)
        upgrade(records.engine)
    upgrade(records.engine)  # the next start makes up for it
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "write_sqlite_anew", full)
        upgrade(records.engine)
    assert len(tried) == 1
    for file in tmp_path.glob("old.db*"):
        content = file.read_bytes()
        assert [digest for digest in digests if digest in content] == [], file.name
    records.close()


_REPORTS_OF_VERSION_2 = (
    "INSERT INTO patients (id, created_at) VALUES ('p', '2026-11-01 08:00:00')",
    "INSERT INTO cases (id, number, patient_id, state, priority, restricted, waiting_since, created_at,"
    " updated_at) VALUES ('c', '2026-000001', 'p', 'to_read', 1, FALSE, '2026-11-01 08:00:00',"
    " '2026-11-01 08:00:00', '2026-11-01 08:00:00')",
    *(
        "INSERT INTO studies (id, case_id, patient_id, created_at)"
        f" VALUES ('s{n}', 'c', 'p', '2026-11-01 08:00:00')"
        for n in (1, 2)
    ),
    *(
        "INSERT INTO images (id, study_id, case_id, patient_id, file, size, file_format, rows, columns,"
        f" frames, created_at) VALUES ('i{n}', 's{min(n, 2)}', 'c', 'p', 'f{n}', 1, 'png', 1, 1, 1,"
        " '2026-11-01 08:00:00')"
        for n in (1, 2, 3)
    ),
    *(
        "INSERT INTO reports (id, case_id, image_id, patient_id, state, language, writer, revision, version,"
        f" created_at, updated_at) VALUES ('r{n}', 'c', 'i{n}', 'p', 'draft', 'tr', 'composer', 1, {n % 2},"
        " '2026-11-01 08:00:00', '2026-11-01 08:00:00')"
        for n in (1, 2, 3)
    ),
)


def test_a_step_that_has_to_wait_for_a_dump_keeps_nobody_else_waiting(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(migrate, "_WAITS_SECONDS", 0.05)
    records = made_records(tmp_path, postgres.fresh())
    downgrade(records.engine, "0013")
    with records.engine.connect() as dump:
        dump.execute(text("LOCK TABLE patients IN ACCESS SHARE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            upgrade(records.engine)
        assert version_of(dump) == "0013"
    upgrade(records.engine)
    records.close()


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


def test_steps_that_the_version_before_works_on_only_add(make_url):
    engine = create_engine(make_url())
    after = _tables(engine)
    downgrade(engine, WORKS_FROM)
    before = _tables(engine)
    engine.dispose()
    assert before.keys() <= after.keys()
    for name, (columns, constraints) in before.items():
        columns_now, constraints_now = after[name]
        assert columns.keys() <= columns_now.keys(), f"{name}: the version before reads all of its columns"
        assert constraints_now == constraints, f"{name}: rows of the version before may be refused"
        for column, (kind, nullable, _) in columns.items():
            assert columns_now[column][:2] in ((kind, nullable), (kind, True)), f"{name}.{column}"
        for column in columns_now.keys() - columns.keys():
            _, nullable, default = columns_now[column]
            assert nullable or default is not None, f"{name}.{column}: the version before cannot fill it"


def _tables(engine):
    """Of each table its columns (type, nullable, default), and what rows have to keep to."""
    seen = inspect(engine)
    return {
        name: (
            {
                one["name"]: (str(one["type"]), one["nullable"], one["default"])
                for one in seen.get_columns(name)
            },
            sorted(
                str(sorted((key, _plain(value)) for key, value in one.items()))
                for one in (
                    *seen.get_unique_constraints(name),
                    *seen.get_check_constraints(name),
                    *seen.get_foreign_keys(name),
                    *(index for index in seen.get_indexes(name) if index["unique"]),
                )
            ),
        )
        for name in seen.get_table_names()
    }


def _plain(value):
    return str({key: str(one) for key, one in value.items()} if isinstance(value, dict) else value)


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
