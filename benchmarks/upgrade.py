"""An upgrade of a database of version 0002 to today's: is every row there, every seal, every signature?

    python benchmarks/upgrade.py [--cases 10000] [--database sqlite postgresql]

The program itself writes the cases, once: images, findings, drafts, signed reports, amended and withdrawn
ones, cases that moved, patients that were erased. Each database gets them from a backup. Then the steps after
0002 are undone, and some reports share a study, as they could then. That database is backed up as the program
of then did it, upgraded, opened, and compared with what it was: each row and column of each old table, the
plain text of each sealed value, the bytes of each signed document; signatures and trail are verified, and the
backup is restored and compared as well.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import LargeBinary, MetaData, Table, select, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.documents import sample
from tests.records.kit import made_records, made_user
from tests.records.moving_kit import moved
from tests.records.postgres import Cluster
from tests.records.reports_kit import proof_of, sign, write_draft
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import AUTHENTICATED, Records, Transaction
from tetkik.records.images import images, runs
from tetkik.records.lifecycle import backup
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.lifecycle.table_dump import backup_tables, dump_rows
from tetkik.records.migrate import NEWEST, downgrade, upgrade
from tetkik.records.reports import signing, withdrawal
from tetkik.records.trail.verify import verify
from tetkik.records.vault import Key
from tetkik.values import Actor, FileFormat, MoveReason, ReportState, Role, WithdrawalReason

OLD = "0002"
_BATCH = 50
_OWN = frozenset({"audit", "audit_head", "notes", "notices", "alembic_version", "events", "sessions"})
"""What making and restoring a backup adds to itself or leaves out; `verify` looks at the trail."""
_DROPPED = frozenset({"failed", "locked_until"})
"""Columns of accounts in whose place a table came with version 0009."""
_DIGESTS = frozenset({"key", "uid_digest", "accession_digest", "digest", "chain"})


@dataclass
class Content:
    """What a database holds: rows by table and key, plain texts by place, signed bytes by version."""

    rows: dict[str, dict[tuple[Any, ...], bytes]]
    plain: dict[str, bytes]
    signed: dict[str, str]


def fill(records: Records, count: int) -> None:
    """So many cases; of each hundred 45 signed, 2 of them amended, 1 withdrawn, 1 moved, 2 erased."""
    actor = made_user(records, Role.RADIOLOGIST, Role.RECEPTION, Role.TECHNICIAN, name="Elif KAYA")
    for begin in range(0, count, _BATCH):
        if begin % 1000 == 0 and begin:
            print(f"  {begin:,} cases", file=sys.stderr)
        made: list[tuple[int, str, str]] = []
        with records.write(actor) as tx:
            for number in range(begin, min(begin + _BATCH, count)):
                made.append((number % 100, *_case(tx, actor, number)))
        for kind, case_id, patient_id in made:
            if kind == 46:
                with records.write(actor) as tx:
                    other = patients.create(tx, Person("Ali VELİ", "", f"M-{patient_id}"))
                moved(records, actor, case_id, other, MoveReason.ALIKE)
            elif kind in (47, 4):  # without a signed report, and with one that the law keeps
                erase(records, patient_id, ErasureReason.REQUEST, years=20)


def _case(tx: Transaction, actor: Actor, number: int) -> tuple[str, str]:
    kind = number % 100
    patient_id = patients.create(tx, Person("Gülçin ŞAHİN", "", f"H-{number}"))
    case_id = cases.open_case(tx, patient_id, question="Efüzyon?")
    if kind >= 90:
        return case_id, patient_id
    for _ in range(2 if 50 <= kind < 60 else 1):
        report_id = _report(tx, case_id, patient_id, f"H-{number}")
    if kind < 45:
        sign(tx, report_id, actor)
    if kind in (1, 2):
        signing.begin_amendment(tx, report_id, "Taraf yanlıştı")
        if kind == 1:
            sign(tx, report_id, actor)
    if kind == 3:
        withdrawal.withdraw(tx, report_id, 1, WithdrawalReason.WRONG_PATIENT, "", proof_of(actor))
    return case_id, patient_id


def _report(tx: Transaction, case_id: str, patient_id: str, number: str) -> str:
    content = os.urandom(2000)
    uid = f"2.25.{int.from_bytes(content[:12], 'big')}"
    identity = replace(sample.IDENTITY, patient_name="ŞAHİN^Gülçin", patient_id=number, study_uid=uid)
    described = images.ImageMetadata(
        FileFormat.DICOM, 30, 40, identity=identity, tags=sample.TAGS, name="film.dcm"
    )
    stored = images.store_file(tx, patient_id, BytesIO(content))
    image = images.add_image(tx, case_id, stored, described).image
    run_id = runs.add_run(tx, image, runs.ModelAnswer("m 1.0", "ab" * 32, tx.now, sample.RESULT))
    return write_draft(tx, image.id, run_id, sample.document(ReportState.DRAFT))


def share_studies(records: Records) -> int:
    """Let both reports of a case be of one study, as before version 0003; gives how many share one."""
    first = "(SELECT min(study_id) FROM images AS others WHERE others.case_id = images.case_id)"
    with records.engine.execution_options(tetkik_writes=True).begin() as connection:
        done = connection.execute(text(f"UPDATE images SET study_id = {first} WHERE study_id <> {first}"))
        return done.rowcount


def read(records: Records, like: Content | None = None) -> Content:
    """Everything in a database; with `like`, of its tables and columns alone."""
    there = MetaData()
    there.reflect(records.engine)
    found = Content({}, {}, {})
    with records.read(still=True) as tx:
        # Without the mapped classes, which know the columns of today alone.
        stored = there.tables["patients"]
        wrapped = tx.session.execute(select(stored.c.id, stored.c.key).where(stored.c.key.is_not(None)))
        keys = {row.id: records.vault.key(row.id, row.key) for row in wrapped}
        for table in there.sorted_tables:
            if table.name in _OWN or (like is not None and table.name not in like.rows):
                continue
            names = _COLUMNS.setdefault(table.name, sorted({*table.columns.keys()} - _DROPPED))
            _read_table(tx, table, names, keys, found)
    return found


_COLUMNS: dict[str, list[str]] = {}
"""Of the old tables."""


def _read_table(
    tx: Transaction, table: Table, names: list[str], keys: dict[str, Key], found: Content
) -> None:
    rows = found.rows[table.name] = {}
    sealed = [one for one in names if isinstance(table.c[one].type, LargeBinary) and one not in _DIGESTS]
    keyed = [column.name for column in table.primary_key]
    chosen = select(*(table.c[name] for name in names))
    for row in tx.session.connection().execution_options(yield_per=1000).execute(chosen).mappings():
        key = tuple(row[name] for name in keyed)
        rows[key] = hashlib.sha256(repr([row[name] for name in names]).encode()).digest()
        patient_id = row["id"] if table.name == "patients" else row.get("patient_id")
        if patient_id not in keys or "id" not in row:
            continue
        for name in sealed:
            if row[name] is None:
                continue
            plain = keys[patient_id].open(row[name], f"{table.name}.{name}:{row['id']}")
            found.plain[f"{table.name}.{name}:{row['id']}"] = hashlib.sha256(plain).digest()
            if (table.name, name) == ("report_versions", "document"):
                found.signed[row["id"]] = hashlib.sha256(plain).hexdigest()


def old_backup(records: Records, target: Path) -> None:
    """A backup as the program of the old version wrote it: its tables and columns."""
    there = MetaData()
    there.reflect(records.engine)

    def dumped(connection: Any, source: Table) -> Any:
        kept = [item for item in source.columns if item.name in there.tables[source.name].columns]
        return dump_rows(connection, Table(source.name, MetaData(), *(item._copy() for item in kept)))

    tables = [one for one in backup_tables() if one.name in there.tables]
    with (
        patch.object(backup, "NEWEST", OLD),
        patch.object(backup, "dump_rows", dumped),
        patch.object(backup, "backup_tables", lambda: tables),
    ):
        backup.make_backup(records, target)


def differences(before: Content, after: Content) -> int:
    """Rows, plain texts and signed documents that are gone, changed or new."""
    lost = 0
    for name, rows in before.rows.items():
        now = after.rows.get(name, {})
        wrong = [key for key in rows.keys() | now.keys() if rows.get(key) != now.get(key)]
        if wrong:
            print(f"  {name}: {len(wrong)} rows differ", file=sys.stderr)
        lost += len(wrong)
    for one, other in ((before.plain, after.plain), (before.signed, after.signed)):
        lost += len({*one.items()} ^ {*other.items()})
    return lost


def faults(records: Records) -> int:
    """What the trail and the signatures complain about."""
    with records.read() as tx:
        stored, trail = verify_stored(tx), verify(tx)
    for fault in stored.faults[:3]:
        print(f"  {fault}", file=sys.stderr)
    return len(stored.faults) + (not trail.whole)


def size_of(records: Records) -> int:
    """Bytes of the database."""
    with records.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        if records.engine.dialect.name == "postgresql":
            return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
        pages = connection.scalar(text("PRAGMA page_count")) or 0
        return int(pages) * int(connection.scalar(text("PRAGMA page_size")) or 0)


def measure(database: str, folder: Path, cases_file: Path, count: int) -> None:
    """Print and keep the figures of one database."""
    cluster = Cluster() if database == "postgresql" else None
    _COLUMNS.clear()
    there, back = folder / database, folder / f"{database}-back"
    for place in (there, back):
        shutil.copytree(cases_file.parent / "keys", place / "keys")
    try:
        url = cluster.fresh() if cluster else None
        records = made_records(there, url)
        restore_backup(records, cases_file)
        downgrade(records.engine, OLD)
        (there / AUTHENTICATED).unlink()
        shared = share_studies(records)
        before, size = read(records), size_of(records)
        begin = time.perf_counter()
        old_backup(records, folder / f"{database}.tetkik")
        saved = time.perf_counter() - begin
        begin = time.perf_counter()
        upgrade(records.engine)
        records.close()
        records = made_records(there, url)
        took = time.perf_counter() - begin
        lost = differences(before, read(records, before))
        wrong = faults(records)
        restored = made_records(back, cluster.fresh() if cluster else None)
        begin = time.perf_counter()
        restore_backup(restored, folder / f"{database}.tetkik")
        restoring = time.perf_counter() - begin
        again = differences(before, read(restored, before))
        wrong_again = faults(restored)
        rows = sum(map(len, before.rows.values()))
        print(
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} {database}, {count:,} cases, load {os.getloadavg()[0]:.1f}: "
            f"{OLD} to {NEWEST} in {took:.1f} s, {size / 1e6:.0f} to {size_of(records) / 1e6:.0f} MB; "
            f"{rows:,} rows, {len(before.plain):,} sealed values, {len(before.signed):,} signed documents, "
            f"{shared} reports that share a study; lost or changed: {lost}; faults: {wrong}. "
            f"Backup {saved:.0f} s, restored in {restoring:.0f} s: lost {again}, faults {wrong_again}"
        )
        gone = lost + wrong + again + wrong_again
        cell = judged(f"{gone or 'nothing'} lost or changed", met=not gone)
        n = f"{count:,} cases, {rows:,} rows, {len(before.signed):,} signatures"
        record(f"reading-room/upgrade-{database}", {"reached": f"{cell}; {took:.1f} s", "n": n})
        records.close()
        restored.close()
    finally:
        if cluster is not None:
            cluster.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tetkik-") as name:
        folder = Path(name)
        written = made_records(folder / "written")
        begin = time.perf_counter()
        fill(written, options.cases)
        print(f"{options.cases:,} cases written in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
        cases_file = folder / "written" / "cases.tetkik"
        backup.make_backup(written, cases_file)
        written.close()
        for database in options.database:
            measure(database, folder, cases_file, options.cases)


if __name__ == "__main__":
    main()
