"""Anchors outside the database: a cut end shows, and verify says from where to where it can vouch."""

from __future__ import annotations

import json
import shutil

import pytest
from sqlalchemy import delete, select, text, update

from tests.records.kit import made_case, made_records, made_user
from tetkik.records.audit_chain import Action, AnchorFile, AnchorLines
from tetkik.records.database import Records
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.schema import AuditHead, AuditRow
from tetkik.records.trail.verify import compare_anchors, verify
from tetkik.values import Role

pytestmark = pytest.mark.both_databases


@pytest.fixture
def trail(both_records):
    """Records with ten entries, one a transaction; whose triggers somebody took away."""
    grow(both_records, 10)
    with both_records.engine.begin() as connection:
        for event in ("delete", "update"):
            table = " ON audit" if connection.dialect.name == "postgresql" else ""
            connection.execute(text(f"DROP TRIGGER audit_{event}_refused{table}"))
    return both_records


def grow(records, entries):
    for _ in range(entries):
        with records.write(made_user(records, Role.AUDITOR)) as tx:
            tx.audit(Action.AUDIT_READ)


def vouched(records, file=None):
    lines = AnchorLines(file or records.anchors.file, records.vault)
    with records.read(still=True) as tx:
        assert verify(tx).whole
        return compare_anchors(tx, lines)


def cut(records, after, head):
    with records.engine.begin() as connection:
        connection.execute(delete(AuditRow).where(AuditRow.seq > after))
        connection.execute(update(AuditHead).values(**head))


def head_of(records):
    with records.engine.connect() as connection:
        return dict(connection.execute(select(AuditHead.__table__)).mappings().one())


@pytest.mark.attack
@pytest.mark.parametrize("removed", [1, 4])
def test_an_end_that_was_cut_with_an_old_head_shows(trail, removed):
    head = head_of(trail)
    assert vouched(trail).broken == ()
    grow(trail, removed)
    whole = vouched(trail)
    assert (whole.anchors, whole.first.seq, whole.last.seq, whole.broken) == (
        10 + removed,
        1,
        10 + removed,
        (),
    )
    log = trail.folder / "shipped.log"
    log.write_text(
        "Nov 23 02:11:09 radyoloji tetkik[812]: "
        + json.dumps({"event": "request", "trail": AnchorFile.newest, "timestamp": "2026"})
        + "\nno line\n"
    )
    cut(trail, 10, head)
    assert [fault.seq for fault in vouched(trail).broken] == [11]
    assert [fault.seq for fault in vouched(trail, log).broken] == [11]
    grow(trail, removed + 1)  # and goes on, so that the numbers are there again
    assert [fault.seq for fault in vouched(trail).broken] == list(range(11, 11 + removed))
    assert len(vouched(trail, log).broken) == 1


def test_without_anchors_nothing_vouches(trail):
    trail.anchors.file.unlink()
    assert vouched(trail) is None
    grow(trail, 1)
    assert vouched(trail).first.seq == 11


def test_a_line_of_somebody_without_the_key_counts_for_nothing(trail):
    with trail.anchors.file.open("a") as file:
        file.write('{"at": "2026", "trail": "99:00", "code": "00"}\n{"at": "2026", "restored": "0:"}\n[]\n')
    found = vouched(trail)
    assert (found.unsealed, found.last.seq, found.broken) == (2, 10, ())


def test_a_disk_that_takes_no_anchor_stops_nobody_and_is_said_once(trail, caplog):
    trail.anchors.file.unlink()
    trail.anchors.file.mkdir()
    grow(trail, 2)
    assert [record.message[:38] for record in caplog.records] == ["audit.anchors cannot be written (Is a "]


def test_a_restored_backup_is_no_cut(both_records, make_url, tmp_path):
    grow(both_records, 3)
    make_backup(both_records, tmp_path / "backup")
    grow(both_records, 3)
    folder = tmp_path / "back"
    (folder / "keys").mkdir(parents=True)
    shutil.copy(tmp_path / "keys" / "master.key", folder / "keys" / "master.key")
    shutil.copy(both_records.anchors.file, folder / "audit.anchors")  # kept of the lost machine
    back = Records(make_url(), folder)
    restore_backup(back, tmp_path / "backup")
    assert vouched(back).broken == ()
    grow(back, 3)
    assert vouched(back).broken == ()
    back.close()


def test_the_file_is_its_accounts_alone(tmp_path):
    records = made_records(tmp_path)
    made_case(records, made_user(records, Role.RECEPTION))
    assert records.anchors.file.stat().st_mode & 0o077 == 0
    records.close()
